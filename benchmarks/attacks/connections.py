"""Attacks by connections that hold something without sending a whole request."""

from __future__ import annotations

import asyncio

from benchmarks.attacks.confs import BODY_BYTES
from benchmarks.attacks.stage import ADDRESS, Attack, Stage

MAX_CONNECTIONS = 100_000
"""Connections that one attack opens in all."""


BUFFER_BYTES = 64 * 1024 * 1024
"""The default of ``max_buffered_bytes``."""

HELD_SECONDS = 30.0


class SlowBodies(Attack):
    """Connections that together fill the memory for bodies to its last bytes, and send no more."""

    title = "holds 46 bodies that never end"
    CONNECTIONS = 46

    async def prepare(self, stage: Stage) -> None:
        """Make the webhook."""
        self.hook = await stage.webhook("slow")

    async def run(self, stage: Stage) -> None:
        """Hold them, and open another connection for each one that is closed."""
        head = stage.target(self.hook, b"x" * BODY_BYTES).request.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        await stage.until_over(*(self._hold(stage, head) for _ in range(self.CONNECTIONS)))

    async def _hold(self, stage: Stage, head: bytes) -> None:
        for _ in range(MAX_CONNECTIONS // self.CONNECTIONS):
            try:
                await self._send_a_part(stage, head)
            except OSError:
                stage.statuses["closed"] += 1
            await asyncio.sleep(0.1)

    async def _send_a_part(self, stage: Stage, head: bytes) -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", stage.endpoint_port, local_addr=(ADDRESS, 0)
        )
        response = asyncio.ensure_future(reader.read(12))
        try:
            writer.write(head + b"x" * (BUFFER_BYTES // self.CONNECTIONS))
            await asyncio.wait({response}, timeout=HELD_SECONDS)
            if response.done():
                stage.statuses[response.result()[9:12].decode() or "closed"] += 1
        finally:
            response.cancel()
            writer.transport.abort()


class SilentConnections(Attack):
    """Connections that say nothing, opened again when the server closes them."""

    title = "holds 2,000 connections without a request"

    async def prepare(self, stage: Stage) -> None:
        """Nothing: it knows no URL."""

    async def run(self, stage: Stage) -> None:
        """Hold them."""
        held: set[asyncio.Transport] = set()
        try:
            await stage.until_over(self._keep_open(stage, held))
        finally:
            for transport in list(held):
                transport.abort()

    async def _keep_open(self, stage: Stage, held: set[asyncio.Transport]) -> None:
        for number in range(MAX_CONNECTIONS):
            # Before Python 3.12 a cancellation is lost where wait_for has its result at the same time.
            if stage.over.is_set():
                return
            if len(held) < stage.silent:
                await self._open(stage, held)
            if len(held) >= stage.silent or number % 100 == 99:
                await asyncio.sleep(0.05)

    @staticmethod
    async def _open(stage: Stage, held: set[asyncio.Transport]) -> None:
        connecting = asyncio.get_running_loop().create_connection(
            lambda: _Silent(held, stage), "127.0.0.1", stage.endpoint_port, local_addr=(ADDRESS, 0)
        )
        try:
            await asyncio.wait_for(connecting, timeout=1)
        except (OSError, TimeoutError, asyncio.TimeoutError):
            stage.statuses["not opened"] += 1
            await asyncio.sleep(0.05)


class _Silent(asyncio.Protocol):
    """Is in the set while it is open."""

    def __init__(self, held: set[asyncio.Transport], stage: Stage) -> None:
        self._held = held
        self._stage = stage

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._held.add(transport)
        self._stage.statuses["opened"] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._held.discard(self._transport)
