"""Row: from the 202 of a callback to the next line of its task, beside a deferrable sensor that polls."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.figures import Row, latencies, percentile, ratio_upwards
from benchmarks.scale import Scale
from benchmarks.site import Site
from dev.rest import send
from tests.infrastructure.airflow_processes import AirflowProcesses

CALLBACK, SENSOR = "bench_callback", "bench_sensor"
PARKED = "SELECT count(*) FROM task_instance WHERE state IN ('deferred', 'awaiting_input')"
POLL_SECONDS = 5
"""As benchmarks/dags/bench_callback.py has it."""

SETTLE_SECONDS = 12
"""A task is resumed at the earliest `wait_settle_seconds` after it was parked."""

PARKED_SECONDS = 300
LINE_SECONDS = 60
LOOK_SECONDS = 0.01
WARM_UP = 1
GOAL = 3
JSON = {"Content-Type": "application/json"}


def measure(site: Site, scale: Scale) -> list[Row]:
    """The row: both sides in turn, each event once the line of the one before has come."""
    with running(site) as (airflow, folder):
        count = scale.callbacks + WARM_UP
        _park(site, airflow, count)
        sides = [(CALLBACK, _call, ours := []), (SENSOR, _create, theirs := [])]
        for number in range(count):
            for dag_id, happen, taken in sides if number % 2 == 0 else reversed(sides):
                # At any moment between two polls.
                time.sleep(random.uniform(0, POLL_SECONDS))
                taken.append(_seconds_until_line(folder, f"{dag_id}_{number}", happen))
    return [row(ours[WARM_UP:], theirs[WARM_UP:])]


def row(ours: list[float], theirs: list[float]) -> Row:
    """The row of the seconds that both sides took."""
    quotient = percentile(ours, 50) / percentile(theirs, 50)
    return Row(
        measured=f"From the 202 of a callback to the next line of its task, {len(ours)} tasks; in the next "
        f"column from a file to the next line of a deferrable sensor that polls every {POLL_SECONDS} s",
        ours=latencies(ours),
        airflow=latencies(theirs),
        ratio=ratio_upwards(quotient),
        goal=f"p50 ≤ 1/{GOAL}",
        met=quotient * GOAL <= 1,
    )


@contextmanager
def running(site: Site) -> Iterator[tuple[AirflowProcesses, Path]]:
    """A whole Airflow, and the folder in which its tasks leave files."""
    airflow = site.airflow("callbacks", dispatcher=True)
    folder = airflow.home / "callbacks"
    folder.mkdir(parents=True)
    airflow.environment |= {
        "AIRFLOW_CONN_FS_DEFAULT": json.dumps({"conn_type": "fs", "extra": {"path": "/"}}),
        "BENCH_CALLBACKS": str(folder),
    }
    try:
        airflow.start("api-server", "scheduler", "triggerer")
        yield airflow, folder
    finally:
        airflow.stop()


def _park(site: Site, airflow: AirflowProcesses, count: int) -> None:
    """Let so many tasks of each side wait."""
    headers = {**JSON, "Authorization": f"Bearer {airflow.token()}"}
    for number in range(count):
        for dag_id in (CALLBACK, SENSOR):
            run = {"dag_run_id": f"{dag_id}_{number}", "logical_date": None}
            url = f"{airflow.url}/api/v2/dags/{dag_id}/dagRuns"
            response = send(url, data=json.dumps(run).encode(), headers=headers)
            if response.status != 200:
                raise RuntimeError(f"Airflow answered {response.status}: {response.body}")
    airflow.wait_for(
        lambda: site.count("callbacks", PARKED) == 2 * count, what="the waiting tasks", seconds=PARKED_SECONDS
    )
    time.sleep(SETTLE_SECONDS)


def _seconds_until_line(folder: Path, run_id: str, happen: Callable[[Path, str], None]) -> float:
    line = folder / f"{run_id}.line"
    happen(folder, run_id)
    happened_at = time.time()
    while not line.exists():
        if time.time() > happened_at + LINE_SECONDS:
            raise RuntimeError(f"the task of {run_id} does not go on")
        time.sleep(LOOK_SECONDS)
    return float(line.read_text()) - happened_at


def _call(folder: Path, run_id: str) -> None:
    """Call back; the 202 has been read when this returns."""
    url: Any = (folder / f"{run_id}.url").read_text()
    response = send(url, data=b'{"status": "done"}', headers=JSON)
    if response.status != 202:
        raise RuntimeError(f"the endpoint answered {response.status}: {response.body}")


def _create(folder: Path, run_id: str) -> None:
    (folder / f"{run_id}.done").touch()
