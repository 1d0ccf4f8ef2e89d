"""Row 3: from the 202 to the DAG run that others can see, at a steady rate."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.client import Connection, Target, opened
from benchmarks.figures import Row, latencies, percentile
from benchmarks.payload import DAG_ID
from benchmarks.scale import Scale
from benchmarks.site import Site, running

GOAL_P50_SECONDS = 0.050
GOAL_P99_SECONDS = 0.250
CONNECTIONS = 4
WATCHERS = 8
POLL_SECONDS = 0.001
GIVE_UP_SECONDS = 30
WARM_UP_POSTS = 20

_SEEN = "SELECT 1 FROM dag_run WHERE dag_id = %s AND run_id = %s"


def measure(site: Site, scale: Scale) -> list[Row]:
    """The row."""
    name = "until_run"
    with running(site.airflow(name, dispatcher=True)) as airflow, Watchers(site, name) as watchers:
        target = site.webhook(airflow.port)
        asyncio.run(_paced(target, watchers, WARM_UP_POSTS, scale.paced_posts_a_second))
        waits = asyncio.run(_paced(target, watchers, scale.paced_posts, scale.paced_posts_a_second))
    p50, p99 = percentile(waits, 50), percentile(waits, 99)
    return [
        Row(
            measured=f"From the 202 to the visible DAG run, {scale.paced_posts_a_second} POSTs a second, "
            f"{len(waits)} POSTs",
            ours=latencies(waits),
            goal="p50 < 50 ms, p99 < 250 ms",
            met=p50 < GOAL_P50_SECONDS and p99 < GOAL_P99_SECONDS,
        )
    ]


class Watchers:
    """Threads with a database connection each, that look for one run until it is there."""

    def __init__(self, site: Site, database: str) -> None:
        self._site = site
        self._database = database
        self._own = threading.local()
        self._connections: list[Any] = []
        self._pool = ThreadPoolExecutor(WATCHERS, initializer=self._connect)

    def __enter__(self) -> Watchers:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        for connection in self._connections:
            connection.close()

    async def seconds_until(self, run_id: str, since: float) -> float:
        """The seconds from ``since`` on the clock perf_counter until another connection sees the run."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._look, run_id, since)

    def _connect(self) -> None:
        connection = self._site.cluster.connect(self._database)
        self._connections.append(connection)
        self._own.cursor = connection.cursor()

    def _look(self, run_id: str, since: float) -> float:
        while True:
            self._own.cursor.execute(_SEEN, (DAG_ID, run_id))
            seen, waited = self._own.cursor.fetchone(), time.perf_counter() - since
            if seen:
                return waited
            if waited > GIVE_UP_SECONDS:
                raise TimeoutError(f"no run {run_id} after {GIVE_UP_SECONDS} s")
            time.sleep(POLL_SECONDS)


async def _paced(target: Target, watchers: Watchers, number: int, a_second: int) -> list[float]:
    """Send at a steady rate whatever the answers take; the seconds of each POST from its 202 to its run."""
    started = time.perf_counter()
    async with opened(CONNECTIONS) as channels:
        free: asyncio.Queue[Connection] = asyncio.Queue()
        for channel in channels:
            free.put_nowait(channel)
        waits = []
        for position in range(number):
            await asyncio.sleep(max(0.0, started + position / a_second - time.perf_counter()))
            waits.append(asyncio.create_task(_one(target, watchers, free)))
        return list(await asyncio.gather(*waits))


async def _one(target: Target, watchers: Watchers, free: asyncio.Queue[Connection]) -> float:
    channel = await free.get()
    status, body = await channel.send(target)
    answered_at = time.perf_counter()
    free.put_nowait(channel)
    if status != 202:
        raise RuntimeError(f"the door answered {status}: {body!r}")
    return await watchers.seconds_until(f"webhook__{json.loads(body)['delivery_id']}", answered_at)
