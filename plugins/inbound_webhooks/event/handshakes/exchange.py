"""What a handshake is asked and what it answers, and what all of them share."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inbound_webhooks.errors import HandshakeMalformed, VerificationFailed
from inbound_webhooks.event import json_text
from inbound_webhooks.event.multidict import MultiDict
from inbound_webhooks.event.response import Response
from inbound_webhooks.event.verification.scheme import to_bytes

SIGNING = "signing"

# Vendors' challenges are shorter and use less; what is echoed cannot become markup or another header.
_CHALLENGE = re.compile(r"[A-Za-z0-9_\-.~+/=:]{1,512}")


@dataclass(frozen=True, kw_only=True)
class HandshakeRequest:
    """A request that may be a handshake.

    ``body`` is inflated, and empty where the handshake comes before the proof; ``secrets`` are the valid
    ones by purpose, the newest first.
    """

    method: str
    query: MultiDict
    headers: MultiDict
    body: bytes
    secrets: Mapping[str, Sequence[str]]

    def query_value(self, name: str) -> str | None:
        """A field of the query, None where it is missing.

        :raises HandshakeMalformed: it is there several times
        """
        return _single(self.query, name)

    def header_value(self, name: str) -> str | None:
        """A header, None where it is missing.

        :raises HandshakeMalformed: it is there several times
        """
        return _single(self.headers, name)

    def document(self) -> Any:
        """The body's JSON value, None where it is no JSON."""
        try:
            return json_text.parse(self.body.decode("utf-8-sig"))
        except (UnicodeDecodeError, json_text.JsonRefused):
            return None

    def newest_secret(self, purpose: str) -> str:
        """The secret that answers are signed with.

        :raises VerificationFailed: there is none
        """
        for secret in self.secrets.get(purpose, ()):
            if secret:
                return secret
        raise VerificationFailed(f"The webhook has no valid secret for {purpose}.")


@dataclass(frozen=True)
class HandshakeResponse:
    """What a handshake is answered with.

    ``confirm_url`` is a link of the vendor's own that a person has to open before events come; nothing of
    ours opens it. ``used`` is the purpose and the place of the secret that was needed for the answer.
    """

    response: Response
    confirm_url: str | None = None
    used: tuple[str, int] | None = None


@dataclass(frozen=True)
class Handshake:
    """One vendor's handshake.

    With ``before_proof`` a POST is looked at before its sender is proved, without its body. ``answer`` gives
    None where the request is none; it raises VerificationFailed, HandshakeForged, HandshakeMalformed.
    ``needs_proof``: what it does for a sender it must not do for everyone who knows the URL.
    ``signs_for_anyone`` tells whether it would sign a text, with the secret that signs events, for them.
    """

    methods: tuple[str, ...]
    before_verification: bool
    respond: Callable[[HandshakeRequest], HandshakeResponse | None]
    needs_verification: bool = False
    is_signing_oracle: Callable[[bytes], bool] = lambda _: False


def plain_text(text: str) -> HandshakeResponse:
    """The text and nothing else."""
    return HandshakeResponse(Response(200, to_bytes(text), "text/plain; charset=utf-8"))


def json_document(document: dict[str, object]) -> HandshakeResponse:
    """A JSON document without white space."""
    return HandshakeResponse(Response(200, json_text.dump(document).encode()))


def challenge(value: object, name: str) -> str:
    """A challenge that may go back as it came.

    :raises HandshakeMalformed: it is empty, too long, or more than a token
    """
    if not isinstance(value, str) or not _CHALLENGE.fullmatch(value):
        raise HandshakeMalformed(f"{name} is not a token of at most 512 letters, digits and -._~+/=:")
    return value


def sign(secret: str, text: str) -> bytes:
    """HMAC-SHA256 of a text (RFC 2104)."""
    return hmac.new(to_bytes(secret), to_bytes(text), "sha256").digest()


def _single(values: MultiDict, name: str) -> str | None:
    if name not in values:
        return None
    value = values[name]
    if isinstance(value, list):
        raise HandshakeMalformed(f"{name} is there {len(value)} times.")
    return str(value)
