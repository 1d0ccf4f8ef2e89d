"""What comes first at the endpoint: a wrong URL costs nothing, and an unverified request is not parsed."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.infrastructure.asgi_endpoint import JSON, AsgiEndpoint, Reply
from tests.infrastructure.webhooks_builder import (
    PREFIX,
    Hook,
    change_webhook,
    rows,
    states,
    store_delivery,
    store_webhook,
)

ORDER = b'{"number": 1}'
SECRET = "a secret of a test"
HMAC = [{"kind": "hmac", "header": "X-Signature"}]
LIMIT = 2 * 1024 * 1024
STRANGER = f"{PREFIX}/AAAAAAAAAA/{'0' * 64}"


def signature(body: bytes) -> tuple[str, str]:
    return ("x-signature", hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest())


def signed_hook(**fields: Any) -> Hook:
    return store_webhook(verification=HMAC, secrets={"signing": SECRET}, **fields)


def encoded(encoding: str) -> list[tuple[str, str]]:
    return [*JSON, ("content-encoding", encoding)]


# --- verification comes before everything that looks into the body ---------------------------


@pytest.mark.parametrize(
    ("body", "headers", "verified_status"),
    [
        (b"no gzip", encoded("gzip"), 400),
        (ORDER, encoded("br"), 415),
        (gzip.compress(b" " * (LIMIT + 1)), encoded("gzip"), 413),
        (b'{"number": ', JSON, 400),
        (b'{"number": "many"}', JSON, 422),
    ],
    ids=["broken gzip", "encoding", "bomb", "json", "params"],
)
def test_an_unverified_request_is_401_whatever_is_wrong_with_the_body(
    asgi, orders, body, headers, verified_status
):
    hook = signed_hook(name="signed", mapping={"number": "${Webhook::Body.number}"})
    reply = asgi.post(hook.path, body, [*headers, signature(b"another body")])
    assert (reply.status, reply.json["error"], rows("delivery")) == (401, "Unauthorized.", [])
    assert asgi.post(hook.path, body, [*headers, signature(body)]).status == verified_status


def test_the_scheme_is_over_the_bytes_as_they_were_sent(asgi, sqlite_database):
    hook, packed = signed_hook(), gzip.compress(ORDER)
    assert asgi.post(hook.path, packed, [*encoded("gzip"), signature(packed)]).status == 202
    assert asgi.post(hook.path, packed, [*encoded("gzip"), signature(ORDER)]).status == 401


def test_a_verified_body_that_cannot_be_read_is_kept(asgi, sqlite_database):
    hook = signed_hook()
    reply = asgi.post(hook.path, b"no gzip", [*encoded("gzip"), signature(b"no gzip")])
    assert (reply.status, reply.json["status"], states()) == (400, "refused", ["refused"])


def test_the_first_thing_that_is_wrong_decides(asgi, sqlite_orders, configure):
    """A request with everything wrong, and one thing after the other mended."""
    hook = signed_hook(
        name="signed",
        enabled=False,
        disabled_status=503,
        allowed_addresses=["198.51.100.0/24"],
        mapping={"number": "${Webhook::Body.number}"},
        max_per_second=1_000,
    )
    sending = {"body": b'{"number": "many"}', "encoding": "br", "signature": signature(b"")}
    request = {"method": "PUT", "path": STRANGER, "length": LIMIT + 1}
    assert status_of(asgi, sending, request) == 413
    request["length"] = 5
    assert status_of(asgi, sending, request) == 404
    request["path"] = hook.path
    assert status_of(asgi, sending, request) == 405
    request["method"] = "POST"
    assert status_of(asgi, sending, request) == 503
    change_webhook(hook.id, enabled=True)
    assert status_of(asgi, sending, request) == 403
    change_webhook(hook.id, allowed_addresses=["192.0.2.0/24"])
    assert status_of(asgi, sending, request) == 400
    request["length"] = len(sending["body"])
    assert status_of(asgi, sending, request) == 401
    sending["signature"] = signature(sending["body"])
    assert status_of(asgi, sending, request) == 415
    sending["encoding"] = "identity"
    assert status_of(asgi, sending, request) == 422
    assert states() == ["refused"]


def status_of(asgi, sending: dict[str, Any], request: dict[str, Any]) -> int:
    headers = [
        *encoded(sending["encoding"]),
        sending["signature"],
        ("content-length", str(request["length"])),
    ]
    reply = asgi.request(request["method"], request["path"], headers=headers, chunks=[sending["body"]])
    return int(reply.status)


@pytest.mark.parametrize("path", [STRANGER, "/pluginsv2/webhook/short/token"], ids=["unknown", "malformed"])
def test_a_huge_body_without_a_webhook_is_not_read(asgi, sqlite_orders, path):
    chunks = [b"x" * 65536] * 31
    headers = [*JSON, ("content-length", str(31 * 65536))]
    reply = asgi.request("POST", path, headers=headers, chunks=chunks)
    assert (reply.status, reply.chunks_read) == (404, 0)


def test_a_bomb_without_a_signature_is_not_inflated(asgi, sqlite_database):
    hook, bomb = signed_hook(), gzip.compress(b" " * 500_000_000, compresslevel=1)[:LIMIT]
    asgi.post(hook.path, ORDER, [*JSON, signature(ORDER)])
    started = time.process_time()
    assert asgi.post(hook.path, bomb, [*encoded("gzip"), signature(b"")]).status == 401
    assert time.process_time() - started < 0.5


def test_a_full_backlog_is_nothing_that_a_stranger_hears_of(asgi, sqlite_database, configure):
    configure(max_backlog=1)
    hook = signed_hook()
    store_delivery(hook)
    assert asgi.post(hook.path, ORDER, [*JSON, signature(b"")]).status == 401
    assert asgi.post(hook.path, ORDER, [*JSON, signature(ORDER)]).status == 429


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_verification_needs_no_scheme_and_is_none_of_its_own(asgi, sqlite_database, method):
    """It answers who knows the URL, reads no body and leaves nothing."""
    hook = signed_hook(response_content_type="text/plain", response_template="${Webhook::Query.q}")
    reply = asgi.request(method, hook.path, query=b"q=1", headers=[signature(b"")], chunks=[ORDER])
    assert (reply.status, reply.chunks_read, rows("delivery")) == (200, 0, [])


# --- a wrong token and an unknown webhook cost the same --------------------------------------


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is sent to SQLite meanwhile."""
    from sqlalchemy import Engine, event

    sent: list[str] = []

    def note(_connection, _cursor, statement, *_more) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@contextmanager
