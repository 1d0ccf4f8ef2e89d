"""The response table of the endpoint, row by row, and the settings of a webhook that change it."""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from tests.recording.catalogue.requests import JSON, hook, path_of, request, several, single, step_of
from tests.recording.scenario import BASE, Scenario, Step, token_of, webhook_id_of

ORDER = b'{"number": 1}'
ORDERS = {"dag_id": "orders", "mapping": {"number": "${Webhook::Body.number}"}}
KEY = {"preset": "generic-api-key", "secrets": {"signing": "a key of 32 characters, or of more"}}
GIVEN = ("X-Api-Key", "a key of 32 characters, or of more")
OTHER_TOKEN = "0123456789abcdef" * 4
HOUR = 3600
NO_LONGER_HELD_SECONDS = 1.2
"""After it an endpoint does not go on with a webhook as it was before a change."""
LIMIT = 2 * 1024 * 1024

BASIC = "Basic " + base64.b64encode(b"user:a password of a sender").decode()


def scenarios() -> Iterator[Scenario]:
    yield from _accepted()
    yield from _methods()
    yield from _states()
    yield from _wrong_urls()
    yield from _sizes()
    yield from _encodings()
    yield from _repetitions()
    yield from _rotations()
    yield from _addresses()
    yield from _credentials()
    yield from _limits()
    yield from _dispatching()


def broken_dags() -> dict[str, dict[str, Any]]:
    """DAG -> columns of its row, written after webhooks were created."""
    return {
        "paused": {"is_paused": True},
        "stale": {"is_stale": True},
        "broken": {"has_import_errors": True},
        "unserialized": {"unserialized": True},
    }


def _accepted() -> Iterator[Scenario]:
    yield single("accepted", ORDERS, body=ORDER)
    for status in (200, 201, 202, 204, 205, 299):
        yield single(f"accepted: status {status}", ORDERS | {"response_status": status}, body=ORDER)
        yield several(
            f"accepted: status {status}, twice",
            ORDERS | {"response_status": status, "dedup": "${Webhook::Body.number}"},
            {"body": ORDER},
            {"body": ORDER},
        )
        yield single(f"filtered: status {status}", {"response_status": status, "filter": "false"}, body=ORDER)
    for status in (200, 202, 422):
        webhook = ORDERS | {"invalid_status": status}
        yield single(f"a value that the DAG refuses: {status}", webhook, body=b'{"number": "many"}')
        failing = {"mapping": {"it": "{{ body.number + body }}"}, "invalid_status": status}
        yield single(f"an expression that fails: {status}", failing, body=ORDER)
        yield single(f"a body that is no JSON: {status}", webhook, body=b"{")
    for source in ("${Webhook::Body.type}", "${Webhook::Headers.X-Kind}", "{{ body.type + 1 }}", "fixed"):
        for body in (b'{"type": "a"}', b'{"type": "\\u0000\\n x"}', b'{"type": ["a"]}', b"{}", b"no json"):
            yield single(f"event type: {source} of {body.decode()}", {"event_type": source}, body=body)
    yield single("event type: a long one", {"event_type": "${Webhook::Body}"}, body=b'"' + b"a" * 500 + b'"')
    for chunked in (b"d\r\n" + ORDER + b"\r\n0\r\n\r\n", b"3\r\n{}\n\r\n0\r\n\r\n"):
        name = f"accepted: in chunks, {len(chunked)} bytes"
        path = path_of(webhook_id_of(name), token_of(name))
        head = (
            b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n" % path
        )
        step = Step(parts=[head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked])
        yield replace(single(name, ORDERS), steps=[step])


def _methods() -> Iterator[Scenario]:
    template = {
        "response_content_type": "text/plain",
        "response_template": "${Webhook::Query.hub.challenge} of ${Webhook::Headers.X-Sender}",
    }
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"):
        yield single(f"method: {method}", ORDERS, method=method)
        yield single(f"method: {method} with a body", ORDERS, method=method, body=ORDER)
        more: dict[str, Any] = {"query": "hub.challenge=a%20b", "headers": [("X-Sender", "us")]}
        yield single(f"method: {method} with a template", template, method=method, **more)
        yield single(f"method: {method} of a disabled webhook", {"enabled": False}, method=method)
        yield single(f"method: {method} with a status", {"response_status": 204}, method=method)
        yield single(f"method: {method} of a signing sender", KEY, method=method)


