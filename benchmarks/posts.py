"""Row 1: accepted POSTs a second at our door and at Airflow's own trigger endpoint, taken in turn."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.client import Round, Target, load
from benchmarks.figures import Row, latencies, rate, ratio
from benchmarks.noop import answering
from benchmarks.scale import Scale
from benchmarks.site import Site, running

GOAL_RATIO = 4
WARM_UP_SECONDS = 1.5
DRAIN_SECONDS = 120

DELIVERIES = "SELECT count(*) FROM inbound_webhook_delivery WHERE state IN ('accepted', 'dispatched')"
WAITING = "SELECT count(*) FROM inbound_webhook_delivery WHERE state = 'accepted'"
OUR_RUNS = "SELECT count(*) FROM dag_run WHERE run_id LIKE 'webhook\\_\\_%'"
THEIR_RUNS = "SELECT count(*) FROM dag_run WHERE run_id NOT LIKE 'webhook\\_\\_%'"


@dataclass
class Side:
    """One of the two: its request, its rounds, and all its answers, those of the warm-up among them."""

    target: Target
    rounds: list[Round] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def take(self, connections: int, seconds: float, *, keep: bool = True) -> Round:
        """Send for so long."""
        result = asyncio.run(load(self.target, connections=connections, seconds=seconds))
        self.statuses += result.statuses
        if keep:
            self.rounds.append(result)
        return result

    @property
    def median(self) -> float:
        """The median of the rounds' rates."""
        return statistics.median(result.a_second for result in self.rounds)

    def __str__(self) -> str:
        waits = [seconds for result in self.rounds for seconds in result.latencies]
        return f"{rate([result.a_second for result in self.rounds])}<br>{latencies(waits)}"


def measure(site: Site, scale: Scale, *, dispatcher: bool) -> tuple[list[Row], list[str]]:
    """The rows, and how the answers compare with what the database holds."""
    name = "posts_dispatcher_on" if dispatcher else "posts_dispatcher_off"
    rows: list[Row] = []
    all_ours, all_theirs = [], []
    with running(site.airflow(name, dispatcher=dispatcher)) as airflow:
        request, own_request = site.webhook(airflow.port), site.trigger(airflow)
        for connections in scale.connections:
            ours, theirs = Side(request), Side(own_request)
            all_ours.append(ours)
            all_theirs.append(theirs)
            if dispatcher:
                made = _drained_rounds(ours, theirs, connections, scale, site=site, database=name)
            else:
                made = _rounds(ours, theirs, connections, scale)
            rows += _rows(ours, theirs, connections, made)
        return rows, _counted(site, name, all_ours, all_theirs, dispatcher=dispatcher)


def client_limit(request: Target, scale: Scale) -> Row:
    """What the client does against a server that does nothing."""
    texts = []
    with answering(len(request.request)) as port:
        for connections in scale.connections:
            side = Side(Target(port, request.request))
            side.take(connections, scale.round_seconds)
            texts.append(f"{connections} connections: {rate([side.median])}")
    return Row(measured="Requests a second of the client against a no-op server", ours="<br>".join(texts))


def _rounds(ours: Side, theirs: Side, connections: int, scale: Scale) -> list[float]:
    _warm_up(ours, theirs, connections)
    for _ in range(scale.rounds):
        theirs.take(connections, scale.round_seconds)
        ours.take(connections, scale.round_seconds)
    return []


def _drained_rounds(
    ours: Side, theirs: Side, connections: int, scale: Scale, *, site: Site, database: str
) -> list[float]:
    """DAG runs a second of each of our rounds; the other side begins when no delivery waits."""
    made = []
    _warm_up(ours, theirs, connections)
    _wait_for_runs(site, database)
    for _ in range(scale.drained_rounds):
        theirs.take(connections, scale.drained_round_seconds)
        started = time.perf_counter()
        accepted = ours.take(connections, scale.drained_round_seconds).accepted
        _wait_for_runs(site, database)
        made.append(accepted / (time.perf_counter() - started))
    return made


def _warm_up(ours: Side, theirs: Side, connections: int) -> None:
    for side in (theirs, ours):
        side.take(connections, WARM_UP_SECONDS, keep=False)


def _rows(ours: Side, theirs: Side, connections: int, made: list[float]) -> list[Row]:
    where = f"{connections} connections, dispatcher {'on' if made else 'off'}"
    quotient = ours.median / theirs.median
    accepted = Row(
        measured=f"Accepted POSTs a second, {where}",
        ours=str(ours),
        airflow=str(theirs),
        ratio=ratio(quotient),
        goal=f"ratio ≥ {GOAL_RATIO}",
        met=quotient >= GOAL_RATIO,
    )
    if not made:
        return [accepted]
    quotient = statistics.median(made) / theirs.median
    whole = Row(
        measured=f"DAG runs a second, from the first POST to the last run, {where}",
        ours=rate(made),
        airflow=rate([result.a_second for result in theirs.rounds]),
        ratio=ratio(quotient),
    )
    return [accepted, whole]


def _wait_for_runs(site: Site, database: str) -> None:
    give_up_at = time.monotonic() + DRAIN_SECONDS
    while site.count(database, WAITING):
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"deliveries still wait for their runs after {DRAIN_SECONDS} s")
        time.sleep(0.02)


def _counted(
    site: Site, database: str, ours: list[Side], theirs: list[Side], *, dispatcher: bool
) -> list[str]:
    label = f"Dispatcher {'on' if dispatcher else 'off'}"
    checks = [("ours", ours, "deliveries", DELIVERIES), ("Airflow's own", theirs, "DAG runs", THEIR_RUNS)]
    if dispatcher:
        checks.insert(1, ("ours", ours, "DAG runs", OUR_RUNS))
    return [
        comparison(label, side, sides, what, site.count(database, query))
        for side, sides, what, query in checks
    ]


def comparison(label: str, name: str, sides: list[Side], what: str, rows: int) -> str:
    """A sentence that says whether every 2xx has its row."""
    statuses = sum((side.statuses for side in sides), Counter[int]())
    accepted = sum(number for status, number in statuses.items() if status // 100 == 2)
    others = [f"{number:,} × {status or 'none'}" for status, number in statuses.items() if status // 100 != 2]
    verdict = "equal" if accepted == rows else "**not equal**"
    return (
        f"{label}, {name}: {accepted:,} answers 2xx, {rows:,} {what} ({verdict}); "
        f"other answers: {', '.join(others) or 'none'}."
    )
