"""Threads of the receiver's own, for what would block its event loop.

The server's threads may all be taken by requests that wait for the receiver, and by Airflow's own pages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread
from anyio.lowlevel import RunVar

Result = TypeVar("Result")

MAX_THREADS = 40
"""On one event loop; as many as anyio has for everybody."""

_limiter: RunVar[anyio.CapacityLimiter] = RunVar("inbound_webhooks_threads")


async def run_in_thread(work: Callable[[], Result]) -> Result:
    """Do work in a thread; whoever is cancelled meanwhile waits for it."""
    return await anyio.to_thread.run_sync(work, limiter=_threads())


def _threads() -> anyio.CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(MAX_THREADS)
        _limiter.set(limiter)
        return limiter
