"""Requests and responses of handshakes, and what all handshakes share."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inbound_webhooks.errors import HandshakeMalformed, SecretMissing
from inbound_webhooks.event import json_text
from inbound_webhooks.event.multidict import MultiDict
from inbound_webhooks.event.response import Response
from inbound_webhooks.event.verification.scheme import VerificationScheme, to_bytes

# Vendors' challenges are shorter. Only characters that can become neither markup nor another header are
# echoed.
_CHALLENGE = re.compile(r"[A-Za-z0-9_\-.~+/=:]{1,512}")


@dataclass(frozen=True, kw_only=True)
class HandshakeRequest:
    """A request that may be a handshake.

    ``body`` is inflated, and empty if the handshake comes before the verification. ``secrets`` are the valid
    ones by purpose, newest first.
    """

    method: str
    query: MultiDict
    headers: MultiDict
    body: bytes
    secrets: Mapping[str, Sequence[str]]

    def query_value(self, name: str) -> str | None:
        """A field of the query, None if it is missing.

        :raises HandshakeMalformed: it occurs several times
        """
        return _single(self.query, name)

    def header_value(self, name: str) -> str | None:
        """A header, None if it is missing.

        :raises HandshakeMalformed: it occurs several times
        """
        return _single(self.headers, name)

    def document(self) -> Any:
        """The body's JSON value, None if it is not JSON."""
        try:
            return json_text.parse(self.body.decode("utf-8-sig"))
        except (UnicodeDecodeError, json_text.JsonRefused):
            return None

    def newest_secret(self, purpose: str) -> str:
        """The secret that signs responses.

        :raises SecretMissing: there is none
        """
        # Empty secrets are skipped: a signature with one would be known to everyone.
        for secret in self.secrets.get(purpose, ()):
            if secret:
                return secret
        raise SecretMissing(purpose)


@dataclass(frozen=True)
class HandshakeResponse:
    """A response to a handshake.

    ``confirm_url`` is a link of the vendor that a user has to open before events arrive; this server never
    opens it. ``used`` is the purpose and the index of the secret that the response required.
    """

    response: Response
    confirm_url: str | None = None
    used: tuple[str, int] | None = None


@dataclass(frozen=True)
class Handshake:
    """A vendor's handshake.

    With ``before_verification``, a POST is passed to it before its sender is verified, without its body. It
    returns None for requests that are not handshakes, and raises SecretMissing, HandshakeForged or
    HandshakeMalformed. ``needs_verification``: what it does for a sender must not be done for everyone who
    knows the URL. ``is_signing_oracle`` tells whether it would sign a text for them, with the secret that
    signs events. ``signs_for``, of a handshake that signs its responses, tells whether a verification scheme
    is that of the same vendor: the secret of another sender must not sign what callers choose.
    """

    methods: tuple[str, ...]
    before_verification: bool
    respond: Callable[[HandshakeRequest], HandshakeResponse | None]
    needs_verification: bool = False
    is_signing_oracle: Callable[[bytes], bool] = lambda _: False
    signs_for: Callable[[VerificationScheme], bool] | None = None


def plain_text(text: str) -> HandshakeResponse:
    """A response of plain text."""
    return HandshakeResponse(Response(200, to_bytes(text), "text/plain; charset=utf-8"))


def json_document(document: dict[str, object]) -> HandshakeResponse:
    """A response of compact JSON."""
    return HandshakeResponse(Response(200, json_text.dump(document).encode()))


def challenge(value: object, name: str) -> str:
    """A challenge that is safe to echo.

    :raises HandshakeMalformed: it is empty, too long, or not a token
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
