"""A server that answers 202 and does nothing else: what the client can do at most."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event

from tests.infrastructure.postgres import free_port

_ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class _Answering(asyncio.Protocol):
    def __init__(self, request_bytes: int) -> None:
        self._request_bytes = request_bytes
        self._received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        while self._received >= self._request_bytes:
            self._received -= self._request_bytes
            self._transport.write(_ANSWER)


@contextmanager
def answering(request_bytes: int) -> Iterator[int]:
    """Run the server in a process of its own for requests of so many bytes; gives its port."""
    port, ready = free_port(), multiprocessing.Event()
    process = multiprocessing.Process(target=_run, args=(port, request_bytes, ready), daemon=True)
    process.start()
    try:
        if not ready.wait(10):
            raise TimeoutError("the server that does nothing did not start")
        yield port
    finally:
        process.kill()
        process.join()


def _run(port: int, request_bytes: int, ready: Event) -> None:
    asyncio.run(_serve(port, request_bytes, ready))


async def _serve(port: int, request_bytes: int, ready: Event) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Answering(request_bytes), "127.0.0.1", port)
    ready.set()
    await server.serve_forever()
