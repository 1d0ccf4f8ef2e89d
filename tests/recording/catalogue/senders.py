"""The requests that vendors signed, at their time and with their secrets, and what they would never send."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping
from typing import Any

from inbound_webhooks.presets import PRESETS
from tests.infrastructure.environment import CHECKOUT
from tests.integration.receiver.signed_posts import FILLED_IN, OF_OURS, YEARS_HOURS
from tests.recording.catalogue.requests import Headers, hook, path_of, request, single
from tests.recording.scenario import DEFAULT_NOW, Scenario, Step, token_of, webhook_id_of
from tests.unit.presets.signed_cases import OTHER_SECRETS, OUTCOMES, Case, every
from tests.unit.presets.test_senders import HOSTILE, headers_read

DAY_SECONDS = 86_400
PAYLOADS = CHECKOUT / "tests/payloads"
PRESETS_OF_PAYLOADS = {"dbt_cloud": "dbt-cloud"}

ON_THE_WIRE = [
    value
    for value in HOSTILE
    if all(ord(it) < 256 for it in value) and not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value)
]
"""Hostile values that a header can hold on its way."""

HOSTILE_STEP = 10
"""Each n-th of them is tried in each header that a signature is read from."""


def scenarios() -> Iterator[Scenario]:
    once: set[str] = set()
    for case in every(*OUTCOMES):
        yield _as_sent(case)
        if case.outcome != "accepted" or case.request.method != "POST":
            continue
        if case.verification:
            yield from _another_sender(case)
        if case.preset.name not in once:
            once.add(case.preset.name)
            yield from _settings(case)
            if case.verification:
                yield from _variants(case)
                yield from _hostile_headers(case)
    yield from _payloads()


def _scenario(case: Case, what: str, *steps: Step, secrets: Mapping[str, str] | None = None, **fields: Any):  # type: ignore[no-untyped-def]
    """A webhook with the case's preset and secrets; further secrets are rotated in, with grace."""
    given = {purpose: held[0] for purpose, held in case.secrets.items()} if secrets is None else secrets
    more = () if secrets is not None else case.secrets.get("signing", ())[1:]
    rotations = [
        Step(change={"what": "rotate secret", "purpose": "signing", "secret": it, "grace_hours": YEARS_HOURS})
        for it in more
    ]
    webhook_id, token = _signed_url(case) if what == "as sent" else ("", "")
    return Scenario(
        name=f"{case}: {what}",
        webhook=_webhook(case, given, **fields),
        steps=[*rotations, *steps],
        now=case.now.timestamp() or DEFAULT_NOW,
        webhook_id=webhook_id,
        webhook_token=token,
    )


def _webhook(case: Case, secrets: Mapping[str, str], **fields: Any) -> dict[str, Any]:
    needed = {secret.purpose for secret in case.preset.secrets if not secret.optional}
    filled = {purpose: FILLED_IN[purpose] for purpose in sorted(needed)} | dict(secrets)
    verification = (
        {"verification": [dict(scheme) for scheme in case.verification]} if case.verification else {}
    )
    return hook(preset=case.preset.name, secrets=filled, **verification | fields)


def _signed_url(case: Case) -> tuple[str, str]:
    signed = OF_OURS.fullmatch(case.request.url)
    return (signed[1], signed[2]) if signed else ("", "")


def _step(case: Case, what: str, *, after_seconds: float = 0, **changes: Any) -> Step:
    webhook_id, token = _signed_url(case) if what == "as sent" else ("", "")
    name = f"{case}: {what}"
    sent = {
        "method": case.request.method,
        "query": case.request.query_string,
        "headers": case.request.headers,
        "body": case.request.body,
    } | changes
    path = path_of(webhook_id or webhook_id_of(name), token or token_of(name))
    return Step(parts=[request(path, **sent)], method=sent["method"], after_seconds=after_seconds)


def _made(case: Case, what: str, *, secrets: Any = None, fields: Any = None, **changes: Any) -> Scenario:
    return _scenario(case, what, _step(case, what, **changes), secrets=secrets, **fields or {})


def _as_sent(case: Case) -> Scenario:
    """The request, and once more: an event that comes twice."""
    steps = [_step(case, "as sent"), _step(case, "as sent", after_seconds=1)]
    if case.request.method == "POST":
        steps.append(_step(case, "as sent", after_seconds=2, body=case.request.body + b" "))
    return _scenario(case, "as sent", *steps)


