"""`python -m benchmarks.soak`: does anything grow while gateway and dispatchers work at a steady rate?"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.client import Connection, Target, opened, post, status_of
from benchmarks.flatness import MIB, compared, is_flat
from benchmarks.payload import event
from benchmarks.process_samples import ProcessSample, sample, with_children
from benchmarks.site import Site, built
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.gateway_process import GatewayProcess

DATABASE = "soak"
CONNECTIONS = 8
GATEWAY_WORKERS = 2
DISPATCHERS = ("dispatcher-1", "dispatcher-2")
SECONDS = 1800
A_SECOND = 50
SAMPLES = 120
START_SECONDS = 180
DRAIN_SECONDS = 600

IDLE_SECONDS = 5
"""Between two statements of a transaction a process does something else for milliseconds, where the machine
is too small for a second; whoever is idle in a transaction for longer has forgotten it."""

UNLIMITED = {"max_requests_per_second_per_address": 10_000_000}
WAITING = "SELECT count(*) FROM inbound_webhook_delivery WHERE state = 'accepted'"
DELIVERIES = "SELECT count(*) FROM inbound_webhook_delivery"
RUNS = "SELECT count(*) FROM dag_run WHERE run_id LIKE 'webhook\\_\\_%'"
DISPATCHERS_SEEN = "SELECT count(*) FROM inbound_webhook_dispatcher"
IDLE = f"""
SELECT count(*) FROM pg_stat_activity
WHERE datname = '{DATABASE}' AND state LIKE 'idle in transaction%'
AND now() - state_change > interval '{IDLE_SECONDS} seconds'
"""
# Stands in for the scheduler and the tasks: runs end, so that the follower has work and the door stays open.
FINISH = "UPDATE dag_run SET state = 'success', start_date = now(), end_date = now() WHERE state = 'queued'"


@dataclass
class Series:
    """Samples of each process by name; how many sessions were idle in a transaction, at each moment."""

    processes: dict[str, list[ProcessSample]] = field(default_factory=dict)
    idle: list[int] = field(default_factory=list)

    def take(self, site: Site, pids: Mapping[str, int]) -> None:
        """One more moment."""
        for name, pid in pids.items():
            self.processes.setdefault(name, []).append(sample(pid))
        self.idle.append(site.count(DATABASE, IDLE))


def main() -> int:
    """Returns 1 where something grew, was idle in a transaction, or was not taken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"how long ({SECONDS})")
    parser.add_argument("--rate", type=float, default=A_SECOND, help=f"requests a second ({A_SECOND})")
    arguments = parser.parse_args()
    # What was started is ended on the way out, so the way out must be taken.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with built() as site, _working(site) as (gateway, pids):
        target = post(gateway.port, site.webhook_path.removeprefix("/pluginsv2"), event())
        series, statuses = _soak(site, target, pids, arguments.seconds, arguments.rate)
        print(table(series.processes), flush=True)
        _wait_until(lambda: site.count(DATABASE, WAITING) == 0, "the last run", DRAIN_SECONDS)
        stored, runs = site.count(DATABASE, DELIVERIES), site.count(DATABASE, RUNS)
    problems = [*growing(series.processes), *_others(series, statuses, stored, runs)]
    print("\n".join(problems) or f"Flat over {arguments.seconds} s: {stored:,} deliveries, {runs:,} runs.")
    return 1 if problems else 0


@contextmanager
def _working(site: Site) -> Iterator[tuple[GatewayProcess, dict[str, int]]]:
    """The gateway and two dispatchers; gives also the ids of all their processes by name."""
    airflow = site.airflow(DATABASE, dispatcher=False)
    gateway = GatewayProcess(airflow.home, site.url(DATABASE), workers=GATEWAY_WORKERS, **UNLIMITED)
    try:
        for name in DISPATCHERS:
            airflow.launch(name, "webhooks", "dispatcher")
        gateway.wait()
        seen = len(DISPATCHERS)
        _wait_until(lambda: site.count(DATABASE, DISPATCHERS_SEEN) == seen, "dispatchers", START_SECONDS)
        yield gateway, _pids(gateway, airflow)
    finally:
        gateway.stop()
        airflow.stop()


