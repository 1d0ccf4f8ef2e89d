"""Deliveries counted by the hour, and how long their runs took to start, in fixed buckets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from math import isinf
from typing import Any

import msgspec

from inbound_webhooks.records.delivery import State

HOUR_SECONDS = 3600

FAILED_STATES = (State.REFUSED, State.UNDELIVERABLE, State.FAILED)
"""States of deliveries that a user has to look at."""

BUCKET_SECONDS = (
    0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 45,
    60, 120, 300, 600, 1800, 3600, 7200,
)  # fmt: skip
"""Upper bounds of the buckets of a latency; one more bucket takes everything longer."""

MAX_HOURS = 24 * 31
"""Most hours that one request may ask for."""


def hour_of(moment: datetime) -> int:
    """Hours since 1970: the number of the hour that a moment lies in."""
    return int(moment.timestamp() // HOUR_SECONDS)


def start_of(hour: int) -> datetime:
    """The first moment of an hour."""
    return datetime.fromtimestamp(hour * HOUR_SECONDS, timezone.utc)


@dataclass(frozen=True)
class Histogram:
    """Numbers of durations, by index of their bucket."""

    counts: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, durations: Iterable[timedelta]) -> Histogram:
        """Count durations; a negative one, of two hosts whose clocks differ, counts as none."""
        counts: dict[int, int] = {}
        for duration in durations:
            bucket = bisect_left(BUCKET_SECONDS, duration.total_seconds())
            counts[bucket] = counts.get(bucket, 0) + 1
        return cls(counts)

    @classmethod
    def merged(cls, parts: Iterable[Histogram]) -> Histogram:
        """The durations of several histograms together."""
        counts: dict[int, int] = {}
        for part in parts:
            for bucket, number in part.counts.items():
                counts[bucket] = counts.get(bucket, 0) + number
        return cls(counts)

    @classmethod
    def loads(cls, text: str | None) -> Histogram:
        """Read :meth:`dumps`."""
        return cls(msgspec.json.decode(text, type=dict[int, int]) if text else {})

    def dumps(self) -> str | None:
        """JSON object, bucket -> number; None without any duration."""
        return msgspec.json.encode(dict(sorted(self.counts.items()))).decode() if self.counts else None

    @property
    def total(self) -> int:
        """Number of durations."""
        return sum(self.counts.values())

    def seconds(self, share: float) -> float | None:
        """The bound that this share of the durations does not exceed: the upper bound of a bucket.

        None without any duration; infinity where the bound lies beyond the last bucket's.
        """
        wanted, seen = share * self.total, 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return BUCKET_SECONDS[bucket] if bucket < len(BUCKET_SECONDS) else float("inf")
        return None


@dataclass(frozen=True)
class Counted:
    """The deliveries of an hour, or of several: numbers by state, and latencies.

    ``to_run``: from the receipt until the run was created; ``to_task``: until its first task started.
    """

    states: Mapping[str, int] = field(default_factory=dict)
    to_run: Histogram = field(default_factory=Histogram)
    to_task: Histogram = field(default_factory=Histogram)

    @classmethod
    def merged(cls, parts: Sequence[Counted]) -> Counted:
        """The deliveries of several parts together."""
        states: dict[str, int] = {}
        for part in parts:
            for state, number in part.states.items():
                states[state] = states.get(state, 0) + number
        return cls(
            states,
            Histogram.merged(part.to_run for part in parts),
            Histogram.merged(part.to_task for part in parts),
        )

    @property
    def total(self) -> int:
        """Number of deliveries."""
        return sum(self.states.values())

    @property
    def failed(self) -> int:
        """Number of deliveries that a user has to look at."""
        return sum(self.states.get(state, 0) for state in FAILED_STATES)


@dataclass(frozen=True)
class Activity:
    """Deliveries of the hours from ``first_hour`` on, the last of which is the current one.

    ``live_from``: the first hour that has not been counted since it ended. ``cut_at``: the hour among these
    in which there were too many deliveries to be counted now, with all before it.
    """

    first_hour: int
    hours: tuple[Counted, ...]
    cut_at: int | None = None
    live_from: int = 0

    @property
    def together(self) -> Counted:
        """All hours in one."""
        return Counted.merged(self.hours)

    @property
    def total(self) -> int:
        """Number of deliveries."""
        return sum(hour.total for hour in self.hours)

    @property
    def failed(self) -> int:
        """Number of deliveries that a user has to look at."""
        return sum(hour.failed for hour in self.hours)

    @property
    def is_cut(self) -> bool:
        """Whether there may be more deliveries than are counted."""
        return self.cut_at is not None

    @property
    def uncounted_hours(self) -> range:
        """Positions of hours that are empty only because counting stopped before them."""
        if self.cut_at is None:
            return range(0)
        return range(max(self.live_from - self.first_hour, 0), self.cut_at - self.first_hour)


def as_data(activity: Activity) -> dict[str, Any]:
    """The activity for programs: ``is_complete``, ``total``, and ``hours``, oldest first.

    An hour has ``hour`` (its first moment), ``deliveries``, ``states``, ``to_run`` and ``to_task``.
    """
    hours = enumerate(activity.hours, activity.first_hour)
    return {
        "is_complete": not activity.is_cut,
        "total": _counted(activity.together),
        "hours": [{"hour": start_of(number), **_counted(hour)} for number, hour in hours],
    }


def _counted(counted: Counted) -> dict[str, Any]:
    return {
        "deliveries": counted.total,
        "states": dict(counted.states),
        "to_run": _latency(counted.to_run),
        "to_task": _latency(counted.to_task),
    }


def _latency(latency: Histogram) -> dict[str, Any]:
    return {
        "count": latency.total,
        "p50_seconds": _finite(latency.seconds(0.5)),
        "p95_seconds": _finite(latency.seconds(0.95)),
    }


def _finite(seconds: float | None) -> float | None:
    """None for infinity, which JSON does not know."""
    return None if seconds is None or isinf(seconds) else float(seconds)
