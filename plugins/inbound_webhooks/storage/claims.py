"""What is to be dispatched: whose deliveries wait, taking some of them, writing what became of them.

A dispatcher goes from webhook to webhook instead of from delivery to delivery.
One step is one look into the index of waiting deliveries, which begins with the webhook (PostgreSQL's wiki
calls it a loose index scan), so neither the other 100,000 deliveries of a flooded webhook nor the 10,000
webhooks without any cost anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, literal, literal_column, or_, select, update

from inbound_webhooks.records.delivery import State
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.webhooks import change_lock_key


@dataclass(frozen=True)
class WaitingWebhook:
    """A webhook with due deliveries; ``due`` is how many, counted up to what was asked for."""

    webhook_id: str
    due: int


@dataclass(frozen=True, kw_only=True)
class ClaimedDelivery:
    """What the dispatcher needs of a delivery: not its body."""

    id: str
    webhook_id: str
    webhook_name: str
    dag_id: str
    conf: str | None
    attempts: int
    received_at: datetime


def waiting_webhooks(
    connection: Connection, now: datetime, *, after: str, limit: int
) -> list[WaitingWebhook]:
    """Webhooks with due deliveries that may be started, in the order of the index, from behind ``after``.

    Left out are those that are disabled, and those with as many active runs as they may have.
    """
    rows = connection.execute(_WAITING, {"now": now, "after": after, "limit": limit})
    return [WaitingWebhook(row.webhook_id, row.due) for row in rows]


def lock_enabled(connection: Connection, webhook_ids: Iterable[str]) -> dict[str, int | None]:
    """Those of the webhooks that are enabled, locked FOR SHARE in the order of their ids, with their limits
    of active runs.

    One that somebody is changing right now, or waits to change, is left for the next round.
    """
    columns = tables.webhook.c
    wanted = select(columns.id, columns.enabled, columns.max_active_runs).where(
        columns.id.in_(sorted(webhook_ids))
    )
    if connection.dialect.name == "postgresql":
        wanted = wanted.where(func.pg_try_advisory_xact_lock_shared(change_lock_key(columns.id)))
    rows = connection.execute(wanted.order_by(columns.id).with_for_update(read=True, skip_locked=True))
    return {row.id: row.max_active_runs for row in rows if row.enabled}


def try_lock_webhook(connection: Connection, webhook_id: str) -> bool:
    """Be the only dispatcher at work on a webhook until this transaction ends; False where another one is.

    Whoever counts runs and then makes more must be alone. The webhook's row cannot be the lock: what keeps
    other dispatchers out would keep out the door as well, which locks it FOR SHARE with each request. On
    SQLite whoever writes is alone anyway.
    """
    if connection.dialect.name != "postgresql":
        return True
    taken = select(func.pg_try_advisory_xact_lock(_lock_key(webhook_id)))
    return bool(connection.scalar(taken))


def count_active(connection: Connection, webhook_id: str) -> int:
    """How many runs of a webhook have not ended, as far as we know."""
    return connection.scalar(_ACTIVE, {"webhook_id": webhook_id}) or 0


def claim_due(connection: Connection, webhook_id: str, now: datetime, limit: int) -> list[ClaimedDelivery]:
    """The first due deliveries of a webhook, locked; those that another dispatcher holds are skipped."""
    rows = connection.execute(_CLAIM, {"webhook_id": webhook_id, "now": now, "limit": limit})
    return [ClaimedDelivery(**row._mapping) for row in rows]


def mark_dispatched(
    connection: Connection, delivery_ids: Sequence[str], *, run_prefix: str, at: datetime
) -> None:
    """Write that deliveries, which the caller has locked, have their runs: prefix and delivery's id."""
    columns = tables.delivery.c
    connection.execute(
        update(tables.delivery)
        .where(columns.id.in_(delivery_ids))
        .values(
            state=State.DISPATCHED,
            attempts=columns.attempts + 1,
            next_attempt_at=None,
            run_id=literal(run_prefix) + columns.id,
            dispatched_at=at,
            error=None,
        )
    )


def mark(connection: Connection, delivery_id: str, values: Mapping[str, Any]) -> None:
    """Write the outcome of an attempt on a delivery that the caller has locked."""
    connection.execute(update(tables.delivery).where(tables.delivery.c.id == delivery_id).values(**values))


def _lock_key(webhook_id: str) -> int:
    """A number of 64 bits, far from the small ones that Airflow takes for its own locks."""
    digest = hashlib.blake2b(f"inbound webhook {webhook_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


# Written out, not bound: so the planners can tell that a partial index has all that is asked for.
_ACCEPTED: Any = literal_column(f"'{State.ACCEPTED}'")
_DISPATCHED: Any = literal_column(f"'{State.DISPATCHED}'")


def _next_webhook(after: Any) -> Any:
    """The first webhook behind another one that has a delivery waiting, due or not."""
    columns = tables.delivery.alias().c
    # In the whole order of the index: by webhook alone, the one of all deliveries would do as well.
    order = (columns.webhook_id, columns.next_attempt_at, columns.id)
    first = select(columns.webhook_id).where(columns.state == _ACCEPTED, columns.webhook_id > after)
    return first.order_by(*order).limit(1).scalar_subquery()


def _active(webhook_id: Any) -> Any:
    columns = tables.delivery.alias().c
    return select(func.count()).where(columns.state == _DISPATCHED, columns.webhook_id == webhook_id)


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


def _waiting() -> Any:
    walk = select(_next_webhook(bindparam("after")).label("webhook_id")).cte("walk", recursive=True)
    walk = walk.union_all(select(_next_webhook(walk.c.webhook_id)).where(walk.c.webhook_id.is_not(None)))
    columns = tables.webhook.c
    active = _active(columns.id).scalar_subquery()
    is_free = or_(columns.max_active_runs.is_(None), active < columns.max_active_runs)
    # A subquery and no join, and so one look for each step: a join may read all webhooks first.
    may_start = select(columns.enabled & is_free).where(columns.id == walk.c.webhook_id).scalar_subquery()
    due = _due(walk)
    return (
        select(walk.c.webhook_id, due.label("due"))
        .where(walk.c.webhook_id.is_not(None), may_start, due > 0)
        .limit(bindparam("limit"))
    )


def _claim() -> Any:
    columns = tables.delivery.c
    return (
        select(*(columns[name] for name in ClaimedDelivery.__dataclass_fields__))
        .where(
            columns.state == _ACCEPTED,
            columns.webhook_id == bindparam("webhook_id"),
            columns.next_attempt_at <= bindparam("now"),
        )
        .order_by(columns.next_attempt_at, columns.id)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True)
    )


_WAITING = _waiting()
_ACTIVE = _active(bindparam("webhook_id"))
_CLAIM = _claim()
