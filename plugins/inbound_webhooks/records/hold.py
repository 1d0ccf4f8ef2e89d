"""The hold of a webhook, and the hours in which its deliveries start."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time


class Hold:
    """What a webhook's ``hold`` says; None where it has none."""

    HELD = "held"
    RELEASING = "releasing"
    """Held deliveries go on in their order, and new ones follow behind them."""


WINDOW_CHARS = 11
NOT_A_WINDOW = "it is no window of time, such as 22:00-06:00"

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class TimeWindow:
    """The hours of each day from ``start`` until ``end``; past midnight where the end is earlier."""

    start: time
    end: time

    @classmethod
    def parse(cls, text: str) -> TimeWindow | None:
        """``22:00-06:00``; None for anything else, and for a window of no time."""
        found = _WINDOW.fullmatch(text)
        if found is None:
            return None
        hour, minute, last_hour, last_minute = map(int, found.groups())
        window = cls(time(hour, minute), time(last_hour, last_minute))
        return None if window.start == window.end else window

    def contains(self, local: datetime) -> bool:
        """Whether a time of the installation's time zone is in the window."""
        at = local.time()
        if self.start < self.end:
            return self.start <= at < self.end
        return at >= self.start or at < self.end


def is_open(window: str | None, local: datetime) -> bool:
    """Whether deliveries may start now; always, without a window, and never in one that cannot be read."""
    if window is None:
        return True
    found = TimeWindow.parse(window)
    return found is not None and found.contains(local)
