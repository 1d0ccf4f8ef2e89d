"""Verification with a shared secret: HMAC in every vendor's form, and the older digests."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from inbound_webhooks.errors import InvalidDefinition, VerificationFailed
from inbound_webhooks.event import json_text
from inbound_webhooks.event.verification.scheme import (
    DECODERS,
    MAX_SIGNATURES,
    Encoding,
    SignedRequest,
    WithTextSecret,
    check_time,
    first_match,
    from_hex,
    to_bytes,
)

Algorithm = Literal["sha1", "sha256", "sha512"]

_PLACE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, kw_only=True)
class Hmac(WithTextSecret):
    """An HMAC over the body and values around it (RFC 2104).

    ``signed`` is a template of the signed text, with ``{body}``, ``{timestamp}``, ``{id}``, ``{url}`` and
    ``{method}``. ``layout`` says how the header is written: ``plain``, one signature after ``prefix``;
    ``list``, several of them, separated by commas; ``pairs``, ``t=…,v1=…,v1=…`` where ``prefix`` is the
    signatures' key and ``timestamp_from`` the timestamp's. In the other layouts ``timestamp_from`` and
    ``id_from`` name headers. ``body_timestamp`` names a field of the (signed) JSON body with the time in
    milliseconds.
    """

    header: str
    algorithm: Algorithm = "sha256"
    encoding: Encoding = "hex"
    prefix: str = ""
    layout: Literal["plain", "list", "pairs"] = "plain"
    signed: str = "{body}"
    timestamp_from: str = ""
    timestamp_milliseconds: bool = False
    tolerance_seconds: float | None = 300
    id_from: str = ""
    body_timestamp: str = ""

    def __post_init__(self) -> None:
        places = _places(self.signed, known=("body", "timestamp", "id", "url", "method"))
        for place, source in (("timestamp", "timestamp_from"), ("id", "id_from")):
            given = self.timestamp_from if place == "timestamp" else self.id_from
            # An unsigned timestamp proves nothing, and a signed one that is not checked neither.
            if (place in places) != bool(given):
                raise InvalidDefinition(
                    "verification", f"{source}: it goes with {{{place}}} in what is signed"
                )
        if self.layout == "pairs" and not self.prefix:
            raise InvalidDefinition(
                "verification", "prefix: pairs need the key of the signatures, such as v1"
            )

    def check(self, request: SignedRequest, secrets: Sequence[str], now: datetime) -> int | None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        parts = self._header_parts(request.header(self.header))
        presented = self._signatures(parts)
        text = self._signed_text(request, parts, now)
        expected = [hmac.digest(to_bytes(secret), text, self.algorithm) for secret in secrets]
        found = first_match(expected, presented)
        if found is None:
            raise VerificationFailed(
                f"The signature in {self.header} does not match the body with any of the secrets."
            )
        # After the signature: until then nothing in the body is known to be the sender's.
        if self.body_timestamp:
            _check_body_time(request.body, self.body_timestamp, now, self.tolerance_seconds)
        return found

    def _header_parts(self, value: str) -> list[str]:
        if self.layout == "plain":
            return [value]
        parts = value.split(",")
        # Two more than the signatures: room for the time and one other pair.
        if len(parts) > MAX_SIGNATURES + 2:
            raise VerificationFailed(f"The header {self.header} has too many parts.")
        return [part.strip() for part in parts]

    def _signatures(self, parts: list[str]) -> list[bytes]:
        """The header's signatures, decoded; if there are several, malformed ones are skipped."""
        start = f"{self.prefix}=" if self.layout == "pairs" else self.prefix
        written = [part[len(start) :] for part in parts if part.startswith(start)][:MAX_SIGNATURES]
        if not written:
            raise VerificationFailed(f"The header {self.header} has no part that begins with {start}.")
        decode, found = DECODERS[self.encoding], []
        for signature in written:
            try:
                found.append(decode(signature, self.header))
            # Of several signatures, one that is malformed may be of a kind that only other receivers know.
            except VerificationFailed:
                if len(written) == 1:
                    raise
        return found

    def _signed_text(self, request: SignedRequest, parts: list[str], now: datetime) -> bytes:
        if self.signed == "{body}":
            return request.body  # the common case, without a copy of the body
        values = _request_values(request)
        if self.timestamp_from:
            timestamp = self._timestamp(request, parts)
            check_time(
                timestamp,
                now,
                tolerance_seconds=self.tolerance_seconds,
                milliseconds=self.timestamp_milliseconds,
            )
            values["timestamp"] = timestamp.encode()
        if self.id_from:
            values["id"] = request.header(self.id_from).encode()
        return _fill(self.signed, values)

    def _timestamp(self, request: SignedRequest, parts: list[str]) -> str:
        if self.layout != "pairs":
            return request.header(self.timestamp_from)
        start = f"{self.timestamp_from}="
        found = [part[len(start) :] for part in parts if part.startswith(start)]
        # Exactly one: with several, it would be unclear which one is signed.
        if len(found) != 1:
            raise VerificationFailed(f"The header {self.header} needs one part that begins with {start}.")
        return found[0]


@dataclass(frozen=True, kw_only=True)
class Digest(WithTextSecret):
    """HubSpot's older signatures: SHA-256 of secret and text, without an HMAC
    (https://developers.hubspot.com/docs/api/webhooks/validating-requests)."""

    header: str
    signed: str = "{body}"

    def __post_init__(self) -> None:
        _places(self.signed, known=("body", "url", "method"))

    def check(self, request: SignedRequest, secrets: Sequence[str], now: datetime) -> int | None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        presented = from_hex(request.header(self.header), self.header)
        text = _fill(self.signed, _request_values(request))
        expected = [hashlib.sha256(to_bytes(secret) + text).digest() for secret in secrets]
        found = first_match(expected, [presented])
        if found is None:
            raise VerificationFailed(
                f"The signature in {self.header} does not match the body with any of the secrets."
            )
        return found


def _places(signed: str, *, known: tuple[str, ...]) -> set[str]:
    places = set(_PLACE.findall(signed))
    if unknown := sorted(places - set(known)):
        raise InvalidDefinition(
            "verification", f"signed: there is no {{{unknown[0]}}}, only {', '.join(known)}"
        )
    if "body" not in places:
        raise InvalidDefinition("verification", "signed: it leaves the body out")
    return places


def _request_values(request: SignedRequest) -> dict[str, bytes]:
    return {"body": request.body, "url": to_bytes(request.url), "method": to_bytes(request.method)}


def _fill(signed: str, values: Mapping[str, bytes]) -> bytes:
    # Pieces at odd positions are names of values, the others literal text.
    pieces = _PLACE.split(signed)
    return b"".join(
        values[piece] if position % 2 else piece.encode() for position, piece in enumerate(pieces)
    )


def _check_body_time(body: bytes, field: str, now: datetime, tolerance_seconds: float | None) -> None:
    try:
        value = json_text.parse(body.decode()).get(field)
    except (UnicodeDecodeError, AttributeError, json_text.JsonRefused):
        value = None
    if not isinstance(value, int) or isinstance(value, bool):
        raise VerificationFailed(f"The body has no time in {field}.")
    check_time(str(value), now, tolerance_seconds=tolerance_seconds, milliseconds=True)
