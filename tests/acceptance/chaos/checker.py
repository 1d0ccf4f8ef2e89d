"""Compares what senders heard with what the database holds, once all is quiet."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from tests.acceptance.chaos.stream import Reply, Sent

RUN_PREFIX = "webhook__"
WITH_A_RUN = ("dispatched", "succeeded", "failed")


@dataclass(frozen=True)
class Stored:
    """A delivery's row."""

    id: str
    number: int
    state: str
    run_id: str | None
    dispatched: bool
    attempts: int


@dataclass(frozen=True)
class Run:
    """A DAG run, with what its conf says of its origin and how many rows go with it."""

    run_id: str
    number: int
    delivery_id: str
    tasks: int
    notes: int


@dataclass
class Verdict:
    """One line for each fault; how many numbers senders had to send again; what they never heard of."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    undelivered: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    half: list[str] = field(default_factory=list)
    recovered: int = 0
    unheard: int = 0

    @property
    def problems(self) -> list[str]:
        """All of them."""
        return self.lost + self.duplicated + self.undelivered + self.unexpected + self.half

    def __str__(self) -> str:
        return (
            f"{len(self.lost)} lost, {len(self.duplicated)} duplicated, "
            f"{len(self.undelivered)} undelivered, {len(self.unexpected)} unexpected, "
            f"{len(self.half)} in a half state; {self.recovered:,} numbers brought by sending again, "
            f"{self.unheard:,} deliveries whose 2xx was not heard"
        )


def check(sent: Sequence[Sent], stored: Sequence[Stored], runs: Sequence[Run]) -> Verdict:
    """Judge a stream after the last delivery has been dispatched."""
    heard = {delivery_id for event in sent for delivery_id in event.taken_ids}
    return Verdict(
        lost=list(_lost(sent, stored, runs)),
        duplicated=[*_runs_twice(runs), *_stored_twice(sent, stored)],
        undelivered=[f"number {event.number} was never taken" for event in sent if not event.taken_ids],
        unexpected=[*_strange_answers(sent), *_strange_runs(stored, runs), *_strange_rows(sent, stored)],
        half=[*_half_rows(stored), *_half_runs(runs)],
        recovered=sum(bool(event.taken_ids) and not event.responses[0].is_taken for event in sent),
        unheard=sum(row.id not in heard for row in stored),
    )


def _lost(sent: Sequence[Sent], stored: Sequence[Stored], runs: Sequence[Run]) -> Iterator[str]:
    rows, with_run = {row.id: row for row in stored}, {run.delivery_id for run in runs}
    for event in sent:
        for delivery_id in event.taken_ids:
            if delivery_id not in rows:
                yield f"number {event.number} was taken as {delivery_id}, which is not stored"
            elif delivery_id not in with_run:
                yield f"number {event.number} was taken as {delivery_id}, which has no run"


def _runs_twice(runs: Sequence[Run]) -> Iterator[str]:
    for delivery_id, count in Counter(run.delivery_id for run in runs).items():
        if count > 1:
            yield f"delivery {delivery_id} has {count} runs"


def _stored_twice(sent: Sequence[Sent], stored: Sequence[Stored]) -> Iterator[str]:
    """An event that is known again is stored once, any other once for each attempt at most."""
    rows = Counter(row.number for row in stored)
    for event in sent:
        most = 1 if event.knows_events else len(event.responses)
        if rows[event.number] > most:
            yield f"number {event.number} is stored {rows[event.number]} times"


def _strange_answers(sent: Sequence[Sent]) -> Iterator[str]:
    for event in sent:
        for response in event.responses:
            if not _is_fair(response):
                yield f"number {event.number} was answered {response}"
        ids = event.taken_ids
        if len(set(ids)) != (1 if event.knows_events and ids else len(ids)):
            yield f"number {event.number} was taken as {ids}"


def _is_fair(response: Reply) -> bool:
    """Taken, put off with a time to come again, or nothing at all, since the process had died."""
    put_off = response.status == 503 and response.retry_after is not None
    return response.is_taken or put_off or response.status == 0


def _strange_runs(stored: Sequence[Stored], runs: Sequence[Run]) -> Iterator[str]:
    numbers = {row.id: row.number for row in stored}
    for run in runs:
        if run.run_id != RUN_PREFIX + run.delivery_id or numbers.get(run.delivery_id) != run.number:
            yield f"run {run.run_id} is of delivery {run.delivery_id} and number {run.number}"


def _strange_rows(sent: Sequence[Sent], stored: Sequence[Stored]) -> Iterator[str]:
    numbers = {event.number for event in sent}
    return (f"delivery {row.id} has number {row.number}" for row in stored if row.number not in numbers)


def _half_rows(stored: Sequence[Stored]) -> Iterator[str]:
    for row in stored:
        is_whole = row.run_id == RUN_PREFIX + row.id and row.dispatched and row.attempts > 0
        if row.state not in WITH_A_RUN or not is_whole:
            yield f"{row}"


def _half_runs(runs: Sequence[Run]) -> Iterator[str]:
    return (f"{run}" for run in runs if (run.tasks, run.notes) != (1, 1))


# --- the database ---------------------------------------------------------------------------


def read(database_url: str) -> tuple[list[Stored], list[Run]]:
    """Deliveries and runs, over a connection of the checker's own."""
    stored = [_stored(row) for row in ask(database_url, _DELIVERIES)]
    return stored, [_run(row) for row in ask(database_url, _RUNS)]


def waiting(database_url: str) -> int:
    """How many deliveries have no run yet."""
    return int(ask(database_url, _WAITING)[0][0])


def ask(database_url: str, statement: str) -> Sequence[Any]:
    """The rows of a SELECT."""
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.connect() as connection:
        return connection.execute(text(statement)).all()


def _stored(row: Any) -> Stored:
    number = json.loads(row.conf)["number"]
    return Stored(row.id, number, row.state, row.run_id, row.dispatched_at is not None, row.attempts)


def _run(row: Any) -> Run:
    conf = row.conf if isinstance(row.conf, dict) else json.loads(row.conf)
    return Run(row.run_id, conf["number"], conf["delivery"], row.tasks, row.notes)


_WAITING = "SELECT count(*) FROM inbound_webhook_delivery WHERE state = 'accepted'"
_DELIVERIES = "SELECT id, conf, state, run_id, dispatched_at, attempts FROM inbound_webhook_delivery"
_RUNS = """
SELECT run_id, conf,
    (SELECT count(*) FROM task_instance t WHERE t.dag_id = r.dag_id AND t.run_id = r.run_id) AS tasks,
    (SELECT count(*) FROM dag_run_note n WHERE n.dag_run_id = r.id) AS notes
FROM dag_run r
"""
