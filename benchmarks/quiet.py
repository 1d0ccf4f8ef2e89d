"""Waiting for a machine that has nothing left to do from the round before.

adnanh/webhook answers before its commands have run, and an api-server still works off requests whose clients
have given up: without this the next round would pay for it.
"""

from __future__ import annotations

import os
import sys
import time

LOOK_SECONDS = 0.5
GIVE_UP_SECONDS = 90.0

BUSY_SHARE = 0.1
"""Of all cores together: what PostgreSQL's checkpoints and an idle api-server take is less."""

_IDLE = (3, 4)  # idle and iowait: https://docs.kernel.org/filesystems/proc.html, section 1.7


def wait_until_quiet() -> None:
    """Return once all cores together have been idle for a moment; says so where that does not come."""
    give_up_at = time.monotonic() + GIVE_UP_SECONDS
    while _busy_share() > BUSY_SHARE:
        if time.monotonic() > give_up_at:
            print("the machine does not get quiet: the next round is measured beside others", file=sys.stderr)
            return


def _busy_share() -> float:
    before, started = _busy_seconds(), time.monotonic()
    time.sleep(LOOK_SECONDS)
    return (_busy_seconds() - before) / (time.monotonic() - started) / (os.cpu_count() or 1)


def _busy_seconds() -> float:
    with open("/proc/stat") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return sum(number for place, number in enumerate(ticks) if place not in _IDLE) / os.sysconf("SC_CLK_TCK")
