"""How the runs of deliveries ended: which ones to look at, and what was found."""

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


@dataclass(frozen=True, kw_only=True)
class TrackedDelivery:
    """A delivery as it was when its run was looked up."""

    id: str
    dag_id: str
    run_id: str
    state: str
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a delivery ended; ``run_id`` is None where there never was a run."""

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


_TRACKED = [tables.delivery.c[name] for name in TrackedDelivery.__dataclass_fields__]


def unfinished(connection: Connection, *, after: str, limit: int) -> list[TrackedDelivery]:
    """Deliveries whose run has not ended as far as we know, by id from the first one behind ``after``."""
    columns = tables.delivery.c
    rows = connection.execute(
        select(*_TRACKED).where(text(tables.UNFINISHED), columns.id > after).order_by(columns.id).limit(limit)
    )
    return [TrackedDelivery(**row._mapping) for row in rows]


def finished_since(
    connection: Connection, since: datetime, *, before: TrackedDelivery | None, limit: int
) -> list[TrackedDelivery]:
    """Deliveries whose run ended since then, the last one first; ``before``: those behind that one."""
    columns = tables.delivery.c
    query = select(*_TRACKED).where(text(tables.FINISHED), columns.finished_at >= since)
    if before is not None:
        same_time = and_(columns.finished_at == before.finished_at, columns.id < before.id)
        query = query.where(
            columns.finished_at <= before.finished_at,
            or_(columns.finished_at < before.finished_at, same_time),
        )
    rows = connection.execute(query.order_by(columns.finished_at.desc(), columns.id.desc()).limit(limit))
    return [TrackedDelivery(**row._mapping) for row in rows]


def lock_tracked(connection: Connection, followed: Sequence[TrackedDelivery]) -> dict[str, Any]:
    """Those that are still as they were, locked, as rows by id; what another dispatcher holds is left out."""
    columns = tables.delivery.c
    named = (*_TRACKED, columns.webhook_id, columns.webhook_name, columns.received_at)
    rows = connection.execute(
        select(*named).where(columns.id.in_([each.id for each in followed])).with_for_update(skip_locked=True)
    )
    seen = {each.id: (each.state, each.finished_at) for each in followed}
    return {row.id: row for row in rows if (row.state, row.finished_at) == seen[row.id]}


def record(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    """Write how deliveries ended that the caller has locked."""
    if outcomes:
        connection.execute(_RECORD, [_recorded(outcome) for outcome in outcomes])


def reopen(connection: Connection, delivery_ids: Sequence[str]) -> None:
    """Turn deliveries back into dispatched ones: their runs are at work again."""
    connection.execute(
        update(tables.delivery)
        .where(tables.delivery.c.id.in_(delivery_ids))
        .values(state=State.DISPATCHED, run_started_at=None, finished_at=None, failed_tasks=None, error=None)
    )


def dump_tasks(tasks: Sequence[FailedTask]) -> str | None:
    """The column ``failed_tasks``."""
    return json.dumps([asdict(task) for task in tasks]) if tasks else None


def load_tasks(stored: str | None) -> tuple[FailedTask, ...]:
    """The column ``failed_tasks``, back."""
    return tuple(FailedTask(**task) for task in json.loads(stored or "[]"))


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


def _recorded(outcome: Outcome) -> dict[str, Any]:
    return {
        "key": outcome.delivery_id,
        "ended": outcome.state,
        "started": outcome.started_at,
        "finished": outcome.finished_at,
        "tasks": dump_tasks(outcome.failed_tasks),
        "why": outcome.error,
    }