def _states() -> Iterator[Scenario]:
    for status, method in product((403, 503), ("POST", "GET", "HEAD", "OPTIONS", "PUT")):
        webhook = ORDERS | {"enabled": False, "disabled_status": status}
        yield single(f"disabled: {status}, {method}", webhook, method=method, body=ORDER)
    yield several(
        "disabled and enabled again",
        ORDERS,
        {"body": ORDER},
        {"change": {"what": "enable", "enabled": False}},
        {"body": ORDER, "pause": NO_LONGER_HELD_SECONDS},
        {"change": {"what": "enable", "enabled": True}},
        {"body": ORDER},
    )
    later = {"body": ORDER, "pause": NO_LONGER_HELD_SECONDS}
    yield several("deleted", ORDERS, {"body": ORDER}, {"change": {"what": "delete"}}, later)
    for method in ("POST", "GET"):
        sent = {"body": ORDER, "method": method, "headers": [JSON, GIVEN]}
        for name in ("token", "secret"):
            damage = {"change": {"what": "damage", "name": name, "unreadable": True}}
            yield several(f"a {name} that cannot be decrypted: {method}", KEY, damage, sent)
        for column, value in {
            "mapping": '{"a": "{{ body.a() }}"}',
            "response_template": "{{ nothing }}",
            "filter": "body.(",
            "verification": '[{"kind": "nothing"}]',
            "handshake": "nothing",
        }.items():
            damage = {"change": {"what": "damage", "name": "webhook", "column": column, "value": value}}
            yield several(f"a definition that does not compile: {column}, {method}", KEY, damage, sent)


def _wrong_urls() -> Iterator[Scenario]:
    name = "wrong URLs"
    id_, token = webhook_id_of(name).encode(), token_of(name).encode()
    paths = {
        "token": id_ + b"/" + OTHER_TOKEN.encode(),
        "id": b"AAAAAAAAAA/" + token,
        "both": b"AAAAAAAAAA/" + OTHER_TOKEN.encode(),
        "short id": id_[1:] + b"/" + token,
        "short token": id_ + b"/" + token[1:],
        "capitals": id_ + b"/" + token.upper(),
        "mask": id_ + b"/***",
        "slash": id_ + b"/" + token + b"/",
        "two slashes": b"/" + id_ + b"/" + token,
        "more": id_ + b"/" + token + b"/more",
        "no token": id_,
        "nothing": b"",
    }
    steps = [
        step_of(name, path=BASE + b"/" + path, method=method, body=ORDER)
        for path, method in product(paths.values(), ("POST", "GET", "HEAD", "OPTIONS", "PUT"))
    ]
    yield replace(single(name, ORDERS), steps=steps)


def _sizes() -> Iterator[Scenario]:
    def json_of(size: int) -> bytes:
        return b'{"number": 1, "rest": "' + b"x" * (size - 25) + b'"}'

    for size in (32 * 1024, 32 * 1024 + 1, 100_000, LIMIT, LIMIT + 1):
        yield single(f"size: {size}", ORDERS, body=json_of(size))
        packed = gzip.compress(json_of(size), mtime=0)
        headers = [JSON, ("Content-Encoding", "gzip")]
        yield single(f"size: {size}, packed", ORDERS, body=packed, headers=headers)


def _encodings() -> Iterator[Scenario]:
    made = {
        "gzip": gzip.compress(ORDER, mtime=0),
        "deflate": zlib.compress(ORDER),
        "identity": ORDER,
        "br": ORDER,
        "zstd": ORDER,
        "gzip, deflate": gzip.compress(ORDER, mtime=0),
        "": ORDER,
        " GZip ": gzip.compress(ORDER, mtime=0),
    }
    for (encoding, body), webhook in product(made.items(), (ORDERS, {}, KEY)):
        name = f"encoding: {encoding!r}, {'signed' if webhook is KEY else webhook.get('dag_id', 'whole')}"
        headers = [JSON, GIVEN, ("Content-Encoding", encoding)]
        yield single(name, webhook, body=body, headers=headers)
    headers = [JSON, ("Content-Encoding", "gzip")]
    yield single("encoding: gzip that is none", ORDERS, body=ORDER, headers=headers)
    yield single("encoding: gzip with the wrong key", KEY, body=ORDER, headers=headers)


