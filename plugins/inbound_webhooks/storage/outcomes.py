"""Statements of the run tracker: deliveries to look up, and their outcomes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, or_, select, text, update

from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.failed_task import FailedTask
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.claims import ClaimedDelivery


@dataclass(frozen=True, kw_only=True)
class TrackedDelivery:
    """A delivery's state when its run was looked up."""

    id: str
    dag_id: str
    run_id: str
    state: str
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a delivery ended; ``run_id`` is None if no run was created."""

    delivery_id: str
    webhook_id: str
    webhook_name: str
    dag_id: str
    run_id: str | None
    state: str
    received_at: datetime
    started_at: datetime | None
    finished_at: datetime
    failed_tasks: tuple[FailedTask, ...] = ()
    error: str | None = None
    asset: str | None = None


def outcome_without_run(
    delivery: ClaimedDelivery, state: str, at: datetime, *, error: str | None = None
) -> Outcome:
    """How a delivery without a run ended: its asset event was created, or its target could not be started."""
    return Outcome(
        delivery_id=delivery.id,
        webhook_id=delivery.webhook_id,
        webhook_name=delivery.webhook_name,
        dag_id=delivery.dag_id,
        run_id=None,
        state=state,
        received_at=delivery.received_at,
        started_at=None,
        finished_at=at,
        error=error,
        asset=delivery.asset,
    )


_TRACKED = [tables.delivery.c[name] for name in TrackedDelivery.__dataclass_fields__]


def unfinished(connection: Connection, *, after: str, limit: int) -> list[TrackedDelivery]:
    """Deliveries without a recorded end of their run, by id, beginning behind ``after``."""
    columns = tables.delivery.c
    rows = connection.execute(
        select(*_TRACKED).where(text(tables.UNFINISHED), columns.id > after).order_by(columns.id).limit(limit)
    )
    return [TrackedDelivery(**row._mapping) for row in rows]


def finished_since(
    connection: Connection, since: datetime, *, before: TrackedDelivery | None, limit: int
) -> list[TrackedDelivery]:
    """Deliveries whose run ended since then, latest first; ``before`` is the last one of the page before."""
    columns = tables.delivery.c
    # An asset event has no run of its own.
    of_webhooks = (text(tables.FINISHED), text(tables.OF_WEBHOOK), columns.run_id.is_not(None))
    query = select(*_TRACKED).where(*of_webhooks, columns.finished_at >= since)
    # From the page's last row on, by the index: an OFFSET would read all rows before it.
    if before is not None:
        same_time = and_(columns.finished_at == before.finished_at, columns.id < before.id)
        query = query.where(
            columns.finished_at <= before.finished_at,
            or_(columns.finished_at < before.finished_at, same_time),
        )
    rows = connection.execute(query.order_by(columns.finished_at.desc(), columns.id.desc()).limit(limit))
    return [TrackedDelivery(**row._mapping) for row in rows]


def lock_tracked(connection: Connection, tracked: Sequence[TrackedDelivery]) -> dict[str, Any]:
    """Lock deliveries; return rows by id, without those that changed meanwhile or are locked elsewhere."""
    columns = tables.delivery.c
    named = (
        *(*_TRACKED, columns.webhook_id, columns.webhook_name, columns.received_at),
        *(columns.batch_id, columns.cancelled_by),
    )
    rows = connection.execute(
        select(*named).where(columns.id.in_([each.id for each in tracked])).with_for_update(skip_locked=True)
    )
    # Compared in Python: the rows are locked now, and NULL would need its own operator in SQL.
    seen = {each.id: (each.state, each.finished_at) for each in tracked}
    return {row.id: row for row in rows if (row.state, row.finished_at) == seen[row.id]}


def record(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Record the outcomes of deliveries that the caller has locked."""
    if outcomes:
        rows = [
            {
                "key": outcome.delivery_id,
                "ended": outcome.state,
                "started": outcome.started_at,
                "finished": outcome.finished_at,
                "tasks": dump_tasks(outcome.failed_tasks),
                "why": outcome.error,
            }
            for outcome in outcomes
        ]
        connection.execute(_RECORD, rows)


def reopen(connection: Connection, delivery_ids: Sequence[str]) -> None:
    """Set deliveries back to dispatched, because their runs were cleared and run again."""
    connection.execute(
        update(tables.delivery)
        .where(tables.delivery.c.id.in_(delivery_ids))
        .values(state=State.DISPATCHED, run_started_at=None, finished_at=None, failed_tasks=None, error=None)
    )


def dump_tasks(tasks: Sequence[FailedTask]) -> str | None:
    """Failed tasks as stored in the column ``failed_tasks``."""
    return json.dumps([asdict(task) for task in tasks]) if tasks else None


def load_tasks(stored: str | None) -> tuple[FailedTask, ...]:
    """Failed tasks read from the column ``failed_tasks``."""
    return tuple(FailedTask(**task) for task in json.loads(stored or "[]"))


# The names of bound values differ from the columns', which SQLAlchemy reserves for the SET clause.
_RECORD = (
    update(tables.delivery)
    .where(tables.delivery.c.id == bindparam("key"))
    .values(
        state=bindparam("ended"),
        run_started_at=bindparam("started"),
        finished_at=bindparam("finished"),
        failed_tasks=bindparam("tasks"),
        error=bindparam("why"),
    )
)
