"""Statements of the dispatcher: find webhooks with due deliveries, claim some, record the attempt.

A dispatcher goes from webhook to webhook instead of from delivery to delivery.
Each step is one probe of the index of waiting deliveries, which begins with the webhook (a loose index scan
in PostgreSQL's wiki), so the cost depends neither on the 100,000 further deliveries of a flooded webhook nor
on the 10,000 webhooks without deliveries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    Boolean,
    Connection,
    String,
    bindparam,
    case,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    update,
)

from inbound_webhooks.event.schedule import RECEIVED
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.hold import Hold
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.webhooks import change_lock_key


@dataclass(frozen=True)
class WaitingWebhook:
    """A webhook with due deliveries; ``due`` counts them up to the query's limit."""

    webhook_id: str
    due: int


@dataclass(frozen=True, kw_only=True)
class ClaimedDelivery:
    """What the dispatcher needs of a delivery; the body is left out because it may be large.

    ``team`` is the webhook's, ``checked_dag_hash`` that of the DAG's version that has accepted the conf.
    With an ``asset`` it becomes an event of that, about the partition ``partition_key``, instead of a run.
    ``moves_logical_date``: the logical date is the time of receipt, which another run may have too.
    ``parent_id`` and ``child_index`` name a child in the id of its run.
    With a ``batch_id`` it stands for a batch of ``deliveries``, and ``conf`` is theirs once they are read.
    """

    id: str
    webhook_id: str
    webhook_name: str
    dag_id: str
    conf: str | None
    attempts: int
    received_at: datetime
    team: str | None = None
    checked_dag_hash: str | None = None
    asset: str | None = None
    logical_date: datetime | None = None
    run_after: datetime | None = None
    note: str | None = None
    partition_key: str | None = None
    moves_logical_date: bool | None = None
    parent_id: str | None = None
    child_index: int | None = None
    batch_id: str | None = None
    deliveries: int = 1

    @property
    def run_suffix(self) -> str:
        """What its run's id has behind the prefix."""
        return self.id if self.child_index is None else f"{self.parent_id}__{self.child_index}"


def waiting_webhooks(
    connection: Connection, now: datetime, *, after: str, limit: int, has_room: bool = True
) -> list[WaitingWebhook]:
    """Webhooks with due deliveries that may start runs, in index order, beginning behind ``after``.

    Disabled webhooks, those on hold, and those at their limit of active runs are left out.

    :param has_room: whether Airflow's queue has; without it, only webhooks that do not wait for room
    """
    query = _WAITING[connection.dialect.name]
    values = {"now": now, "after": after, "limit": limit, "has_room": has_room}
    rows = connection.execute(query, values)
    return [WaitingWebhook(row.webhook_id, row.due) for row in rows]


class Startable(NamedTuple):
    """What limits the runs of a webhook; ``needs_room`` in Airflow's queue, or its events are merged."""

    dag_id: str
    max_active_runs: int | None
    needs_room: bool


def lock_enabled(connection: Connection, webhook_ids: Iterable[str]) -> dict[str, Startable]:
    """Lock those of these webhooks FOR SHARE that may start runs; by id, in its order.

    A webhook that is being changed, or that a change waits for, is skipped until the next round: shared locks
    that follow each other without a gap would starve the change, which needs the row alone.
    """
    columns = tables.webhook.c
    names = (
        columns.id,
        _MAY_START.label("may_start"),
        columns.dag_id,
        columns.max_active_runs,
        _NEEDS_ROOM.label("needs_room"),
    )
    wanted = select(*names).where(columns.id.in_(sorted(webhook_ids)))
    if connection.dialect.name == "postgresql":
        wanted = wanted.where(func.pg_try_advisory_xact_lock_shared(change_lock_key(columns.id)))
    rows = connection.execute(wanted.order_by(columns.id).with_for_update(read=True, skip_locked=True))
    return {
        row.id: Startable(row.dag_id, row.max_active_runs, row.needs_room) for row in rows if row.may_start
    }


def try_lock_webhook(connection: Connection, webhook_id: str) -> bool:
    """Become the only dispatcher at work on a webhook until this transaction ends; False if another one is.

    Counting active runs and then creating more is only correct for one dispatcher at a time. The webhook's
    row cannot be that lock: the endpoint locks it FOR SHARE with each request and would have to wait. SQLite
    has a single writer anyway.
    """
    if connection.dialect.name != "postgresql":
        return True
    # 64 bits of a hash: far away from the small numbers that Airflow uses for its own advisory locks.
    digest = hashlib.blake2b(f"inbound webhook {webhook_id}".encode(), digest_size=8).digest()
    key = int.from_bytes(digest, "big", signed=True)
    return bool(connection.scalar(select(func.pg_try_advisory_xact_lock(key))))


