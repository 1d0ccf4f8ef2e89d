"""The guard: how many it lets in, how much it holds, what it shows of a path, what a fault looks like."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable

import pytest

from inbound_webhooks.receiver.decisions import COSTLY_BYTES
from tests.infrastructure.asgi_endpoint import (
    JSON,
    AsgiEndpoint,
    Sending,
    arrive,
    flask_app,
    flask_below_asgi,
    scope_of,
)
from tests.infrastructure.dags_builder import spoil_dag
from tests.infrastructure.loop import on_the_loop
from tests.infrastructure.webhooks_builder import PREFIX, rows, store_webhook

ORDER = b'{"number": 1}'


@pytest.fixture
def asgi():
    """The api-server's endpoint: paths that are not the receiver's go on to Airflow."""
    return AsgiEndpoint()


class Inside:
    """Stands for what the guard guards: counts who is in at once, and keeps each for a while."""

    def __init__(self, seconds: float = 0.05) -> None:
        self.seconds = seconds
        self.now = 0
        self.most = 0
        self.bodies: list[bytes] = []
        self.paths: list[str] = []

    async def __call__(self, scope, receive, send) -> None:
        arrive()
        self.now += 1
        self.most = max(self.most, self.now)
        self.paths.append(scope["path"])
        self.bodies.append((await receive())["body"])
        await asyncio.sleep(self.seconds)
        self.now -= 1
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("allowed", [1, 4])
def test_no_more_requests_are_inside_at_once_than_allowed(sqlite_orders, configure, allowed):
    configure(max_concurrent_requests=allowed)
    inside = Inside()
    endpoint = AsgiEndpoint(inner=inside)
    paths = [sqlite_orders.path, store_webhook("second").path, store_webhook("third").path]
    replies = endpoint.together(
        *[endpoint.send("POST", path, chunks=[ORDER]) for path in paths for _ in range(4)]
    )
    assert [reply.status for reply in replies] == [202] * 12
    assert inside.most == allowed


def test_one_webhook_holds_half_of_the_places_and_no_other_one_waits_behind_it(sqlite_orders, configure):
    configure(max_concurrent_requests=4)
    inside = Inside()
    endpoint = AsgiEndpoint(inner=inside)
    other = store_webhook("another")
    order: list[str] = []

    async def noted(name: str, path: str) -> None:
        await endpoint.send("POST", path, chunks=[ORDER])
        order.append(name)

    async def flooded() -> None:
        flood = [noted("flood", sqlite_orders.path) for _ in range(10)]
        await asyncio.gather(*flood, noted("other", other.path))

    on_the_loop(flooded())
    # Two of the flood are inside, and end just before it.
    assert order.index("other") <= 4
    endpoint.together(*[endpoint.send("POST", sqlite_orders.path, chunks=[ORDER]) for _ in range(10)])
    assert inside.most <= 3


def test_slow_requests_of_many_webhooks_leave_places_to_short_ones(sqlite_orders, configure):
    """By the order in which they end: the slow ones come first, and hold a quarter of the places."""
    configure(max_concurrent_requests=8)
    inside = Inside(seconds=0.2)
    endpoint = AsgiEndpoint(inner=inside)
    slow = [store_webhook(f"slow {number}") for number in range(10)]
    long_body = b"[" + b"1," * COSTLY_BYTES + b"1]"
    order: list[str] = []

    async def noted(name: str, path: str, body: bytes) -> None:
        reply = await endpoint.send("POST", path, chunks=[body])
        order.append(f"{name} {reply.status}")

    async def all_at_once() -> None:
        flood = asyncio.gather(*[noted("slow", hook.path, long_body) for hook in slow])
        while inside.now < 2:
            await asyncio.sleep(0.01)
        await noted("short", sqlite_orders.path, ORDER)
        await flood

    on_the_loop(all_at_once())
    assert sorted(order) == ["short 202"] + ["slow 202"] * 10
    assert order.index("short 202") <= 2
    assert inside.most == 3


def test_a_request_whose_turn_does_not_come_is_put_off(sqlite_orders, configure):
    configure(max_concurrent_requests=1, queue_timeout_seconds=0.1)
    endpoint = AsgiEndpoint(inner=Inside(seconds=0.5))
    replies = endpoint.together(
        *[endpoint.send("POST", sqlite_orders.path, chunks=[ORDER]) for _ in range(3)]
    )
    assert sorted(reply.status for reply in replies) == [202, 503, 503]
    assert {reply.header("retry-after") for reply in replies} == {None, "2"}


def test_a_place_is_free_again_after_a_request_failed_inside(sqlite_orders, configure):
    configure(max_concurrent_requests=1, queue_timeout_seconds=0.1)

    async def broken(scope, receive, send):
        raise OSError("inside")

    endpoint = AsgiEndpoint(inner=broken)
    statuses = [endpoint.post(sqlite_orders.path, ORDER).status for _ in range(3)]
    assert statuses == [503] * 3


def test_a_slow_sender_holds_no_place(sqlite_orders, configure):
    configure(max_concurrent_requests=1, queue_timeout_seconds=0.2, body_timeout_seconds=0.5)
    endpoint = AsgiEndpoint(inner=Inside(seconds=0.01))
    slow = [endpoint.send("POST", sqlite_orders.path, chunks=[b"{"], stalls=True) for _ in range(3)]
    replies = endpoint.together(*slow, endpoint.send("POST", sqlite_orders.path, chunks=[ORDER]))
    assert [reply.status for reply in replies] == [408, 408, 408, 202]


def test_a_path_that_is_no_webhooks_waits_for_no_place(sqlite_orders, configure):
    configure(max_concurrent_requests=1, queue_timeout_seconds=5)
    endpoint = AsgiEndpoint(inner=Inside(seconds=0.2))
    order: list[str] = []

    async def noted(name: str, path: str) -> None:
        await endpoint.send("POST", path, chunks=[ORDER])
        order.append(name)

    async def both() -> None:
        await asyncio.gather(noted("webhook", sqlite_orders.path), noted("wrong", f"{PREFIX}/x/y"))

    on_the_loop(both())
    assert order == ["wrong", "webhook"]


def test_bodies_beyond_the_memory_for_all_of_them_are_put_off(sqlite_orders, configure):
    configure(max_buffered_bytes=100_000, body_timeout_seconds=0.3)
    endpoint = AsgiEndpoint(inner=Inside(seconds=0.01))
    long = b"x" * 80_000
    bodies = [endpoint.send("POST", sqlite_orders.path, chunks=[long], stalls=True) for _ in range(3)]
    replies = sorted(endpoint.together(*bodies), key=lambda reply: reply.status)
    assert [reply.status for reply in replies] == [408, 503, 503]
    assert replies[1].header("retry-after") == "2"


@pytest.mark.parametrize("how", [{"stalls": True}, {"disconnects": True}, {}], ids=["408", "400", "202"])
def test_the_memory_of_a_body_is_free_again_after_its_answer(sqlite_orders, configure, how):
    configure(max_buffered_bytes=100_000, body_timeout_seconds=0.1)
    endpoint = AsgiEndpoint(inner=Inside(seconds=0.01))
    first = endpoint.request("POST", sqlite_orders.path, chunks=[b"x" * 80_000], **how).status
    assert first in (408, 400, 202)
    assert endpoint.request("POST", sqlite_orders.path, chunks=[b"x" * 90_000]).status == 202


def test_what_goes_inside_is_the_whole_body_and_no_token(sqlite_orders):
    inside = Inside(seconds=0)
    endpoint = AsgiEndpoint(inner=inside)
    endpoint.request("POST", sqlite_orders.path, chunks=[b"one, ", b"two"])
    assert inside.bodies == [b"one, two"]
    assert inside.paths == [f"{PREFIX}/{sqlite_orders.id}/***"]


# --- tokens in paths ------------------------------------------------------------------------


def path_after(app: Callable, scope: dict) -> str:
    """What an access log that reads the scope behind the answer would write."""
    sending = Sending([ORDER])
    on_the_loop(app(scope, sending.receive, sending.send))
    assert sending.messages[0]["type"] == "http.response.start"
    return scope["path"] + scope["raw_path"].decode() + scope["query_string"].decode()


MISSPELT = {
    "as it is": "{prefix}/{id}/{token}",
    "slash behind": "{prefix}/{id}/{token}/",
    "more behind": "{prefix}/{id}/{token}/and/{token}",
    "the other way round": "{prefix}/{token}/{id}",
    "the token alone": "{prefix}/{token}",
    "capitals": "{prefix}/{id}/{TOKEN}",
    "without pluginsv2": "/webhook/{id}/{token}",
    "below api": "/api/v2/webhook/{id}/{token}",
    "plural": "/pluginsv2/webhooks/{id}/{token}",
    "capital letter": "/pluginsv2/Webhook/{id}/{token}",
    "two slashes": "/pluginsv2//webhook/{id}/{token}",
    "cut off": "{prefix}/{id}/{half}",
    "pasted twice": "{prefix}/{id}/{token}{token}",
    "misspelt": "/pluginsv2/webhok/{id}/{token}",
    "at the root": "/{id}/{token}",
}


@pytest.mark.parametrize("case", MISSPELT)
def test_no_token_is_left_in_the_path_for_the_access_log(asgi, sqlite_orders, case):
    token = sqlite_orders.token
    path = MISSPELT[case].format(
        prefix=PREFIX, id=sqlite_orders.id, token=token, TOKEN=token.upper(), half=token[:40]
    )
    left = path_after(asgi.app, scope_of("POST", path, b"", JSON)).lower()
    assert token[:40] not in left


def test_a_query_is_not_left_for_the_access_log(asgi, sqlite_orders):
    scope = scope_of("POST", sqlite_orders.path, b"key=a-canary", JSON)
    assert "canary" not in path_after(asgi.app, scope)


@pytest.mark.parametrize("path", ["/api/v2/dags/a/dagRuns/" + "ab" * 16, "/health", "/webhooks/api/x"])
def test_other_paths_stay_as_they_are(asgi, sqlite_database, path):
    scope = scope_of("GET", path, b"limit=1", ())
    assert path_after(asgi.app, scope) == f"{path}{path}limit=1"


# --- faults ---------------------------------------------------------------------------------


def test_a_problem_before_the_body_is_our_own_503(asgi, sqlite_orders):
    """A row that no code of ours writes."""
    from airflow import settings

    from inbound_webhooks.storage import tables

    with settings.engine.begin() as connection:
        connection.execute(tables.webhook.update().values(mapping="no JSON"))
    reply = asgi.post(sqlite_orders.path, ORDER)
    assert (reply.status, reply.header("retry-after")) == (503, "10")
    assert reply.header("content-security-policy") is not None


def test_a_problem_behind_the_body_is_our_own_503(asgi, sqlite_orders):
    """A DAG that was serialized by another version of Airflow."""
    spoil_dag("orders")
    reply = asgi.post(sqlite_orders.path, ORDER)
    assert (reply.status, reply.header("retry-after")) == (503, "10")
    assert reply.header("content-security-policy") is not None


def test_a_problem_behind_the_commit_takes_nothing_back(asgi, sqlite_orders):
    from inbound_webhooks.receiver.instance import get_receiver

    def listener_that_fails() -> None:
        raise ZeroDivisionError

    get_receiver().inbox.on_accepted(listener_that_fails)
    assert asgi.post(sqlite_orders.path, ORDER).status == 202


def test_a_setting_that_cannot_be_used_is_our_own_503(asgi, sqlite_orders, configure):
    configure(max_body_bytes="plenty")
    reply = asgi.post(sqlite_orders.path, ORDER)
    assert (reply.status, reply.header("retry-after")) == (503, "10")


def test_a_problem_is_logged_without_what_the_sender_sent(asgi, sqlite_orders, caplog):
    from airflow import settings

    from inbound_webhooks.storage import tables

    with settings.engine.begin() as connection:
        connection.execute(tables.webhook.update().values(mapping="no JSON"))
    asgi.post(sqlite_orders.path, b'{"a": "canary"}')
    assert "action=endpoint_error what=request kind=JSONDecodeError" in caplog.text
    assert "line 1 column 1" not in caplog.text, "the error has its text, which may quote the request"
    assert "canary" not in caplog.text
    assert sqlite_orders.token not in caplog.text


def refusing(reason: str):
    """Flask as an operator may have set it up, so that it does not route a request."""
    from werkzeug.middleware.proxy_fix import ProxyFix

    app = flask_app()
    if reason == "trusted hosts":
        app.config["TRUSTED_HOSTS"] = ["airflow.example.com"]
    elif reason == "forwarded host":
        app.wsgi_app = ProxyFix(app.wsgi_app, x_host=1)
    else:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1)
    return flask_below_asgi(app)


@pytest.mark.parametrize("reason", ["trusted hosts", "forwarded host", "forwarded scheme"])
def test_a_page_of_flasks_own_is_never_sent(sqlite_orders, reason, caplog):
    headers = [
        ("host", "10.0.0.1"),
        ("x-forwarded-host", "a" * 64 + ".example.com"),
        ("x-forwarded-proto", "wss"),
    ]
    endpoint = AsgiEndpoint(inner=refusing(reason))
    for method in ("POST", "GET"):
        reply = endpoint.request(method, sqlite_orders.path, headers=[*JSON, *headers], chunks=[ORDER])
        assert (reply.status, reply.header("retry-after")) == (503, "10")
        assert reply.json["status"] == "rejected"
    assert rows("delivery") == []
    assert "kind=NotRouted" in caplog.text


# --- where it is mounted --------------------------------------------------------------------


def test_a_base_url_with_a_path_works(sqlite_orders):
    endpoint = AsgiEndpoint(root_path="/airflow")
    reply = endpoint.post(f"/airflow{sqlite_orders.path}", ORDER)
    assert (reply.status, len(rows("delivery"))) == (202, 1)


def test_a_path_of_the_base_url_that_a_proxy_strips_may_be_missing(sqlite_orders):
    endpoint = AsgiEndpoint(root_path="/airflow")
    reply = endpoint.post(sqlite_orders.path, ORDER)
    assert (reply.status, len(rows("delivery"))) == (202, 1)
    assert endpoint.request("GET", sqlite_orders.path).json == {"status": "verified"}


UNKNOWN_PREFIXES = {
    "kept": "/hooks{prefix}/{id}/{token}",
    "twice": "/airflow/airflow{prefix}/{id}/{token}",
    "instead of pluginsv2": "/hooks/webhook/{id}/{token}",
    "none": "/webhook/{id}/{token}",
    "slashes": "//airflow//pluginsv2//webhook//{id}//{token}",
    "a slash too many": "/airflow/{prefix}/{id}/{token}",
    "dots": "/airflow/./pluginsv2/webhook/{id}/{token}",
    "capitals": "/Airflow/PluginsV2/WebHook/{id}/{TOKEN}",
    "slash behind": "/hooks{prefix}/{id}/{token}/",
    "no id": "{prefix}",
    "no token": "{prefix}/",
}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("case", UNKNOWN_PREFIXES)
def test_any_other_path_of_a_webhook_is_our_own_404(sqlite_orders, case, method):
    """Airflow has a page with status 200 for any path that it does not know, which a sender takes for yes."""
    inside = Inside()
    endpoint = AsgiEndpoint(root_path="/airflow", inner=inside)
    endpoint.app.mount("/", inside)
    token = sqlite_orders.token
    path = UNKNOWN_PREFIXES[case].format(prefix=PREFIX, id=sqlite_orders.id, token=token, TOKEN=token.upper())
    reply = endpoint.request(method, path, headers=JSON, chunks=[ORDER] * 3)
    assert (reply.status, reply.json) == (404, {"status": "rejected", "error": "Not found."})
    assert (reply.chunks_read, inside.paths) == (0, [])


@pytest.mark.parametrize(
    "path",
    [
        "/dags/webhook/runs/" + "ab" * 16,
        "/dags/webhook/runs/" + "ab" * 32,
        "/pluginsv2/webhooks/hook/AAAAAAAAAA",
        "/pluginsv2/webhooks",
        "/webhooks/api/v1/webhooks/AAAAAAAAAA",
    ],
)
def test_what_only_looks_like_the_path_of_a_webhook_goes_on_to_airflow(sqlite_database, path):
    inside = Inside(seconds=0)
    endpoint = AsgiEndpoint(inner=inside)
    endpoint.app.mount("/", inside)
    assert endpoint.request("GET", path, headers=JSON).status == 202


@pytest.mark.parametrize("token", ["0" * 64, "short"])
def test_a_base_url_with_a_path_is_guarded(sqlite_orders, token):
    endpoint = AsgiEndpoint(root_path="/airflow")
    path = f"/airflow{PREFIX}/{sqlite_orders.id}/{token}"
    reply = endpoint.request("POST", path, chunks=[ORDER] * 3)
    assert (reply.status, reply.chunks_read) == (404, 0)
    assert reply.json == {"status": "rejected", "error": "Not found."}


def test_other_parts_of_the_server_are_passed_on_untouched(asgi, sqlite_database):
    reply = asgi.request("GET", "/pluginsv2/webhook")
    assert reply.status == 404
    reply = asgi.request("GET", "/monitor/health")
    assert (reply.status, json.loads(reply.body)) == (404, {"detail": "Not Found"})


def test_what_is_not_http_is_passed_on(sqlite_database):
    from inbound_webhooks.receiver.asgi.guard import WebhookGuard

    seen = []

    async def inner(scope, receive, send):
        seen.append(scope["type"])

    guard = WebhookGuard(inner, prefix=PREFIX)
    for kind in ("lifespan", "websocket"):
        asyncio.run(guard({"type": kind, "path": "/live", "query_string": b""}, None, None))
    assert seen == ["lifespan", "websocket"]


def test_a_websocket_on_the_receivers_path_is_closed_and_its_token_hidden(sqlite_orders):
    from inbound_webhooks.receiver.asgi.guard import WebhookGuard

    sent = []

    async def send(message):
        sent.append(message["type"])

    scope = {"type": "websocket", "path": sqlite_orders.path, "query_string": b""}
    asyncio.run(WebhookGuard(None, prefix=PREFIX)(scope, None, send))
    assert sent == ["websocket.close"]
    assert sqlite_orders.token not in scope["path"]


def test_two_webhooks_of_one_dag_have_urls_of_their_own(asgi, sqlite_orders):
    second = store_webhook("second")
    asgi.post(sqlite_orders.path, ORDER)
    asgi.post(second.path, ORDER)
    assert {row.webhook_id for row in rows("delivery")} == {sqlite_orders.id, second.id}


@pytest.fixture
def one_thread():
    """A server whose threads are all taken but one."""
    from anyio.to_thread import current_default_thread_limiter

    async def leave(number: float) -> float:
        limiter = current_default_thread_limiter()
        before, limiter.total_tokens = limiter.total_tokens, number
        return before

    before = on_the_loop(leave(1))
    yield
    on_the_loop(leave(before))


def test_a_receiver_that_needs_a_thread_waits_for_none_that_waits_for_it(orders, configure, one_thread):
    """Flask has the last thread of the server's, and what has to be unpacked goes into another one."""
    headers = [("content-type", "application/json"), ("content-encoding", "gzip")]
    packed = gzip.compress(ORDER)
    sent = AsgiEndpoint().send("POST", orders.path, headers=headers, chunks=[packed])
    reply = on_the_loop(asyncio.wait_for(sent, 10))
    assert reply.status == 202
