"""How the installation is, in three figures that name nothing: for monitors, without a login."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import anyio.to_thread

from inbound_webhooks.errors import DatabaseUnavailable

HEARTBEAT_TIMEOUT_SECONDS = 60
"""A dispatcher that was not seen for so long is not at work."""

FRESH_SECONDS = 1.0
SHARE = 10
"""A report counts for a second, and for ten times as long as it took: whoever asks without end keeps the
database busy a tenth of the time at most."""


@dataclass(frozen=True)
class Report:
    """What a monitor reads; the status is 200 or 503."""

    status: int
    document: dict[str, Any]


@dataclass(frozen=True)
class Figures:
    """What the database says: accepted deliveries that wait for their run, when the oldest of them came, and
    when a dispatcher was last seen."""

    backlog: int
    oldest_received_at: datetime | None
    dispatcher_seen_at: datetime | None


class Health:
    """One for each process and event loop; many may ask at once, one of them reads."""

    def __init__(
        self,
        read_figures: Callable[[], Figures],
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self._read_figures = read_figures
        self._clock = clock
        self._now = now
        self._looking = asyncio.Lock()
        self._held: Report | None = None
        self._fresh_until = float("-inf")

    async def report(self) -> Report:
        """The newest report, at most a moment old; those who wait for it hold no thread."""
        async with self._looking:
            if self._held is None or self._clock() >= self._fresh_until:
                started = self._clock()
                self._held = await anyio.to_thread.run_sync(self._look)
                ended = self._clock()
                self._fresh_until = ended + max(FRESH_SECONDS, SHARE * (ended - started))
            return self._held

    def _look(self) -> Report:
        try:
            figures = self._read_figures()
        except DatabaseUnavailable:
            return Report(503, {"status": "database_unavailable"})
        seen_at, oldest = figures.dispatcher_seen_at, figures.oldest_received_at
        now = self._now()
        silent = None if seen_at is None else _seconds(now, seen_at)
        alive = silent is not None and silent < HEARTBEAT_TIMEOUT_SECONDS
        return Report(
            200 if alive else 503,
            {
                "status": "ok" if alive else "no_dispatcher",
                "backlog": figures.backlog,
                "oldest_undispatched_seconds": None if oldest is None else _seconds(now, oldest),
                "dispatcher_seen_at": None if seen_at is None else seen_at.isoformat(),
                "dispatcher_silent_seconds": silent,
            },
        )


def _seconds(now: datetime, then: datetime) -> float:
    return max(0.0, round((now - then).total_seconds(), 3))