def _pids(gateway: GatewayProcess, airflow: AirflowProcesses) -> dict[str, int]:
    parent, *children = with_children(gateway.process.pid)
    workers = {f"gateway, child {number}": pid for number, pid in enumerate(children, 1)}
    return {"gateway": parent, **workers, **airflow.running()}


def _soak(
    site: Site, target: Target, pids: Mapping[str, int], seconds: int, a_second: float
) -> tuple[Series, Counter[int]]:
    """Send for so long, and take samples meanwhile; answers by status."""
    series, statuses, stopping = Series(), Counter[int](), threading.Event()
    finisher = threading.Thread(target=_finish_runs, args=(site, stopping))
    sender = threading.Thread(target=lambda: asyncio.run(_send(target, statuses, seconds, a_second)))
    finisher.start()
    sender.start()
    try:
        while sender.is_alive():
            series.take(site, pids)
            sender.join(seconds / SAMPLES)
    finally:
        stopping.set()
        finisher.join()
    return series, statuses


def _finish_runs(site: Site, stopping: threading.Event) -> None:
    connection = site.cluster.connect(DATABASE)
    while not stopping.wait(1):
        connection.cursor().execute(FINISH)
    connection.close()


async def _send(target: Target, statuses: Counter[int], seconds: float, a_second: float) -> None:
    """So many requests a second over all connections together; one that is late makes up for it."""
    started, numbers = time.monotonic(), iter(range(int(seconds * a_second)))
    async with opened(CONNECTIONS) as channels:

        async def one(channel: Connection) -> None:
            for number in numbers:
                await asyncio.sleep(max(0.0, started + number / a_second - time.monotonic()))
                statuses[await status_of(channel, target)] += 1

        await asyncio.gather(*(one(channel) for channel in channels))


def _wait_until(happened: Callable[[], bool], what: str, seconds: float) -> None:
    give_up_at = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.5)


def table(processes: Mapping[str, Sequence[ProcessSample]]) -> str:
    """What each process took in the second quarter and in the last one."""
    lines = [f"{'process':<20} {'memory, MiB':>20} {'threads':>14} {'files':>14} {'connections':>14}"]
    for name, samples in processes.items():
        memory, *others = (compared(_values(samples, measure)) for measure in _MEASURES)
        cells = [f"{memory[0] / MIB:.1f} → {memory[1] / MIB:.1f}".rjust(20)]
        cells += [f"{before:g} → {after:g}".rjust(14) for before, after in others]
        lines.append(f"{name:<20} {' '.join(cells)}")
    return "\n".join(lines)


def growing(processes: Mapping[str, Sequence[ProcessSample]]) -> Iterator[str]:
    """A sentence for each measure of a process that is not flat."""
    for name, samples in processes.items():
        for measure in _MEASURES:
            values = _values(samples, measure)
            if not is_flat(measure, values):
                before, after = compared(values)
                yield f"NOT FLAT: {measure} of {name} grew from {before:,.0f} to {after:,.0f}."


def _others(series: Series, statuses: Counter[int], stored: int, runs: int) -> Iterator[str]:
    if any(series.idle):
        yield f"NOT FLAT: up to {max(series.idle)} sessions were idle in a transaction."
    if set(statuses) != {202} or not statuses[202] == stored == runs:
        yield f"NOT EQUAL: answers {dict(statuses)}, {stored:,} deliveries, {runs:,} runs."


_MEASURES = ("memory", "threads", "files", "connections")


def _values(samples: Sequence[ProcessSample], measure: str) -> list[float]:
    return [float(vars(each)[measure]) for each in samples]


if __name__ == "__main__":
    sys.exit(main())
