"""B's requests at a steady rate, an open loop: what a slow response makes others wait is not left out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from benchmarks.client import Connection, Round, Target, status_of

A_SECOND = 20
"""Of each target: enough for a p99 within seconds, and little work for two cores."""


GIVE_UP_SECONDS = 10.0
"""A request that takes longer counts as one without a response, and as long as that."""


async def paced(targets: Sequence[Target], *, seconds: float) -> list[Round]:
    """Send to each target; latencies count from the time at which a request was due."""
    rounds = [Round(seconds=seconds) for _ in targets]
    free: list[list[Connection]] = [[] for _ in targets]
    started, sent = time.perf_counter(), []
    for number in range(max(1, int(seconds * A_SECOND))):
        due = started + number / A_SECOND
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        sent += [
            asyncio.create_task(_one(target, idle, taken, due))
            for target, idle, taken in zip(targets, free, rounds, strict=True)
        ]
    await asyncio.gather(*sent)
    for connection in (it for idle in free for it in idle):
        connection.close()
    return rounds


async def _one(target: Target, idle: list[Connection], taken: Round, due: float) -> None:
    # A connection more where all of them wait: an open loop has no limit.
    connection = idle.pop() if idle else Connection()
    try:
        status = await asyncio.wait_for(status_of(connection, target), GIVE_UP_SECONDS)
    except (TimeoutError, asyncio.TimeoutError):
        connection.close()
        status = 0
    taken.statuses[status] += 1
    taken.latencies.append(time.perf_counter() - due)
    idle.append(connection)