def _repetitions() -> Iterator[Scenario]:
    for source in (
        "${Webhook::Body.id}",
        "${Webhook::Headers.X-Id}",
        "{{ body | sha256 }}",
        "${Webhook::Body}",
    ):
        webhook = {"dedup": source, "event_type": "${Webhook::Body.type}"}
        yield several(
            f"repetition: {source}",
            webhook,
            {"body": b'{"id": 1, "type": "a"}', "headers": [JSON, ("X-Id", "1")]},
            {"body": b'{"id": 1, "type": "b"}', "headers": [JSON, ("X-Id", "1")]},
            {"body": b'{"id": 2, "type": "a"}', "headers": [JSON, ("X-Id", "2")]},
            {"body": b'{"id": "1", "type": "a"}', "headers": [JSON, ("X-Id", "1")], "after_seconds": HOUR},
            {"body": b'{"id": null}'},
            {"body": b"{}"},
            {"body": b"[]"},
            {"body": b"{"},
        )
    for template in ('{"id": ${Webhook::Delivery.id}}', '{"type": ${Webhook::Delivery.event_type}}'):
        webhook = {"dedup": "${Webhook::Body.id}", "response_template": template}
        yield several(
            f"repetition: with the template {template}",
            webhook,
            {"body": b'{"id": 1}'},
            {"body": b'{"id": 1}'},
        )
    filtered = {"dedup": "${Webhook::Body.id}", "filter": "body.go"}
    yield several(
        "repetition: filtered first", filtered, {"body": b'{"id": 1}'}, {"body": b'{"id": 1, "go": true}'}
    )
    refused = ORDERS | {"dedup": "${Webhook::Body.id}"}
    yield several(
        "repetition: refused first",
        refused,
        {"body": b'{"id": 1, "number": "x"}'},
        {"body": b'{"id": 1, "number": 2}'},
        {"body": b'{"id": 1, "number": "x"}'},
    )


def _rotations() -> Iterator[Scenario]:
    sent = {"body": ORDER, "headers": [JSON, GIVEN]}
    new = {"body": ORDER, "headers": [JSON, ("X-Api-Key", "a new key of 32 characters, or more")]}
    for grace in (0, 1):
        name = f"rotation: token, grace {grace}"
        path = path_of(webhook_id_of(name), OTHER_TOKEN)
        change = {"what": "rotate token", "token": OTHER_TOKEN, "grace_hours": grace}
        paused = sent | {"pause": NO_LONGER_HELD_SECONDS}
        steps = [sent, {"change": change}, paused, sent | {"path": path}]
        later = [sent | {"after_seconds": HOUR + 1}, sent | {"path": path, "after_seconds": HOUR + 1}]
        yield several(name, KEY, *steps, *later)
        change = {
            "what": "rotate secret", "purpose": "signing", "secret": "a new key of 32 characters, or more",
            "grace_hours": grace,
        }  # fmt: skip
        later = [it | {"after_seconds": HOUR + 1} for it in (sent, new)]
        yield several(
            f"rotation: secret, grace {grace}", KEY, sent, new, {"change": change}, sent, new, *later
        )


def _addresses() -> Iterator[Scenario]:
    allowed = (["127.0.0.0/8"], ["203.0.113.0/24", "2001:db8::/32"], ["::/0"])
    chains = (
        "", "203.0.113.7", "203.0.113.7, 192.0.2.9", "198.51.100.1, 203.0.113.7", "203.0.113.7, 198.51.100.1",
        "2001:db8::7", "::ffff:203.0.113.7", "[2001:db8::7]:443", "203.0.113.7:5000", "unknown",
        "203.0.113.7,,",
    )  # fmt: skip
    for blocks, chain in product(allowed, chains):
        headers = [JSON, ("X-Forwarded-For", chain)] if chain else [JSON]
        webhook = ORDERS | {"allowed_addresses": blocks}
        yield single(f"address: {chain or 'none'} at {blocks[0]}", webhook, body=ORDER, headers=headers)
    for method in ("GET", "HEAD", "OPTIONS", "PUT"):
        webhook = ORDERS | {"allowed_addresses": ["203.0.113.0/24"]}
        yield single(f"address: not allowed, {method}", webhook, method=method)


