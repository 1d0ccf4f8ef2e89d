"""What no well-behaved sender sends: the tests' hostile requests, and the public suites of bad input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from urllib.parse import quote, quote_plus

from tests.infrastructure.environment import CHECKOUT
from tests.infrastructure.webhooks_builder import Hook
from tests.integration.hostile import bodies, framings, heads, targets
from tests.integration.hostile.case import Case, Target
from tests.recording.catalogue.requests import JSON, hook, request, single
from tests.recording.scenario import BASE, Part, Scenario, Step, token_of, webhook_id_of

MAPPING = {
    name: f"${{Webhook::{source}}}"
    for name, source in {
        "value": "Body", "field": "Body.field", "query": "Query", "headers": "Headers",
    }.items()
}  # fmt: skip
BASES = {"blueprint": "/pluginsv2/webhook", "gateway": "/webhook"}

UNSTABLE = {
    # How much of it the server has read when it gives up depends on the moment.
    "path: 100,000 letters",
    "head: 100,000 letters in one",
    "query: 100,000 letters",
    "method: of 10,000 letters",
    # Whether the parser has seen what stands behind the body, or the protocol that is offered, depends on
    # how the bytes arrive.
    "chunks: with trailers",
    "chunks: with an encoding behind them",
    "chunks: with a length behind them",
    "upgrade: to HTTP/2",
    "upgrade: to HTTP/2, in chunks",
    "upgrade: to a protocol that is none",
}

SUITE = CHECKOUT / "tests/vendor/json-test-suite/test_parsing"
STRINGS = json.loads((CHECKOUT / "tests/vendor/naughty-strings/blns.json").read_text())


def scenarios() -> Iterator[Scenario]:
    for name in _cases("nobody", BASES["gateway"]):
        if name not in UNSTABLE:
            yield _scenario(name)
    yield from _suite()
    yield from _strings()


def _scenario(name: str) -> Scenario:
    title = f"hostile: {name}"
    blueprint, gateway = (
        [_part(part, base) for part in _cases(title, base)[name].parts] for base in BASES.values()
    )
    case = _cases(title, BASES["gateway"])[name]
    method = "HEAD" if name.endswith(": HEAD") else "POST"
    step = Step(
        parts=blueprint,
        gateway_parts=None if blueprint == gateway else gateway,
        responses=len(case.statuses),
        method=method,
    )
    webhook = hook() if name.startswith("a whole event:") else hook(mapping=MAPPING)
    return Scenario(name=title, webhook=webhook, steps=[step])


def _part(part: object, base: str) -> Part:
    if isinstance(part, bytes):
        return part.replace(base.encode(), BASE)
    return None if isinstance(part, type) else float(part)  # type: ignore[arg-type]


@cache
def _cases(title: str, base: str) -> dict[str, Case]:
    own = Hook(webhook_id_of(title), token_of(title), "")
    target = Target(base, own, own)
    return {
        **bodies.cases(target),
        **framings.cases(target),
        **heads.cases(target),
        **targets.cases(target),
    }


def _suite() -> Iterator[Scenario]:
    for path in sorted(SUITE.glob("*.json"))[::2]:
        yield single(f"json suite: {path.stem}", {"mapping": MAPPING}, body=path.read_bytes())


def _strings() -> Iterator[Scenario]:
    webhook = {"mapping": MAPPING}
    form = ("Content-Type", "application/x-www-form-urlencoded")
    text = ("Content-Type", "text/plain; charset=utf-8")
    for start in range(0, len(STRINGS), 60):
        group = STRINGS[start : start + 60]
        name = f"strings {start}"
        body = json.dumps(group, ensure_ascii=False).encode()
        yield single(f"{name}: in a JSON body", webhook, body=body)
        yield single(
            f"{name}: as keys", webhook, body=json.dumps(dict.fromkeys(group, 1)).encode(), headers=[JSON]
        )
        yield single(f"{name}: in a text", webhook, body="\n".join(group).encode(), headers=[text])
        fields = "&".join(f"field={quote_plus(string)}" for string in group).encode()
        yield single(f"{name}: in a form", webhook, body=fields, headers=[form])
        query = "&".join(f"n{number}={quote(string)}" for number, string in enumerate(group))
        yield single(f"{name}: in a query", webhook, body=b"{}", query=query)
        yield from _echoes(name, query, len(group))
    yield from _tokens()


def _echoes(name: str, query: str, count: int) -> Iterator[Scenario]:
    fields = [f"${{Webhook::Query.n{number}}}" for number in range(count)]
    templates = {
        "text/plain": "\n".join(fields),
        "application/json": "[" + ", ".join(f'{field}, "-{field}-"' for field in fields) + "]",
        "application/xml": "<a>" + "".join(f"<b c='{field}'>{field}</b>" for field in fields) + "</a>",
    }
    for content_type, template in templates.items():
        webhook = {"response_content_type": content_type, "response_template": template}
        yield single(f"{name}: in a response of {content_type}", webhook, method="GET", query=query)


def _tokens() -> Iterator[Scenario]:
    """A few in the place of a token; none of them opens anything."""
    for number, string in enumerate(STRINGS[::12]):
        name = f"strings: in the place of a token, {number}"
        path = BASE + b"/" + webhook_id_of(name).encode() + b"/" + quote(string, safe="").encode()
        step = Step(parts=[request(path, body=b"{}")])
        yield replace(single(name), steps=[step])