def count_active(connection: Connection, webhook_id: str) -> int:
    """Count a webhook's runs that have not ended, as far as the run tracker has recorded."""
    return connection.scalar(_ACTIVE[connection.dialect.name], {"webhook_id": webhook_id}) or 0


def claim_due(
    connection: Connection, webhook_id: str, now: datetime, *, limit: int, limit_bytes: int
) -> list[ClaimedDelivery]:
    """Lock a webhook's first due deliveries; those that another dispatcher has locked are skipped.

    :param limit_bytes: for their confs together; the first delivery is claimed however large its conf is
    """
    values = {"webhook_id": webhook_id, "now": now, "limit": limit, "limit_bytes": limit_bytes}
    rows = connection.execute(_CLAIM[connection.dialect.name], values)
    return [ClaimedDelivery(**row._mapping) for row in rows]


def mark_dispatched(
    connection: Connection, delivery_ids: Sequence[str], *, run_prefix: str, at: datetime
) -> None:
    """Record the runs of deliveries that the caller has locked: run id = prefix + run suffix."""
    columns = tables.delivery.c
    connection.execute(
        update(tables.delivery)
        .where(columns.id.in_(delivery_ids))
        .values(
            state=State.DISPATCHED,
            attempts=columns.attempts + 1,
            next_attempt_at=None,
            run_id=literal(run_prefix) + _RUN_SUFFIX,
            dispatched_at=at,
            error=None,
        )
    )


def mark_events(connection: Connection, events: Mapping[str, int], *, at: datetime) -> None:
    """Record the asset events of deliveries that the caller has locked: delivery id -> event's id.

    Nothing follows after the event, so the deliveries have succeeded.
    """
    columns = tables.delivery.c
    # One statement: a driver would send one for each row.
    connection.execute(
        update(tables.delivery)
        .where(columns.id.in_(list(events)))
        .values(
            state=State.SUCCEEDED,
            attempts=columns.attempts + 1,
            next_attempt_at=None,
            asset_event_id=case(dict(events), value=columns.id),
            dispatched_at=at,
            finished_at=at,
            error=None,
        )
    )


def lock_accepted(connection: Connection, delivery_id: str) -> bool:
    """Lock a delivery that waits for its run; False if it no longer does, or another transaction has it."""
    columns = tables.delivery.c
    waiting = select(columns.id).where(columns.id == delivery_id, columns.state == State.ACCEPTED)
    return connection.scalar(waiting.with_for_update(skip_locked=True)) is not None


def mark(connection: Connection, delivery_id: str, values: Mapping[str, Any]) -> None:
    """Record the outcome of an attempt on a delivery that the caller has locked."""
    connection.execute(update(tables.delivery).where(tables.delivery.c.id == delivery_id).values(**values))


# Deliveries of a webhook on hold become held; until they are, they are due and must not start.
_MAY_START = (
    tables.webhook.c.enabled
    & ~tables.webhook.c.held_by_all
    & (func.coalesce(tables.webhook.c.hold, "") != Hold.HELD)
)

# As records.target.needs_room.
_NEEDS_ROOM = tables.webhook.c.asset.is_(None) | tables.webhook.c.partition_key.is_not(None)

# As ClaimedDelivery.run_suffix.
_RUN_SUFFIX: Any = case(
    (tables.delivery.c.child_index.is_(None), tables.delivery.c.id),
    else_=tables.delivery.c.parent_id + "__" + cast(tables.delivery.c.child_index, String()),
)

# Literals instead of bound values: a planner uses a partial index only where it sees the index's predicate.
_ACCEPTED: Any = literal_column(f"'{State.ACCEPTED}'")
_DISPATCHED: Any = literal_column(f"'{State.DISPATCHED}'")


def _next_webhook(after: Any) -> Any:
    """The id of the next webhook with waiting deliveries, due or not."""
    columns = tables.delivery.alias().c
    # All columns of the index: ordered by the webhook alone, the index of all deliveries would serve as well.
    order = (columns.webhook_id, columns.next_attempt_at, columns.id)
    first = select(columns.webhook_id).where(columns.state == _ACCEPTED, columns.webhook_id > after)
    return first.order_by(*order).limit(1).scalar_subquery()


