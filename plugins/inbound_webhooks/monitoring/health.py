"""Unauthenticated health report for monitors: three figures, no names."""

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
"""A dispatcher without a heartbeat for this long counts as stopped."""

FRESH_SECONDS = 1.0
CACHE_FACTOR = 10
"""A report is cached for a second, or ten times as long as it took: a client that asks without pause keeps
the database busy for a tenth of the time at most."""


@dataclass(frozen=True)
class Report:
    """A response to a monitor; the status is 200 or 503."""

    status: int
    document: dict[str, Any]


@dataclass(frozen=True)
class DatabaseStatus:
    """What the database knows: deliveries that wait for their run, arrival of the oldest one, and the latest
    heartbeat of a dispatcher."""

    backlog: int
    oldest_received_at: datetime | None
    dispatcher_seen_at: datetime | None


class Health:
    """One for each process and event loop; concurrent callers share one read."""

    def __init__(
        self,
        read_figures: Callable[[], DatabaseStatus],
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self._read_figures = read_figures
        self._clock = clock
        self._now = now
        self._reading = asyncio.Lock()
        self._cached: Report | None = None
        self._fresh_until = float("-inf")

    async def report(self) -> Report:
        """The newest report, read again when it has expired; waiting callers occupy no thread."""
        async with self._reading:
            if self._cached is None or self._clock() >= self._fresh_until:
                started = self._clock()
                # A thread, since the database call blocks; those that wait for the lock need none.
                self._cached = await anyio.to_thread.run_sync(self._read)
                # From its end on, so that a slow report is not expired before it is sent.
                ended = self._clock()
                self._fresh_until = ended + max(FRESH_SECONDS, CACHE_FACTOR * (ended - started))
            return self._cached

    def _read(self) -> Report:
        try:
            database = self._read_figures()
        except DatabaseUnavailable:
            return Report(503, {"status": "database_unavailable"})
        seen_at, oldest = database.dispatcher_seen_at, database.oldest_received_at
        now = self._now()
        silent = None if seen_at is None else _seconds(now, seen_at)
        alive = silent is not None and silent < HEARTBEAT_TIMEOUT_SECONDS
        return Report(
            200 if alive else 503,
            {
                "status": "ok" if alive else "no_dispatcher",
                "backlog": database.backlog,
                "oldest_undispatched_seconds": None if oldest is None else _seconds(now, oldest),
                "dispatcher_seen_at": None if seen_at is None else seen_at.isoformat(),
                "dispatcher_silent_seconds": silent,
            },
        )


def _seconds(now: datetime, then: datetime) -> float:
    # Not below zero: the other host's clock may be ahead.
    return max(0.0, round((now - then).total_seconds(), 3))
