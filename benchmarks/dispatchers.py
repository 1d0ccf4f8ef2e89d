"""DAG runs a second of one dispatcher and of two, against those that Airflow's own trigger endpoint makes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.figures import Row, rate, ratio
from benchmarks.posts import WARM_UP_SECONDS, Side
from benchmarks.scale import Scale
from benchmarks.site import Site, running
from tests.infrastructure.airflow_processes import AirflowProcesses

GOAL_RATIO = 3
GOAL_RATIO_OF_TWO = 1.6
CONNECTIONS = 4
WARM_UP = 100
CHECKOUT = Path(__file__).resolve().parents[1]
RUNS = "SELECT count(*) FROM dag_run WHERE run_id LIKE 'webhook\\_\\_%'"


@dataclass(frozen=True)
class Worker:
    """One dispatcher's process: what it is told, and what it answers."""

    commands: IO[str]
    responses: IO[str]

    def tell(self, command: str) -> None:
        """Let it begin."""
        self.commands.write(command + "\n")
        self.commands.flush()

    def response(self) -> dict[str, float]:
        """When it began and ended, in seconds of the machine's clock, and how many runs it made."""
        response: dict[str, float] = json.loads(self.responses.readline())
        return response


def measure(site: Site, scale: Scale) -> tuple[list[Row], list[str]]:
    """The rows, and whether each delivery has its run."""
    name = "dispatchers"
    ones: list[float] = []
    twos: list[float] = []
    with running(site.airflow(name, dispatcher=False)) as airflow, ExitStack() as ended:
        theirs = Side(site.trigger(airflow))
        first, second = (ended.enter_context(worker(airflow)) for _ in range(2))
        theirs.take(CONNECTIONS, WARM_UP_SECONDS, keep=False)
        drained(WARM_UP, first, second)
        for _ in range(scale.dispatcher_rounds):
            theirs.take(CONNECTIONS, scale.round_seconds)
            ones.append(drained(scale.dispatched, first))
            twos.append(drained(scale.dispatched, first, second))
    made, wanted = site.count(name, RUNS), WARM_UP + 2 * scale.dispatcher_rounds * scale.dispatched
    verdict = "equal" if made == wanted else "**not equal**"
    note = f"One dispatcher and two: {wanted:,} deliveries, {made:,} DAG runs ({verdict})."
    return _rows(ones, twos, theirs), [note]


def _rows(ones: list[float], twos: list[float], theirs: Side) -> list[Row]:
    one, two = statistics.median(ones), statistics.median(twos)
    return [
        Row(
            measured=f"DAG runs a second of one dispatcher; of `POST …/dagRuns`, {CONNECTIONS} connections",
            ours=rate(ones),
            airflow=rate([result.a_second for result in theirs.rounds]),
            ratio=ratio(one / theirs.median),
            goal=f"ratio ≥ {GOAL_RATIO}",
            met=one / theirs.median >= GOAL_RATIO,
        ),
        Row(
            measured="DAG runs a second of two dispatchers; in the next column of one",
            ours=rate(twos),
            airflow=rate(ones),
            ratio=ratio(two / one),
            goal=f"ratio ≥ {GOAL_RATIO_OF_TWO} where cores allow",
            met=two / one >= GOAL_RATIO_OF_TWO,
        ),
    ]


def drained(number: int, *workers: Worker, webhook: str = "bench") -> float:
    """Targets a second of so many deliveries, from the first worker's start to the last one's end."""
    workers[0].tell(f"fill {number} {webhook}")
    workers[0].response()
    for worker in workers:
        worker.tell("drain")
    responses = [worker.response() for worker in workers]
    done = sum(response["done"] for response in responses)
    if done != number:
        raise RuntimeError(f"{done:g} of {number} deliveries were dispatched")
    seconds = max(response["ended"] for response in responses) - min(
        response["started"] for response in responses
    )
    return number / seconds


@contextmanager
def worker(airflow: AirflowProcesses) -> Iterator[Worker]:
    """A dispatcher's process for the time of a block."""
    reading, writing = os.pipe()
    with (airflow.home / "dispatcher.log").open("ab") as log, os.fdopen(reading) as responses:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.dispatch_worker", str(writing)],
            cwd=CHECKOUT,
            env=airflow.environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=(writing,),
            text=True,
        )
        os.close(writing)
        assert process.stdin is not None
        try:
            yield Worker(process.stdin, responses)
        finally:
            process.stdin.close()
            process.wait()
