"""What all verification schemes share: the request as it was signed, strict decoding, times, secrets."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from inbound_webhooks.errors import InvalidDefinition, VerificationFailed

DEFAULT_PURPOSE = "signing"
"""What a secret is for where nothing else is said."""

MAX_SIGNATURES = 10
"""Signatures of a header that are tried; vendors send two during a rotation of their secret."""

MAX_SIGNATURE_CHARS = 4096

Encoding = Literal["hex", "hex-any-case", "base64"]
"""How a signature is written; vendors that use hex write lower case, except for Fivetran."""

# int() would also accept signs, spaces, underscores and digits of other alphabets.
_TIMESTAMP = re.compile(r"[0-9]{1,16}")
# bytes.fromhex() would also accept spaces and upper case.
_HEX = re.compile(r"(?:[0-9a-f]{2})+")


class SignedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What schemes check: everything as it was sent, the body with its Content-Encoding.

    ``url`` is the one that the sender called, with its query string.
    """

    method: str
    url: str
    query_string: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    source_ip: str = ""

    def header(self, name: str) -> str:
        """The value of a header.

        :raises VerificationFailed: it is missing, empty, there twice, or not ASCII
        """
        wanted = name.lower()
        values = [value for key, value in self.headers if key.lower() == wanted]
        if not values:
            raise VerificationFailed(f"The header {name} is missing.", is_missing=True)
        if len(values) > 1:
            raise VerificationFailed(f"The header {name} is there {len(values)} times.")
        if not values[0]:
            raise VerificationFailed(f"The header {name} is empty.", is_missing=True)
        if not values[0].isascii() or len(values[0]) > MAX_SIGNATURE_CHARS:
            raise VerificationFailed(f"The header {name} is too long or not ASCII.")
        return values[0]


class VerificationScheme(Protocol):
    """A way to verify a sender; each is a frozen dataclass of its settings."""

    def check(self, request: SignedRequest, secrets: Sequence[str], now: datetime) -> int | None:
        """Return the index of the secret that matches, None if the scheme needs none.

        :raises VerificationFailed: says what was expected and what is wrong, never a secret or a value
        :raises KeyUnknown: the public key has to be fetched, which the settings allow
        """

    def check_secret(self, secret: str) -> None:
        """Refuse a secret that the scheme could not use, before it is stored.

        :raises InvalidDefinition: describes what it should look like
        """


class WithTextSecret:
    """A scheme whose secret is any text that can be typed."""

    def check_secret(self, secret: str) -> None:
        """See :class:`VerificationScheme`."""
        check_text_secret(secret)


def equal_in_constant_time(expected: bytes, presented: bytes) -> bool:
    """Compare in constant time, so that the time tells nothing about how much of a value is right."""
    return hmac.compare_digest(expected, presented)


def first_match(expected: Sequence[bytes], presented: Sequence[bytes]) -> int | None:
    """Return the index of the first expected value that equals one of the presented ones.

    All pairs are compared whatever matches, so that the time does not tell which secret is the right one.
    """
    found: int | None = None
    for index, value in enumerate(expected):
        matches = [equal_in_constant_time(value, candidate) for candidate in presented]
        if any(matches) and found is None:
            found = index
    return found


def to_bytes(text: str) -> bytes:
    """The UTF-8 bytes of a text; lone surrogates are encoded instead of raising an error."""
    return text.encode("utf-8", "surrogatepass")


def from_hex(text: str, name: str) -> bytes:
    """Decode lower-case hex.

    :raises VerificationFailed: another character, or an odd number of digits
    """
    if not _HEX.fullmatch(text):
        raise VerificationFailed(f"The header {name} is not lower-case hex.")
    return bytes.fromhex(text)


def from_hex_of_any_case(text: str, name: str) -> bytes:
    """Decode hex of any case; see :func:`from_hex`."""
    return from_hex(text.lower() if text.isascii() else text, name)


def from_base64(text: str, name: str) -> bytes:
    """Decode Base64 in the standard alphabet, with padding.

    :raises VerificationFailed: another character, or wrong padding
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise VerificationFailed(f"The header {name} is not Base64.") from None


DECODERS: dict[str, Callable[[str, str], bytes]] = {
    "hex": from_hex,
    "hex-any-case": from_hex_of_any_case,
    "base64": from_base64,
}


def check_time(
    text: str, now: datetime, *, tolerance_seconds: float | None, milliseconds: bool = False
) -> None:
    """Refuse a signed time that is malformed, or too far from now in either direction.

    Without a tolerance it must have the usual number of digits: where nothing separates time and body, digits
    could move from one to the other under the same signature.

    :raises VerificationFailed: says which
    """
    if not _TIMESTAMP.fullmatch(text):
        raise VerificationFailed("The timestamp is not a number of seconds or milliseconds since 1970.")
    if tolerance_seconds is None:
        digits = 13 if milliseconds else 10
        if len(text) != digits:
            raise VerificationFailed(f"The timestamp does not have {digits} digits.")
        return
    age_seconds = now.timestamp() - int(text) / (1000 if milliseconds else 1)
    if age_seconds > tolerance_seconds:
        raise VerificationFailed(
            f"The timestamp is {age_seconds:.0f} s old; {tolerance_seconds:g} s are allowed."
        )
    if age_seconds < -tolerance_seconds:
        raise VerificationFailed(
            f"The timestamp is {-age_seconds:.0f} s in the future; {tolerance_seconds:g} s are allowed."
        )


def check_text_secret(secret: str) -> None:
    """Refuse a shared secret that is empty, or was copied with surrounding characters.

    :raises InvalidDefinition: says what is wrong with it
    """
    if not secret.strip():
        raise InvalidDefinition("secrets", "it is empty")
    if secret != secret.strip():
        raise InvalidDefinition("secrets", "it begins or ends with white space")
    if not secret.isprintable():
        raise InvalidDefinition("secrets", "it has characters that cannot be printed")


def check_header_secret(secret: str) -> None:
    """Refuse a key that a header cannot carry.

    :raises InvalidDefinition: says what is wrong with it
    """
    check_text_secret(secret)
    if not secret.isascii():
        raise InvalidDefinition(
            "secrets", "it has characters that are not ASCII, which a header cannot carry"
        )
