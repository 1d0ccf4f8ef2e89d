"""What a signed request is made of, for two readers: Python signs it, and a shell does with openssl.

A text is a sequence of literals and variables; a variable is computed from other texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Encoding = Literal["hex", "base64", "base64url"]
Clock = Literal["seconds", "milliseconds", "iso"]


@dataclass(frozen=True)
class Now:
    """The time of the request: seconds or milliseconds since 1970, or ISO 8601."""

    unit: Clock
    plus_seconds: int = 0


@dataclass(frozen=True)
class RandomId:
    """An id that no other request has, in hex."""


@dataclass(frozen=True)
class Secret:
    """The webhook's secret for a purpose; ``quoted`` as part of a JSON string or a query."""

    purpose: str
    quoted: Literal["", "json", "query"] = ""


@dataclass(frozen=True)
class HmacOf:
    """An HMAC with the secret for a purpose; ``base64_prefix``: the key is Base64 behind this prefix."""

    text: Text
    purpose: str
    algorithm: str
    encoding: Encoding
    base64_prefix: str | None = None


@dataclass(frozen=True)
class HashOf:
    """A SHA-256."""

    text: Text
    encoding: Encoding = "hex"


@dataclass(frozen=True)
class SignatureOf:
    """A signature with the private key that belongs to the webhook's public key."""

    text: Text
    purpose: str
    kind: Literal["ed25519", "sha256", "sha1"]
    encoding: Encoding


@dataclass(frozen=True)
class Encoded:
    """A text in another encoding."""

    text: Text
    encoding: Encoding


Operation = Now | RandomId | Secret | HmacOf | HashOf | SignatureOf | Encoded


@dataclass(frozen=True)
class Variable:
    """A computed text and its name in a shell."""

    name: str
    operation: Operation


Text = tuple[str | Variable, ...]


@dataclass
class Recipe:
    """A request in the making; ``variables`` are in the order of their computation.

    ``url`` is without its query.
    """

    method: str
    url: str
    query: Text
    headers: list[tuple[str, Text]]
    body: Text
    variables: list[Variable] = field(default_factory=list)

    def variable(self, name: str, operation: Operation) -> Variable:
        """A variable of this operation; one that is computed already is not computed again."""
        for held in self.variables:
            if held.operation == operation:
                return held
        names = {held.name for held in self.variables}
        number = next(number for number in range(1, 100) if _numbered(name, number) not in names)
        made = Variable(_numbered(name, number), operation)
        self.variables.append(made)
        return made

    def add_header(self, name: str, *text: str | Variable) -> None:
        """Set a header; a previous one of this name goes."""
        self.headers = [pair for pair in self.headers if pair[0].lower() != name.lower()]
        self.headers.append((name, text))

    def add_query(self, name: str, value: Variable) -> None:
        """Add a field to the query; the value needs no encoding."""
        self.query = (*self.query, f"{'&' if self.query else ''}{name}=", value)

    @property
    def whole_url(self) -> Text:
        """The URL with its query."""
        return (self.url, "?", *self.query) if self.query else (self.url,)

    @property
    def secrets(self) -> list[str]:
        """The purposes of the secrets that it uses."""
        return _unique(
            one.operation.purpose for one in self.variables if isinstance(one.operation, (Secret, HmacOf))
        )

    @property
    def private_keys(self) -> list[str]:
        """The purposes of the private keys that it uses."""
        return _unique(
            one.operation.purpose for one in self.variables if isinstance(one.operation, SignatureOf)
        )


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}_{number}"


def _unique(purposes: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(purposes))