def _another_sender(case: Case) -> Iterator[Scenario]:
    yield _made(case, "another body", body=b"x" + case.request.body)
    yield _made(case, "another secret", secrets={"signing": OTHER_SECRETS[case.kind]})


def _variants(case: Case) -> Iterator[Scenario]:
    body, headers = case.request.body, case.request.headers
    yield _made(case, "half of the body", body=body[: len(body) // 2])
    for seconds in (-DAY_SECONDS, DAY_SECONDS):
        yield _made(case, f"{seconds} seconds later", after_seconds=seconds)
    packed = (*headers, ("Content-Encoding", "gzip"))
    yield _made(case, "packed", body=gzip.compress(body, mtime=0), headers=packed)
    for header in sorted(headers_read(case)):
        yield _made(case, f"without {header}", headers=_without(headers, header))
        value = next((value for name, value in headers if name.lower() == header), "")
        yield _made(case, f"{header} twice", headers=[*headers, (header, value)])


def _hostile_headers(case: Case) -> Iterator[Scenario]:
    for header in sorted(headers_read(case)):
        for number, value in enumerate(ON_THE_WIRE[::HOSTILE_STEP]):
            name = f"{header} of hostile value {number}"
            yield _made(case, name, headers=[*_without(case.request.headers, header), (header, value)])


def _settings(case: Case) -> Iterator[Scenario]:
    """A preset's webhook in its states, and with its examples."""
    preset = case.preset
    examples = {"mapping": dict(preset.mapping_example), "filter": preset.filter_example}
    yield _made(case, "with the examples", fields=examples)
    yield _made(case, "disabled", fields={"enabled": False})
    yield _made(case, "another address", fields={"allowed_addresses": ["203.0.113.0/24"]})
    yield _made(case, "a DAG that refuses it", fields={"dag_id": "strict", "mapping": {"number": "x"}})
    for method in ("GET", "OPTIONS"):
        yield _made(case, method, method=method, body=b"")
    if any(not secret.optional for secret in preset.secrets):
        yield _waiting(case)


def _waiting(case: Case) -> Scenario:
    """Disabled and without its secrets, as some senders need it first."""
    what = "without its secrets"
    fields = {name: value for name, value in _webhook(case, {}, enabled=False).items() if name != "secrets"}
    enabling = Step(change={"what": "damage", "name": "webhook", "enabled": True})
    name = f"{case}: {what}"
    steps = [_step(case, what), enabling, _step(case, what), _step(case, what, method="GET", body=b"")]
    return Scenario(name=name, webhook=fields, steps=steps, now=case.now.timestamp() or DEFAULT_NOW)


def _payloads() -> Iterator[Scenario]:
    """Whole payloads of real senders, at webhooks whose sender need not sign."""
    for path in sorted(PAYLOADS.glob("*/*.body")):
        preset = PRESETS[PRESETS_OF_PAYLOADS.get(path.parent.name, _preset_of(path.stem, path.parent.name))]
        lines = path.with_suffix(".headers").read_text().splitlines()
        headers = [tuple(line.split(": ", 1)) for line in lines if line]
        filled = {
            "event_type": preset.event_type, "dedup": preset.dedup, "response_status": preset.response_status,
            "response_content_type": preset.response_content_type,
            "response_template": preset.response_template,
            "invalid_status": preset.invalid_status, "handshake": preset.handshake,
        }  # fmt: skip
        plain = {name: value for name, value in filled.items() if value is not None}
        examples = {"mapping": dict(preset.mapping_example), "filter": preset.filter_example}
        yield from _payload(f"{path.parent.name}/{path.stem}", path.read_bytes(), headers, plain, examples)  # type: ignore[arg-type]


def _payload(
    name: str, body: bytes, headers: Headers, plain: dict[str, Any], examples: dict[str, Any]
) -> Iterator[Scenario]:
    yield single(f"payload {name}", {}, body=body, headers=headers)
    yield single(f"payload {name}: with the preset's fields", plain, body=body, headers=headers)
    yield single(f"payload {name}: with the examples", plain | examples, body=body, headers=headers)
    packed = gzip.compress(body, mtime=0)
    encoded = [*headers, ("Content-Encoding", "gzip")]
    yield single(f"payload {name}: packed", plain | examples, body=packed, headers=encoded)


def _preset_of(event: str, folder: str) -> str:
    return "slack-command" if event.startswith("slash_command") else folder


def _without(headers: Headers, name: str) -> list[tuple[str, str]]:
    return [pair for pair in headers if pair[0].lower() != name]
