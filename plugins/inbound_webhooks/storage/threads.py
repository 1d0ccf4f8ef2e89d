"""Threads for blocking calls of the receiver, apart from the server's own pool.

All threads of that pool may be taken by requests that wait for the receiver, and by Airflow's pages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread
from anyio.lowlevel import RunVar

Result = TypeVar("Result")

MAX_THREADS = 40
"""Threads of one event loop, as many as anyio's default."""

_limiter: RunVar[anyio.CapacityLimiter] = RunVar("inbound_webhooks_threads")


async def run_in_thread(work: Callable[[], Result]) -> Result:
    """Run ``work`` in a thread; a cancelled caller waits for its end: threads cannot be interrupted."""
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(MAX_THREADS)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(work, limiter=limiter)
