"""Threads for blocking calls of the receiver, apart from the server's own pool.

All threads of that pool may be taken by requests that wait for the receiver, and by Airflow's pages.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread
from anyio.lowlevel import RunVar

Result = TypeVar("Result")

MAX_THREADS = 40
"""Threads of one event loop, as many as anyio's default."""

SWITCH_SECONDS = 0.001
"""How long a thread that computes keeps the interpreter from the event loop; Python's default is five times
as long. The loop needs it several times for a request."""

_limiter: RunVar[anyio.CapacityLimiter] = RunVar("inbound_webhooks_threads")


async def run_in_thread(work: Callable[[], Result]) -> Result:
    """Run ``work`` in a thread; a cancelled caller waits for its end: threads cannot be interrupted."""
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(MAX_THREADS)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(work, limiter=limiter)


def switch_threads_often() -> None:
    """Let the event loop of this process have the interpreter soon, while threads compute."""
    sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))
