"""Unauthenticated health report for monitors: figures and problems, no names of webhooks or DAGs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from inbound_webhooks.errors import DatabaseUnavailable, Problem
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.environment import ENVIRONMENT, Environment

HEARTBEAT_TIMEOUT_SECONDS = 60
"""A dispatcher without a heartbeat for this long counts as stopped."""

DATABASE_UNAVAILABLE = "database-unavailable"
"""The code of that problem."""

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
    """What the database knows: deliveries that wait for their run, arrival of the oldest one, the latest
    heartbeat of a dispatcher, and deliveries that are held."""

    backlog: int
    oldest_received_at: datetime | None
    dispatcher_seen_at: datetime | None
    held: int = 0


class Health:
    """One for each process and event loop; concurrent callers share one read.

    ``read_status`` raises DatabaseUnavailable; it is None where a wrong setting keeps the endpoint from
    opening connections, and the report then has no figures. ``count_queued`` counts the runs that wait for
    Airflow's scheduler; None without a limit on them. A problem of the database is also one of the
    environment, so the first report tells the log what is wrong from the start.
    """

    def __init__(
        self,
        read_status: Callable[[], Awaitable[DatabaseStatus]] | None,
        *,
        count_queued: Callable[[], Awaitable[int | None]] | None = None,
        environment: Environment = ENVIRONMENT,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._read_status = read_status
        self._count_queued = count_queued
        self._environment = environment
        self._clock = clock
        self._now = now
        self._reading = asyncio.Lock()
        self._cached: Report | None = None
        self._fresh_until = float("-inf")

    async def report(self) -> Report:
        """The newest report, read again when it has expired."""
        async with self._reading:
            if self._cached is None or self._clock() >= self._fresh_until:
                started = self._clock()
                self._cached = await self._read()
                # From its end on, so that a slow report is not expired before it is sent.
                ended = self._clock()
                self._fresh_until = ended + max(FRESH_SECONDS, CACHE_FACTOR * (ended - started))
            return self._cached

    async def _read(self) -> Report:
        figures = await self._figures()
        silent = figures.get("dispatcher_silent_seconds")
        problems = self._environment.problems()
        status = _status(problems, silent is not None and silent < HEARTBEAT_TIMEOUT_SECONDS)
        document = {"status": status} | figures
        if problems:
            document["problems"] = [{"code": found.code, "message": found.message} for found in problems]
        return Report(200 if status == "ok" else 503, document)

    async def _figures(self) -> dict[str, Any]:
        """What the database knows; empty, and a problem reported, where it cannot be read."""
        if self._read_status is None:
            return {}
        try:
            database = await self._read_status()
            queued = await self._count_queued() if self._count_queued is not None else None
        except DatabaseUnavailable as error:
            # An error with a code has been reported where it was raised.
            if not error.code:
                self._environment.report(Problem(error.message, code=DATABASE_UNAVAILABLE))
            return {}
        self._environment.resolve(DATABASE_UNAVAILABLE)
        seen_at, oldest, now = database.dispatcher_seen_at, database.oldest_received_at, self._now()
        return {
            "backlog": database.backlog,
            "held": database.held,
            "queued_runs": queued,
            "oldest_undispatched_seconds": None if oldest is None else _seconds(now, oldest),
            "dispatcher_seen_at": None if seen_at is None else seen_at.isoformat(),
            "dispatcher_silent_seconds": None if seen_at is None else _seconds(now, seen_at),
        }


def _status(problems: Sequence[Problem], alive: bool) -> str:
    """``ok``, or the most severe thing that is wrong."""
    stopping = [problem.code for problem in problems if problem.stops]
    if any(code.startswith(("database-", "tables-")) for code in stopping):
        return "database_unavailable"
    if stopping:
        return "misconfigured"
    return "ok" if alive else "no_dispatcher"


def _seconds(now: datetime, then: datetime) -> float:
    # Not below zero: the other host's clock may be ahead.
    return max(0.0, round((now - then).total_seconds(), 3))
