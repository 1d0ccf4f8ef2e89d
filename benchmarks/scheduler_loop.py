"""The loop of Airflow's scheduler: how long it takes in a flood of events, and with all of them on hold."""

from __future__ import annotations

import asyncio
import re
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.batches import offered_a_second
from benchmarks.client import post
from benchmarks.figures import Row, ratio_upwards
from benchmarks.gateway import at_gateway, gateway_on, paced
from benchmarks.payload import MAPPING, event
from benchmarks.posts import Side, comparison
from benchmarks.scale import Scale
from benchmarks.site import Site, command, create_webhook

DAG_ID = "bench_started"
NAME, PLAIN = "flood", "bench"
MAX_QUEUED_RUNS = 200
WATCHED_SECONDS = 30
"""How long the scheduler is watched after the last event."""
GOAL_TIMES_HOLD = 1.5
START_SECONDS = 60

LOOP = re.compile(rb"scheduler\.scheduler_loop_duration:([0-9.]+)\|ms")
"""Airflow's timer, as StatsD gets it: Airflow's documentation, *Metrics*."""

STORED = "SELECT count(*) FROM inbound_webhook_delivery"
RUNS = "SELECT count(*) FROM dag_run"


class Loops:
    """A StatsD server of its own thread, which notes how long each loop has taken, in milliseconds."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._taken: list[float] = []

    def listen(self) -> None:
        """Take what comes until an empty packet."""
        while packet := self._server.recv(65_536):
            self._taken += map(float, LOOP.findall(packet))

    def begin(self) -> None:
        """Forget what has been noted, once the scheduler is at work."""
        give_up_at = time.monotonic() + START_SECONDS
        while not self._taken:
            if time.monotonic() > give_up_at:
                raise RuntimeError("the scheduler reports no loop")
            time.sleep(0.1)
        self._taken.clear()

    def mean(self) -> float:
        """Milliseconds of a loop."""
        return statistics.fmean(self._taken)


def measure(site: Site, scale: Scale) -> tuple[list[Row], list[str]]:
    """The row, and how the answers compare with what the database holds."""
    held, held_side, runs_of_held, stored = _flood(site, scale, "held", held=True)
    started, side, runs, more = _flood(site, scale, "started", held=False)
    times = started / held
    row = Row(
        measured=f"A loop of Airflow's scheduler while {side.statuses.total():,} events arrive, and for "
        f"{WATCHED_SECONDS} s, with max_queued_runs {MAX_QUEUED_RUNS}; in the next column all on hold",
        ours=f"{started:.1f} ms, {runs:,} runs",
        airflow=f"{held:.1f} ms, {runs_of_held:,} runs",
        ratio=ratio_upwards(times),
        goal=f"ratio ≤ {GOAL_TIMES_HOLD}",
        met=times <= GOAL_TIMES_HOLD,
    )
    return [row], [comparison("Scheduler", "ours", [held_side, side], "deliveries", stored + more)]


def _flood(site: Site, scale: Scale, name: str, *, held: bool) -> tuple[float, Side, int, int]:
    """Milliseconds of a loop, the answers, and the runs and deliveries in the end."""
    with _loops() as (port, loops):
        airflow = site.airflow(
            f"scheduler_{name}",
            dispatcher=False,
            AIRFLOW__INBOUND_WEBHOOKS__MAX_QUEUED_RUNS=str(MAX_QUEUED_RUNS),
            AIRFLOW__METRICS__STATSD_ON="True",
            AIRFLOW__METRICS__STATSD_HOST="127.0.0.1",
            AIRFLOW__METRICS__STATSD_PORT=str(port),
        )
        airflow.home.mkdir(parents=True, exist_ok=True)
        database = f"scheduler_{name}"
        path = create_webhook(airflow, NAME, MAPPING, dag_id=DAG_ID)
        command(airflow, "dags", "unpause", DAG_ID, "--yes")
        # The events that measure what the gateway takes start nothing.
        for each in (PLAIN, NAME) if held else (PLAIN,):
            command(airflow, "webhooks", "hold", each)
        with gateway_on(site, database) as gateway:
            offered = offered_a_second(post(gateway.port, at_gateway(site.webhook_path), event()), scale)
            before = site.count(database, STORED)
            side = Side(post(gateway.port, at_gateway(path), event()))
            try:
                airflow.launch("scheduler", "scheduler", "--skip-serve-logs")
                airflow.launch("dispatcher", "webhooks", "dispatcher")
                loops.begin()
                asyncio.run(paced(side, int(offered), scale.batched / offered))
                time.sleep(WATCHED_SECONDS)
                taken = loops.mean()
            finally:
                airflow.stop()
        return taken, side, site.count(database, RUNS), site.count(database, STORED) - before


@contextmanager
def _loops() -> Iterator[tuple[int, Loops]]:
    """A port, and what the scheduler reports there."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    loops = Loops(server)
    thread = threading.Thread(target=loops.listen, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1], loops
    finally:
        server.sendto(b"", server.getsockname())
        thread.join()
        server.close()
