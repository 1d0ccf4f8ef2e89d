"""Requests as vendors sign them, read from ``cases/<preset>.json``.

Every signature there is a literal of the vendor's documentation, of its SDK or of its tests; where no vendor
publishes one it was made once by the vendor's SDK or by openssl, never by the code under test.
``provenance`` and ``source_url`` say which.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.handshakes.exchange import HandshakeRequest, HandshakeResponse
from inbound_webhooks.event.handshakes.registry import HANDSHAKES
from inbound_webhooks.event.multidict import MultiDict
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.verification.registry import read_scheme, verify
from inbound_webhooks.event.verification.scheme import SignedRequest
from inbound_webhooks.presets import PRESETS, Preset

CASES = Path(__file__).with_name("cases")
OTHER_SECRETS: dict[str, str] = json.loads(Path(__file__).with_name("other_secrets.json").read_text())
"""Kind of verification -> a well-formed secret that signed nothing here."""

OUTCOMES = ("accepted", "refused", "answered", "forged", "malformed", "media type")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One request and what becomes of it."""

    preset: Preset
    name: str
    request: SignedRequest
    secrets: Mapping[str, Sequence[str]]
    now: datetime
    outcome: str
    verification: tuple[Mapping[str, Any], ...]
    response: Mapping[str, Any]
    expressions: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.preset.name}: {self.name}"

    @property
    def kind(self) -> str:
        """The kind of its only verification, "" where it has none."""
        return self.verification[0]["kind"] if self.verification else ""

    def prove(self, request: SignedRequest | None = None, **changes: Any) -> dict[str, int]:
        """Check its verification, of another request or with something else changed."""
        case = replace(self, **changes)
        verification = [read_scheme(settings) for settings in case.verification]
        return verify(verification, request or case.request, case.secrets, case.now)

    def signing(self, *secrets: str) -> dict[str, int]:
        """Check its verification with other secrets."""
        return self.prove(secrets={"signing": secrets})

    def later(self, seconds: float) -> dict[str, int]:
        """Check its verification at another time."""
        return self.prove(now=self.now + timedelta(seconds=seconds))

    def handshake(self) -> HandshakeResponse | None:
        """What the preset's handshake answers, as the endpoint asks it."""
        handshake = HANDSHAKES[self.preset.handshake or ""]
        if self.request.method not in handshake.methods:
            return None
        return handshake.respond(
            HandshakeRequest(
                method=self.request.method,
                query=MultiDict(parse_qsl(self.request.query_string, keep_blank_values=True)),
                headers=MultiDict(self.request.headers, ignore_case=True),
                body=b"" if handshake.before_verification else self.request.body,
                secrets=self.secrets,
            )
        )

    def sources(self) -> DataSources:
        """What expressions see of it."""
        return sources_of(self.request)


def sources_of(signed: SignedRequest) -> DataSources:
    """What expressions see of a request."""
    request = InboundRequest(
        method=signed.method,
        query_string=signed.query_string,
        headers=signed.headers,
        body=signed.body,
        source_ip="",
        received_at=datetime.now(timezone.utc),
    )
    return DataSources(request, signed.body, delivery_id="", webhook="")


def read(preset: str) -> list[Case]:
    """The cases of one preset."""
    written = json.loads((CASES / f"{preset}.json").read_text())
    return [_case(PRESETS[preset], **fields) for fields in written]


def every(*outcomes: str) -> list[Case]:
    """The cases of all presets with one of these outcomes."""
    return [case for preset in PRESETS for case in read(preset) if case.outcome in outcomes]


def _case(
    preset: Preset,
    *,
    name: str,
    provenance: str,
    source_url: str,
    method: str,
    url: str,
    query: str,
    headers: list[list[str]],
    secrets: list[str],
    now: float | None,
    outcome: str,
    notes: str = "",
    verify: Sequence[str] = (),
    verification: Sequence[Mapping[str, Any]] | None = None,
    response: Mapping[str, Any] | None = None,
    expressions: Mapping[str, str] | None = None,
    **body: Any,
) -> Case:
    given = {purpose: held for purpose, held in (("signing", secrets), ("verify", verify)) if held}
    return Case(
        preset=preset,
        name=name,
        request=SignedRequest(
            method=method,
            url=url,
            query_string=query,
            headers=tuple((header, value) for header, value in headers),
            body=_body(**body),
        ),
        secrets=given,
        now=datetime.fromtimestamp(now or 0, timezone.utc),
        outcome=outcome,
        verification=tuple(preset.verification_with(given) if verification is None else verification),
        response=response or {},
        expressions=expressions or {},
    )


def _body(
    body: str | None = None,
    body_base64: str | None = None,
    body_generator: Mapping[str, Any] | None = None,
) -> bytes:
    if body_generator is not None:
        return str(body_generator["repeat"]).encode() * int(body_generator["count"])
    return base64.b64decode(body_base64) if body_base64 is not None else (body or "").encode()
