"""Counts the deliveries of each hour, several times while their states may still change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.activity import hour_of, start_of
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import activity_counts
from inbound_webhooks.storage.activity_counts import HourRow
from inbound_webhooks.storage.database import begin_writing, transaction

LOOK_SECONDS = 10.0
"""Time between two rounds."""

ROUND_SECONDS = 5.0
"""After this time a round begins no further hour."""

REST = 20
"""A counter rests this many times as long as a round took: it takes a twentieth of one connection at most."""

SLICE = 100
"""Webhooks that are counted and stored together."""

PLANNED = tuple(
    timedelta(**age)
    for age in ({"minutes": 1}, {"hours": 1}, {"hours": 6}, {"days": 1}, {"days": 3}, {"days": 7})
)
"""Ages after its end at which an hour is counted in full: a run may be cleared after it has ended, and a
delivery may have been received by a host whose clock is behind."""

RECOUNT_SECONDS = 60.0
"""Shortest time between two counts of the current hour, or of an hour with unfinished deliveries."""

RECOUNT_SHARE = 20
"""An older hour with unfinished deliveries is counted again after this part of its age."""

LOOKED_BACK = PLANNED[-1] + timedelta(days=1)
"""How old an hour may be that was never counted, or not for the last time."""

Find = Callable[..., list[str]]


@dataclass(frozen=True)
class Due:
    """An hour to count; ``find`` names its webhooks, ``passes`` is how many planned counts are done then."""

    row: HourRow
    find: Find
    passes: int


class ActivityCounter:
    """Any number may run at once: what one of them stores, another that counted before does not overwrite."""

    def __init__(
        self,
        settings: Settings,
        *,
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = time.monotonic,
        slice_size: int = SLICE,
    ) -> None:
        self._kept = timedelta(days=settings.retention_days)
        self._now = now
        self._clock = clock
        self._slice_size = slice_size
        self._stopping = False
        self._rests_until = float("-inf")

    def stop(self) -> None:
        """Let :meth:`count` return after the current slice."""
        self._stopping = True

    def count(self) -> int:
        """Count the hours that are due, as far as the time of a round reaches; return how many.

        :raises DatabaseUnavailable: the next round counts the rest
        """
        started = self._clock()
        if started < self._rests_until:
            return 0
        done = 0
        for due in self._due():
            if self._stopping or self._clock() - started >= ROUND_SECONDS:
                break
            done += self._count_hour(due)
        self._rests_until = self._clock() + REST * (self._clock() - started)
        return done

    def count_ended(self) -> int:
        """Count every hour that has not been counted since it ended; return how many.

        Before old deliveries are deleted: a dispatcher that was away must not delete what it has not counted.
        """
        ended = [due for due in self._due() if due.row.passes == 0 and due.passes]
        return sum(self._count_hour(due) for due in ended)

    def _due(self) -> Iterator[Due]:
        """The hours to count, oldest first."""
        rows, unfinished = self._read_hours()
        for row in rows:
            # How many planned counts of the hour should be done by now.
            age = self._now() - start_of(row.hour + 1)
            passes = sum(age >= planned for planned in PLANNED)
            if passes > row.passes and self._is_whole(row):
                yield Due(row, activity_counts.webhooks_with_deliveries, passes)
            elif not passes and self._is_stale(row):
                yield Due(row, activity_counts.webhooks_with_deliveries, 0)
            elif row.counted_at is None or (row.hour in unfinished and self._is_stale(row)):
                find = activity_counts.webhooks_with_unfinished if self._is_whole(row) else _no_webhooks
                yield Due(row, find, row.passes)

    def _read_hours(self) -> tuple[list[HourRow], set[int]]:
        """The hours that may be counted, with new ones noted, and those with unfinished deliveries."""
        now = self._now()
        last, first = hour_of(now), hour_of(now - LOOKED_BACK)
        with transaction() as connection:
            rows = activity_counts.hour_rows(connection, first)
            begin = rows[-1].hour + 1 if rows else max(first, activity_counts.oldest_hour(connection, last))
        missing = range(begin, last + 1)
        if missing:
            with transaction() as connection:
                activity_counts.add_hours(connection, missing)
        with transaction() as connection:
            unfinished = activity_counts.hours_with_unfinished(connection, first)
            return activity_counts.hour_rows(connection, first), unfinished

    def _is_whole(self, row: HourRow) -> bool:
        """Whether all deliveries of an hour are still there, as far as it has been counted at all."""
        return row.passes == 0 or start_of(row.hour) + self._kept > self._now() + timedelta(hours=1)

    def _is_stale(self, row: HourRow) -> bool:
        if row.counted_at is None:
            return True
        age = (self._now() - start_of(row.hour)).total_seconds()
        return self._now() - row.counted_at >= timedelta(seconds=max(RECOUNT_SECONDS, age / RECOUNT_SHARE))

    def _count_hour(self, due: Due) -> bool:
        """Count an hour slice by slice; False where another counter is at it, or at a stop."""
        row, after = due.row, ""
        while not self._stopping:
            with transaction() as connection:
                ids = due.find(connection, row.hour, after=after, limit=self._slice_size)
                counts = activity_counts.count_hour(connection, row.hour, ids) if ids else {}
            # Counted before the transaction that writes: on SQLite all others would wait for it.
            with transaction() as connection:
                begin_writing(connection)
                if not activity_counts.claim_hour(connection, row):
                    return False
                if not ids:
                    activity_counts.finish_hour(connection, row, passes=due.passes, at=self._now())
                    return True
                activity_counts.store_counts(connection, row.hour, ids, counts)
            row, after = replace(row, version=row.version + 1), ids[-1]
        return False


def _no_webhooks(*_given: Any, **_more: Any) -> list[str]:
    return []