def _active(webhook_id: Any, dialect_name: str) -> Any:
    columns = tables.delivery.alias().c
    # PostgreSQL counts rows from the index of active runs alone. SQLite would count them from the index of
    # all deliveries, with the whole history of the webhook; that one lacks this column.
    number = func.count(columns.received_at) if dialect_name == "sqlite" else func.count()
    # The first delivery of a batch stands for its run.
    is_run = or_(columns.batch_id.is_(None), columns.batch_id == columns.id)
    return select(number).where(columns.state == _DISPATCHED, columns.webhook_id == webhook_id, is_run)


def _due(walk: Any) -> Any:
    columns = tables.delivery.alias().c
    first = (
        select(columns.id)
        .where(
            columns.state == _ACCEPTED,
            columns.webhook_id == walk.c.webhook_id,
            columns.next_attempt_at <= bindparam("now"),
        )
        .order_by(columns.next_attempt_at, columns.id)
        .limit(bindparam("limit"))
        .correlate(walk)
    )
    return select(func.count()).select_from(first.subquery()).scalar_subquery()


def _waiting(dialect_name: str) -> Any:
    walk = select(_next_webhook(bindparam("after")).label("webhook_id")).cte("walk", recursive=True)
    walk = walk.union_all(select(_next_webhook(walk.c.webhook_id)).where(walk.c.webhook_id.is_not(None)))
    columns = tables.webhook.c
    active = _active(columns.id, dialect_name).scalar_subquery()
    is_free = or_(columns.max_active_runs.is_(None), active < columns.max_active_runs)
    # A scalar subquery instead of a join: one probe for each step, where a join may read all webhooks first.
    has_room = or_(bindparam("has_room", type_=Boolean()), ~_NEEDS_ROOM)
    startable = select(_MAY_START & is_free & has_room)
    may_start = startable.where(columns.id == walk.c.webhook_id).scalar_subquery()
    due = _due(walk)
    return (
        select(walk.c.webhook_id, due.label("due"))
        .where(walk.c.webhook_id.is_not(None), may_start, due > 0)
        .limit(bindparam("limit"))
    )


_DELIVERY = tables.delivery.c

_DIALECTS = ("postgresql", "sqlite")
_WAITING = {name: _waiting(name) for name in _DIALECTS}
# The id as a subquery, so that PostgreSQL expects as many rows as of an average webhook. Of a known id it
# takes the share in all deliveries for that in the active ones, and then rather reads those of all webhooks.
_ACTIVE = {
    name: _active(select(bindparam("webhook_id", type_=String())).scalar_subquery(), name)
    for name in _DIALECTS
}
_OF_WEBHOOK = tables.webhook.c.id == bindparam("webhook_id")
_TEAM = select(tables.webhook.c.team).where(_OF_WEBHOOK)
_MOVES = select(tables.webhook.c.logical_date == RECEIVED).where(_OF_WEBHOOK)


def _claim(size: Any) -> Any:
    """``size``: of a text, in bytes, without reading a long one where the database can do that."""
    names = [name for name in ClaimedDelivery.__dataclass_fields__ if name in _DELIVERY]
    locked = (
        select(
            *(_DELIVERY[name] for name in names),
            _DELIVERY.next_attempt_at,
            _TEAM.scalar_subquery().label("team"),
            _MOVES.scalar_subquery().label("moves_logical_date"),
            func.coalesce(size(_DELIVERY.conf), 0).label("size"),
        )
        .where(
            _DELIVERY.state == _ACCEPTED,
            _DELIVERY.webhook_id == bindparam("webhook_id"),
            _DELIVERY.next_attempt_at <= bindparam("now"),
        )
        .order_by(_DELIVERY.next_attempt_at, _DELIVERY.id)
        .limit(bindparam("limit"))
        # In a query of its own, because PostgreSQL locks no rows where it computes sums.
        .with_for_update(skip_locked=True)
        .cte("locked")
    )
    order = (locked.c.next_attempt_at, locked.c.id)
    summed = select(locked, func.sum(locked.c.size).over(order_by=order).label("total")).subquery("summed")
    columns = summed.c
    fits = or_(columns.total == columns.size, columns.total <= bindparam("limit_bytes"))
    chosen = select(*(columns[name] for name in (*names, "team", "moves_logical_date"))).where(fits)
    return chosen.order_by(columns.next_attempt_at, columns.id)


_CLAIM = {"postgresql": _claim(func.octet_length), "sqlite": _claim(func.length)}
