"""Turns hourly counts into the shapes of two charts; the templates draw them as SVG without styles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from inbound_webhooks.records.activity import FAILED_STATES, Activity, Counted, Histogram, start_of
from inbound_webhooks.records.delivery import State

HOURS = (24, 168)
"""Periods of a chart; each bar is an hour."""

HEIGHT = 100.0
"""Of a chart, in the units of its viewBox."""

SMALLEST = 1.5
"""Height of the smallest part that is still to be seen."""

_FIRST = (*FAILED_STATES, State.SUCCEEDED)
STACK = (*_FIRST, *(state for state in State.ALL if state not in _FIRST))
"""States from the bottom of a bar to its top: what needs attention stands on the axis."""

TICKS = ((0.1, "100 ms"), (1, "1 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (3600, "1 h"))
"""Bounds of equal distance on the axis of latencies."""


@dataclass(frozen=True)
class Part:
    """One state in a bar."""

    state: str
    count: int
    y: float
    height: float


@dataclass(frozen=True)
class Span:
    """A bar of a latency: from the median up to what 95 % do not exceed."""

    y: float
    height: float


@dataclass(frozen=True)
class Bar:
    """The deliveries of an hour; ``hours_ago``: (from, to), counted from the end of the current hour."""

    counted: Counted
    starts_at: datetime
    hours_ago: tuple[int, int]
    parts: tuple[Part, ...]
    to_run: Span | None
    to_task: Span | None
    is_uncounted: bool


@dataclass(frozen=True)
class Chart:
    """All bars, oldest first, and what they are together."""

    hours: int
    bars: tuple[Bar, ...]
    together: Counted
    is_cut: bool
    ticks: tuple[str, ...]

    @property
    def highest(self) -> int:
        """Number of deliveries of the highest bar."""
        return max((bar.counted.total for bar in self.bars), default=0)

    @property
    def states(self) -> list[str]:
        """The states that occur, as they are stacked."""
        return stacked(self.together.states)


def stacked(states: Iterable[str]) -> list[str]:
    """States in the order of :data:`STACK`; those that it does not know come last."""
    return sorted(states, key=lambda state: (STACK.index(state) if state in STACK else len(STACK), state))


def chart(activity: Activity, hours: int) -> Chart:
    """The chart of the last ``hours``, one of :data:`HOURS`; ``activity`` has at least as many."""
    counted = activity.hours[-hours:]
    highest = max((one.total for one in counted), default=0)
    ticks = _ticks(counted)
    first = activity.first_hour + len(activity.hours) - hours
    uncounted = {activity.first_hour + position for position in activity.uncounted_hours}
    bars = tuple(
        Bar(
            one,
            start_of(first + index),
            (hours - index, hours - index - 1),
            _parts(one, highest),
            _span(one.to_run, ticks),
            _span(one.to_task, ticks),
            first + index in uncounted,
        )
        for index, one in enumerate(counted)
    )
    labels = tuple(label for _, label in TICKS[:ticks])
    return Chart(hours, bars, Counted.merged(counted), activity.is_cut, labels)


def _parts(one: Counted, highest: int) -> tuple[Part, ...]:
    parts, top = [], HEIGHT
    for state in stacked(one.states):
        height = max(one.states[state] / highest * HEIGHT, SMALLEST)
        # The smallest parts are drawn too high: the bar must not leave the chart.
        height = min(height, top)
        top -= height
        parts.append(Part(state, one.states[state], round(top, 2), round(height, 2)))
    return tuple(parts)


def _ticks(counted: Sequence[Counted]) -> int:
    """How many ticks the axis of latencies needs."""
    shown = [one for each in counted for one in (each.to_run.seconds(0.95), each.to_task.seconds(0.95))]
    longest = max((one for one in shown if one is not None), default=0.0)
    return next(
        (index for index, (bound, _) in enumerate(TICKS, 1) if bound >= longest and index > 2), len(TICKS)
    )


def _span(latency: Histogram, ticks: int) -> Span | None:
    median, most = latency.seconds(0.5), latency.seconds(0.95)
    if median is None or most is None:
        return None
    low, high = _height(median, ticks), _height(most, ticks)
    height = max(high - low, 2 * SMALLEST)
    return Span(round(max(HEIGHT - low - height, 0.0), 2), round(height, 2))


def _height(seconds: float, ticks: int) -> float:
    """Where a latency is on the axis: logarithmic between two ticks."""
    step = HEIGHT / ticks
    bounds = [TICKS[0][0] / 10, *(bound for bound, _ in TICKS[:ticks])]
    for index in range(ticks):
        if seconds <= bounds[index + 1]:
            share = math.log(max(seconds, bounds[index]) / bounds[index])
            return step * (index + share / math.log(bounds[index + 1] / bounds[index]))
    return HEIGHT
