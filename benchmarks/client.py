"""An HTTP/1.1 client on kept-alive connections, just large enough to be the same for both sides."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

ANSWER_SECONDS = 30


VARYING = b"00000000-0000-4000-8000-000000000000"
"""What stands in a request for an id that every request has its own of."""


@dataclass(frozen=True)
class Target:
    """A request as bytes, and where it goes on 127.0.0.1; see :data:`VARYING`.

    ``source`` is the address that it comes from; empty for 127.0.0.1.
    """

    port: int
    request: bytes
    varies: bool = False
    source: str = ""

    def next_request(self) -> bytes:
        """The bytes to send now."""
        return self.request.replace(VARYING, str(uuid.uuid4()).encode(), 1) if self.varies else self.request


@dataclass
class Round:
    """What came of one round: answers by status (0: none), seconds of each answer, seconds of the whole."""

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def accepted(self) -> int:
        """How many answers were 2xx."""
        return sum(number for status, number in self.statuses.items() if status // 100 == 2)

    @property
    def a_second(self) -> float:
        """2xx a second."""
        return self.accepted / self.seconds


class Connection(asyncio.Protocol):
    """One request at a time; answers need a Content-Length."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._respond: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    async def send(self, target: Target) -> tuple[int, bytes]:
        """Status and body; ConnectionError or TimeoutError where there is none."""
        loop = asyncio.get_running_loop()
        if self._transport is None:
            source = (target.source, 0) if target.source else None
            await loop.create_connection(lambda: self, "127.0.0.1", target.port, local_addr=source)
        assert self._transport is not None
        self._respond = loop.create_future()
        self._transport.write(target.next_request())
        return await asyncio.wait_for(self._respond, ANSWER_SECONDS)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._transport = None
        if self._respond is not None and not self._respond.done():
            self._respond.set_exception(ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[:end]).lower()
        _, _, rest = head.partition(b"\r\ncontent-length:")
        size = int(rest.partition(b"\r\n")[0])
        body = bytes(self._received[end + 4 :])
        if len(body) < size or self._respond is None or self._respond.done():
            return
        self._received.clear()
        self._respond.set_result((int(head[9:12]), body))


def post(
    port: int, path: str, body: bytes, *, bearer: str = "", headers: Mapping[str, str] | None = None
) -> Target:
    """A POST of JSON."""
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", "User-Agent: benchmark", "Accept: */*"]
    if bearer:
        lines.append(f"Authorization: Bearer {bearer}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    request = "\r\n".join([*lines, "", ""]).encode() + body
    return Target(port, request, varies=VARYING in request)


def get(port: int, path: str) -> Target:
    """A GET."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "User-Agent: benchmark",
        "Accept: */*",
        "",
        "",
    ]
    return Target(port, "\r\n".join(lines).encode())


@asynccontextmanager
async def opened(number: int) -> AsyncIterator[list[Connection]]:
    """So many connections, closed at the end."""
    connections = [Connection() for _ in range(number)]
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


async def load(target: Target, *, connections: int, seconds: float) -> Round:
    """Send for so long, each connection its next request when the last is answered; all answers count."""
    result = Round()
    started = time.perf_counter()
    async with opened(connections) as channels:
        await asyncio.gather(*(_send_until(started + seconds, one, target, result) for one in channels))
    result.seconds = time.perf_counter() - started
    return result


async def _send_until(end: float, connection: Connection, target: Target, result: Round) -> None:
    while (sent_at := time.perf_counter()) < end:
        result.statuses[await status_of(connection, target)] += 1
        result.latencies.append(time.perf_counter() - sent_at)


async def status_of(connection: Connection, target: Target) -> int:
    """The status of one answer, 0 where there is none."""
    try:
        return (await connection.send(target))[0]
    except (OSError, TimeoutError, asyncio.TimeoutError):
        connection.close()
        return 0