def _credentials() -> Iterator[Scenario]:
    kept = {"headers": "${Webhook::Headers}", "query": "${Webhook::Query}"}
    for name in (
        "Authorization", "Cookie", "X-Api-Key", "X-Hub-Signature-256", "X-Gitlab-Token",
        "Proxy-Authorization",
        "X-Auth-Token", "X-Amz-Security-Token", "Stripe-Signature", "X-Password", "X-Token", "X-Ordinary",
    ):  # fmt: skip
        headers = [JSON, (name, "a value that may be secret")]
        yield single(f"credential: header {name}", {}, body=ORDER, headers=headers)
        yield single(f"credential: header {name}, mapped", {"mapping": kept}, body=ORDER, headers=headers)
    for name in ("token", "api_key", "signature", "password", "code", "secret", "access_token", "user"):
        query = f"{name}=may-be-secret&x=1"
        yield single(f"credential: query {name}", {}, body=ORDER, query=query)
        yield single(f"credential: query {name}, mapped", {"mapping": kept}, body=ORDER, query=query)
    for kind, scheme, good in (
        ("basic", {"kind": "basic", "username": "user"}, [("Authorization", BASIC)]),
        ("bearer", {"kind": "header-key", "header": "Authorization", "prefix": "Bearer "},
         [("Authorization", "Bearer user:a password of a sender")]),
        ("key", {"kind": "header-key", "header": "X-Key"}, [("X-Key", "user:a password of a sender")]),
    ):  # fmt: skip
        secret = "a password of a sender" if kind == "basic" else "user:a password of a sender"
        webhook = {"verification": [scheme], "secrets": {"signing": secret}}
        for sent, headers in {
            "right": good, "missing": [], "wrong": [(good[0][0], good[0][1] + "x")],
            "empty": [(good[0][0], "")],
            "twice": good * 2, "in lower case": [(good[0][0].lower(), good[0][1].lower())],
        }.items():  # fmt: skip
            yield single(f"credential: {kind}, {sent}", webhook, body=ORDER, headers=[JSON, *headers])
            yield single(
                f"credential: {kind}, {sent}, mapped",
                webhook | {"mapping": kept},
                body=ORDER,
                headers=[JSON, *headers],
            )


def _limits() -> Iterator[Scenario]:
    sent = {"body": ORDER}
    for limit in (1, 2):
        yield _burst(f"limit: {limit} a second", ORDERS | {"max_per_second": limit})
    yield several("limit: a backlog of one", ORDERS | {"max_backlog": 1}, sent, sent, {"body": b"{"})
    yield several("limit: a backlog of two", ORDERS | {"max_backlog": 2}, *[sent] * 4)
    yield several("limit: two runs at once", ORDERS | {"max_active_runs": 2}, *[sent] * 4)


def _burst(name: str, webhook: dict[str, Any]) -> Scenario:
    """Four requests on one connection, so close together that none is forgotten before the next."""
    last = request(path_of(webhook_id_of(name), token_of(name)), body=ORDER)
    first = last.replace(b"Connection: close", b"Connection: keep-alive")
    burst = Step(parts=[first * 3 + last], responses=4)
    later = step_of(name, body=ORDER, after_seconds=5)
    return replace(single(name, webhook), steps=[burst, later, step_of(name, method="GET")])


def _dispatching() -> Iterator[Scenario]:
    for dag_id in ("paused", "stale", "broken", "unserialized", "of tomorrow"):
        yield single(f"dispatching: DAG {dag_id}", {"dag_id": dag_id}, body=ORDER)
        mapping = {"number": "${Webhook::Body.number}"}
        yield single(f"dispatching: DAG {dag_id}, mapped", {"dag_id": dag_id, "mapping": mapping}, body=ORDER)
    yield single("dispatching: a whole event for a DAG with params", hook(dag_id="strict"), body=ORDER)
