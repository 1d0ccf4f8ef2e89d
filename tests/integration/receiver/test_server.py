"""The endpoint behind a real server, with senders that do not keep to the rules."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator

import pytest

from tests.infrastructure.asgi_endpoint import AsgiEndpoint
from tests.infrastructure.asgi_server import SECONDS, AsgiServer
from tests.infrastructure.webhooks_builder import PREFIX, rows, store_webhook

ORDER = b'{"number": 1}'


@pytest.fixture(params=["h11", "httptools"])
def server(request: pytest.FixtureRequest, sqlite_orders, configure) -> Iterator[AsgiServer]:
    configure(body_timeout_seconds=0.3)
    made = AsgiServer(AsgiEndpoint().app, request.param)
    made.start()
    yield made
    made.stop()


def head(path: str, *lines: str, method: str = "POST", close: bool = True) -> bytes:
    more = [*lines, "Content-Type: application/json", *(["Connection: close"] if close else [])]
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: airflow", *more, "", ""]).encode()


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


def status(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])


def test_a_request_with_a_length_is_accepted(server, sqlite_orders):
    response = server.say(head(sqlite_orders.path, "Content-Length: 13"), ORDER)
    assert status(response) == 202
    assert [row.body for row in rows("delivery")] == [ORDER]


def test_a_chunked_request_is_accepted(server, sqlite_orders):
    response = server.say(
        head(sqlite_orders.path, "Transfer-Encoding: chunked"), chunked(b'{"num', b'ber": 1}')
    )
    assert status(response) == 202
    assert [row.body for row in rows("delivery")] == [ORDER]


def test_two_requests_on_one_connection_are_two_deliveries(server, sqlite_orders):
    first = head(sqlite_orders.path, "Content-Length: 13", close=False) + ORDER
    response = server.say(first, head(sqlite_orders.path, "Content-Length: 13") + ORDER)
    assert response.count(b"202 Accepted") == 2
    assert len(rows("delivery")) == 2


@pytest.mark.parametrize(
    "sent",
    [("Content-Length: 13", b'{"numb'), ("Transfer-Encoding: chunked", b"6\r\n" + b'{"numb' + b"\r\n")],
    ids=["length", "chunked"],
)
def test_a_sender_that_goes_half_way_leaves_no_delivery(server, sqlite_orders, sent):
    from inbound_webhooks.receiver.instance import get_receiver

    framing, part = sent
    with server.connect() as connection:
        connection.sendall(head(sqlite_orders.path, framing) + part)
        connection.shutdown(socket.SHUT_RDWR)
    _wait_until(lambda: get_receiver().rejections.flush() or rows("rejection"))
    assert (rows("delivery"), [row.status for row in rows("rejection")]) == ([], [400])


def test_a_slow_sender_gets_its_response_in_time(server, sqlite_orders):
    started = time.monotonic()
    response = server.say(head(sqlite_orders.path, "Content-Length: 13"), b"{")
    assert (status(response), rows("delivery")) == (408, [])
    assert time.monotonic() - started < 2


def test_a_body_that_is_declared_too_large_is_answered_before_it_is_sent(server, sqlite_orders):
    response = server.say(head(sqlite_orders.path, "Content-Length: 2097153"))
    assert status(response) == 413


def test_an_endless_chunked_body_is_answered_while_it_arrives(server, sqlite_orders):
    part = chunked(b"x" * 300_000)[: -len(chunked())]
    with server.connect() as connection:
        connection.sendall(head(sqlite_orders.path, "Transfer-Encoding: chunked"))
        for _ in range(8):
            connection.sendall(part)
        response = connection.recv(65536)
    assert (status(response), rows("delivery")) == (413, [])


def test_a_sender_that_asks_first_is_refused_without_being_asked_for_the_body(server, sqlite_orders):
    wrong = f"{PREFIX}/{sqlite_orders.id}/{'0' * 64}"
    response = server.say(head(wrong, "Content-Length: 13", "Expect: 100-continue"))
    assert status(response) == 404
    assert b"100 Continue" not in response


def test_a_head_request_is_answered_without_a_body(server, sqlite_orders):
    response = server.say(head(sqlite_orders.path, method="HEAD"))
    assert status(response) == 200
    assert response.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("spelling", ["{path}", "{path}/", "{webhooks}"])
def test_the_servers_own_access_log_has_no_token(server, sqlite_orders, caplog, spelling):
    path = spelling.format(
        path=sqlite_orders.path, webhooks=sqlite_orders.path.replace("webhook", "webhooks")
    )
    with caplog.at_level(logging.INFO):
        # Without a body: a server that refuses one may end the connection before its answer is read.
        server.say(head(path + "?key=canary", method="GET"))
    logged = [record.getMessage() for record in caplog.records if record.name == "uvicorn.access"]
    assert len(logged) == 1
    assert sqlite_orders.token not in "".join(logged)


def _wait_until(happened) -> None:
    give_up_at = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.02)


HOSTILE_LINES = [
    *("X-Hub-Signature-256:", "X-Hub-Signature-256: ", "X-Hub-Signature-256: sha256="),
    *("X-Hub-Signature-256: sha256=zz", "X-Hub-Signature-256: sha1=" + "0" * 40),
    "X-Hub-Signature-256: sha256=" + "0" * 63,
    "X-Hub-Signature-256: sha256=" + "0" * 60_000,
    "X-Hub-Signature-256: sha256=\u0663\xfc".encode().decode("latin-1"),
    "X-Hub-Signature-256: sha256=" + "0" * 64 + "\r\nX-Hub-Signature-256: sha256=" + "1" * 64,
    "X_Hub_Signature_256: sha256=" + "0" * 64,
    "X-Hub-Signature-256: v1=0,v1=0,t=1, v1 = 2",
]


@pytest.mark.parametrize("line", HOSTILE_LINES, ids=range(len(HOSTILE_LINES)))
def test_a_hostile_signature_is_401_over_the_wire(server, line):
    hook = store_webhook("github", preset="github", secrets={"signing": "a secret"})
    sent = head(hook.path, "Content-Length: 13", "REPLACED").replace(b"REPLACED", line.encode("latin-1"))
    response = server.say(sent, ORDER)
    assert (status(response), rows("delivery")) == (401, [])
    assert response.endswith(b'{"status": "rejected", "error": "Unauthorized."}')


def test_a_signed_request_is_accepted_over_the_wire(server):
    """The octokit library's own example."""
    hook = store_webhook("github", preset="github", secrets={"signing": "mysecret"})
    signature = "4864d2759938a15468b5df9ade20bf161da9b4f737ea61794142f3484236bda3"
    line = f"X-Hub-Signature-256: sha256={signature}"
    assert status(server.say(head(hook.path, "Content-Length: 13", line), b'{"foo":"bar"}')) == 202
