"""Row: from a task's committed result to the response that has waited for it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

from benchmarks.client import Connection, Target, opened, post
from benchmarks.figures import Row, latencies, percentile
from benchmarks.payload import DAG_ID, MAPPING, event
from benchmarks.scale import Scale
from benchmarks.site import Site, create_webhook, running

GOAL_P50_SECONDS = 0.150
TASK_ID = "nothing"
WAITING = 20
"""Requests that wait at the same time, each one sent again when it is answered."""

RUN_SECONDS = 0.5
"""How long a run takes: the responses all wait for that long."""

POLL_SECONDS = 0.02

_NEW_RUNS = "SELECT id, run_id FROM dag_run WHERE dag_id = %s AND id > %s ORDER BY id"
_RESULT = """
    INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp, dag_result)
    VALUES (%s, %s, -1, 'return_value', %s, %s, '{"passed": true}', now(), false)
"""


def measure(site: Site, scale: Scale) -> list[Row]:
    """The row."""
    name = "until_result"
    with running(site.airflow(name, dispatcher=True)) as airflow:
        options = ("--wait", "30", "--result-task", TASK_ID)
        path = create_webhook(airflow, "waiting", MAPPING, *options)
        target = post(airflow.port, path, event())
        with Worker(site, name) as worker:
            asyncio.run(_rounds(target, worker, 1))
            waits = asyncio.run(_rounds(target, worker, max(scale.paced_posts // WAITING, 1)))
    return [
        Row(
            measured=f"From a task's committed result to the response that waits for it, {WAITING} at once, "
            f"{len(waits)} POSTs",
            ours=latencies(waits),
            goal="p50 ≤ 150 ms",
            met=percentile(waits, 50) <= GOAL_P50_SECONDS,
        )
    ]


class Worker:
    """Writes the result of each run some time after the run was created; notes when it was committed."""

    def __init__(self, site: Site, database: str) -> None:
        self._connection: Any = site.cluster.connect(database)
        self._thread = threading.Thread(target=self._work)
        self._ended = threading.Event()
        self.committed_at: dict[str, float] = {}

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._connection.close()

    def _work(self) -> None:
        cursor, last, due = self._connection.cursor(), 0, []
        while not self._ended.wait(POLL_SECONDS):
            now = time.perf_counter()
            cursor.execute(_NEW_RUNS, (DAG_ID, last))
            for key, run_id in cursor.fetchall():
                last = key
                due.append((now + RUN_SECONDS, key, run_id))
            while due and due[0][0] <= now:
                _, key, run_id = due.pop(0)
                cursor.execute(_RESULT, (key, TASK_ID, DAG_ID, run_id))
                self.committed_at[run_id] = time.perf_counter()


async def _rounds(target: Target, worker: Worker, number: int) -> list[float]:
    async with opened(WAITING) as channels:
        of_each = await asyncio.gather(*(_repeat(target, worker, one, number) for one in channels))
    return [wait for waits in of_each for wait in waits]


async def _repeat(target: Target, worker: Worker, channel: Connection, number: int) -> list[float]:
    waits = []
    for _ in range(number):
        status, body = await channel.send(target)
        answered_at = time.perf_counter()
        if status != 200:
            raise RuntimeError(f"the endpoint answered {status}: {body!r}")
        waits.append(answered_at - worker.committed_at[json.loads(body)["run"]["id"]])
    return waits