def comparisons() -> Iterator[list[object]]:
    """Calls of hmac.compare_digest, in this thread and in those that are started meanwhile."""
    calls: list[object] = []

    def note(_frame, happened: str, called: object) -> None:
        if happened == "c_call" and called is hmac.compare_digest:
            calls.append(called)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def cost_of(asgi, path: str) -> tuple[int, list[str], int]:
    """Status, statements and number of comparisons of a POST."""
    with statements() as sent, comparisons() as compared:
        status = asyncio.run(_alone(asgi, path)).status
    return status, sent, len(compared)


async def _alone(asgi, path: str, *headers: tuple[str, str]) -> Reply:
    """A request on an event loop of this thread, where calls are counted."""
    from inbound_webhooks.receiver.instance import get_receiver

    try:
        return await asgi.send("POST", path, headers=[*JSON, *headers], chunks=[ORDER])
    finally:
        await get_receiver().store.close()


@pytest.mark.parametrize("tokens", [1, 2, 8])
def test_a_wrong_token_and_an_unknown_webhook_take_the_same_queries_and_comparisons(sqlite_database, tokens):
    asgi = AsgiEndpoint()
    from inbound_webhooks.webhooks import service

    hook = signed_hook(preset="stripe")
    for _ in range(tokens - 1):
        service.rotate(hook.id, actor="a tester", grace_hours=1)
    cost_of(asgi, STRANGER)  # the first request of all makes connections
    wrong = cost_of(asgi, f"{PREFIX}/{hook.id}/{'0' * 64}")
    unknown = cost_of(asgi, STRANGER)
    assert wrong == unknown
    assert (wrong[0], len(wrong[1])) == (404, 1)
    assert wrong[2] >= tokens


def test_a_wrong_token_of_a_webhook_in_the_cache_takes_as_many_comparisons(sqlite_database):
    asgi, hook = AsgiEndpoint(), store_webhook()
    wrong = f"{PREFIX}/{hook.id}/{'0' * 64}"
    for path in (STRANGER, wrong):
        cost_of(asgi, path)  # makes connections, and puts the webhook into the cache
    assert cost_of(asgi, wrong) == cost_of(asgi, STRANGER)


def test_a_wrong_token_and_an_unknown_webhook_cost_postgresql_the_same(proxy):
    hook, asgi, said = signed_hook(preset="stripe"), AsgiEndpoint(), []
    wrong = f"{PREFIX}/{hook.id}/{'0' * 64}"
    for path in (STRANGER, wrong):
        asgi.request("POST", path)  # makes connections, and learns the webhook
    for path in (wrong, STRANGER):
        before = proxy.messages
        assert asgi.request("POST", path).status == 404
        said.append(proxy.messages - before)
    assert said[0] == said[1] > 0


def test_a_wrong_token_and_an_unknown_result_take_the_same_queries_and_comparisons(sqlite_database):
    from inbound_webhooks.storage.database import autocommit
    from inbound_webhooks.storage.result_tokens import MAX_TOKENS, insert_token
    from tests.infrastructure.webhooks_builder import store_delivery

    asgi, stored = AsgiEndpoint(), store_delivery(store_webhook())
    autocommit(lambda it: insert_token(it, stored, "a" * 64))
    unknown, wrong = (f"{PREFIX}/result/{it}/{'0' * 64}" for it in ("0" * 32, stored))
    cost_of(asgi, unknown)
    assert cost_of(asgi, wrong) == cost_of(asgi, unknown)
    status, sent, compared = cost_of(asgi, wrong)
    assert (status, len(sent), compared) == (404, 1, MAX_TOKENS)


@pytest.mark.parametrize("wrong_from", [0, 32, 63])
def test_how_much_of_a_token_is_right_makes_no_difference(sqlite_database, wrong_from):
    asgi = AsgiEndpoint()
    hook = store_webhook()
    cost_of(asgi, STRANGER)
    other = "0" if hook.token[wrong_from] != "0" else "1"
    nearly = hook.token[:wrong_from] + other + hook.token[wrong_from + 1 :]
    assert cost_of(asgi, f"{PREFIX}/{hook.id}/{nearly}") == cost_of(asgi, STRANGER)


def test_every_secret_is_compared_whichever_fits(sqlite_database):
    asgi = AsgiEndpoint()
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.secrets import NewSecret

    hook = store_webhook(
        verification=[{"kind": "header-key", "header": "X-Key"}], secrets={"signing": "first"}
    )
    for value in ("second", "third"):
        service.rotate_secret(hook.id, NewSecret("signing", value), actor="a tester", grace_hours=1)
    made = []
    for key in ("first", "third", "no", "first"):
        with comparisons() as compared:
            asyncio.run(_alone(asgi, hook.path, ("x-key", key)))
        made.append(len(compared))
    assert len(set(made)) == 1
