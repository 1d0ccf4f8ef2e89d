"""Silent connections lock no gateway: each address has a share, and the oldest silent ones make room."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.infrastructure.gateway_process import ANSWER_SECONDS, GatewayProcess, until_closed
from tests.infrastructure.webhooks_builder import Hook, rows, store_webhook

LIMIT, SHARE = 20, 5
SILENT_SECONDS = 0.3
ORDER = b'{"number": 1}'


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("connections")


@pytest.fixture
def hook(sqlite_database) -> Hook:
    return store_webhook()


@pytest.fixture
def gateway(home, sqlite_database, hook) -> Iterator[GatewayProcess]:
    settings = {"gateway_max_connections": LIMIT, "gateway_address_connections_percent": 25}
    started = GatewayProcess(home, sqlite_database.url, trusted_proxies="127.0.0.9/32", **settings)
    yield started.wait()
    started.stop()


def head(hook: Hook, length: int = len(ORDER)) -> bytes:
    path = hook.path.removeprefix("/pluginsv2")
    lines = (
        "Host: hooks",
        "Content-Type: application/json",
        f"Content-Length: {length}",
        "Connection: close",
    )
    return "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", ""]).encode()


def connect(gateway: GatewayProcess, last: int) -> socket.socket:
    """A connection from 127.0.0.``last``."""
    return socket.create_connection(
        ("127.0.0.1", gateway.port), timeout=ANSWER_SECONDS, source_address=(f"127.0.0.{last}", 0)
    )


def still_open(connections: list[socket.socket]) -> list[bool]:
    """Whether the server has closed each of them, which it says at once."""
    found = []
    for connection in connections:
        connection.settimeout(SILENT_SECONDS if not any(found) else 0.01)
        try:
            found.append(connection.recv(1) != b"")
        except TimeoutError:
            found.append(True)
        except ConnectionResetError:
            found.append(False)
        connection.settimeout(ANSWER_SECONDS)
    return found


def post(gateway: GatewayProcess, hook: Hook, last: int = 1) -> bytes:
    with connect(gateway, last) as connection:
        with suppress(OSError):  # a gateway that refuses the connection may do so before this
            connection.sendall(head(hook) + ORDER)
        return until_closed(connection)[:12]


def test_silent_connections_keep_no_sender_out(gateway, hook):
    """One story, since a gateway takes seconds to start."""
    with ExitStack() as held:
        # A request in the middle of its body, from the address that is going to send nothing else.
        busy = held.enter_context(connect(gateway, 2))
        busy.sendall(head(hook) + ORDER[:5])
        silent = [held.enter_context(connect(gateway, 2)) for _ in range(40)]
        assert post(gateway, hook) == b"HTTP/1.1 202"
        # Its share, the newest ones; the request keeps its connection.
        assert still_open(silent) == [False] * 36 + [True] * 4
        busy.sendall(ORDER[5:])
        assert until_closed(busy)[:12] == b"HTTP/1.1 202"

        # As many addresses as fill the gateway, each within its share: the oldest makes room.
        many = [held.enter_context(connect(gateway, last)) for last in (3, 4, 5) for _ in range(SHARE)]
        more = held.enter_context(connect(gateway, 6))
        assert post(gateway, hook) == b"HTTP/1.1 202"
        assert still_open([*silent[36:], *many, more]) == [False] + [True] * 19

    # A trusted proxy may hold all of them, and its requests are not given up for silent ones.
    with ExitStack() as held:
        proxied = [held.enter_context(connect(gateway, 9)) for _ in range(LIMIT)]
        for connection in proxied:
            connection.sendall(head(hook) + ORDER[:5])
        assert still_open(proxied) == [True] * LIMIT
        assert post(gateway, hook) == b""
        for connection in proxied:
            connection.sendall(ORDER[5:])
        assert {until_closed(connection)[:12] for connection in proxied} == {b"HTTP/1.1 202"}
    assert len(rows("delivery")) == 3 + LIMIT
