"""The responses of one event loop that wait for a run: one query for all of them, ten times a second.

A waiter holds a place here and its connection, and nothing else: no slot, no thread and no body.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from inbound_webhooks.airflow_bridge.run_results import Found, Sought
from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.loop import Failures
from inbound_webhooks.settings import Settings

TICK_SECONDS = 0.1
"""How often results are looked for: of what a response waits, it adds half of that."""

LONGEST_TICK_SECONDS = 5.0
"""While the database is unavailable, the pause doubles with each failure up to this."""

LOOP = "results"

LookUp = Callable[[Sequence[Sought]], Awaitable[Mapping[Sought, Found]]]


class NoRoom(Exception):
    """No response may wait: too many do, or the process is about to end."""


class Waiters:
    """Waits for results; belongs to one event loop."""

    def __init__(self, settings: Settings, look_up: LookUp) -> None:
        self._most = settings.max_waiters
        self._share = max(self._most * settings.webhook_waiters_percent // 100, 1)
        self._look_up = look_up
        self._waiting: dict[Sought, list[asyncio.Future[Found | None]]] = {}
        self._of_webhook: Counter[str] = Counter()
        self._ticking: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def number(self) -> int:
        """How many responses wait."""
        return self._of_webhook.total()

    async def wait(self, webhook_id: str, sought: Sought, seconds: float) -> Found | None:
        """Wait for a result; None where there is none in time, or the process is about to end.

        :raises NoRoom: too many responses wait, in all or of this webhook
        """
        if (
            self._stopping.is_set()
            or self.number >= self._most
            or self._of_webhook[webhook_id] >= self._share
        ):
            raise NoRoom
        future: asyncio.Future[Found | None] = asyncio.get_running_loop().create_future()
        self._of_webhook[webhook_id] += 1
        self._waiting.setdefault(sought, []).append(future)
        if self._ticking is None:
            self._ticking = asyncio.ensure_future(self._tick())
        try:
            await asyncio.wait([future], timeout=seconds)
            return future.result() if future.done() else None
        finally:
            future.cancel()
            self._leave(webhook_id, sought, future)

    def stop(self) -> None:
        """End all waits: the process is about to end."""
        self._stopping.set()
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_result(None)

    async def close(self) -> None:
        """End all waits, and return when no thread looks for results any more."""
        self.stop()
        if self._ticking is not None:
            # Not cancelled: its thread would go on with a query while the database's connections are closed.
            await asyncio.gather(self._ticking, return_exceptions=True)

    def _leave(self, webhook_id: str, sought: Sought, future: asyncio.Future[Found | None]) -> None:
        self._of_webhook[webhook_id] -= 1
        if not self._of_webhook[webhook_id]:
            del self._of_webhook[webhook_id]
        futures = self._waiting[sought]
        futures.remove(future)
        if not futures:
            del self._waiting[sought]

    async def _tick(self) -> None:
        """Look for results while any response waits."""
        failures, pause = Failures(LOOP, seconds=TICK_SECONDS), TICK_SECONDS
        try:
            while not await self._stops_within(pause) and self._waiting:
                pause = await self._look(failures, pause)
        finally:
            self._ticking = None
            metrics.gauge("waiters", self.number)

    async def _stops_within(self, seconds: float) -> bool:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _look(self, failures: Failures, pause: float) -> float:
        """Look once, whatever it raises; return the seconds until the next time."""
        metrics.gauge("waiters", self.number)
        try:
            found = await self._look_up(list(self._waiting))
        except DatabaseUnavailable:
            return min(2 * pause, LONGEST_TICK_SECONDS)  # logged already
        except Exception as error:  # noqa: BLE001 - one failed round must not end the waits
            return min(failures.note(error), LONGEST_TICK_SECONDS)
        failures.end()
        for sought, state in found.items():
            for future in self._waiting.get(sought, ()):
                if not future.done():
                    future.set_result(state)
        return TICK_SECONDS
