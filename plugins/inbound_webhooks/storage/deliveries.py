"""Statements on deliveries; each runs on the caller's connection."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    Connection,
    FromClause,
    Subquery,
    bindparam,
    case,
    cast,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from inbound_webhooks.records.delivery import Delivery, State
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.database import waiting_is_limited

WAITING_ORDER = (
    tables.delivery.c.webhook_id,
    tables.delivery.c.next_attempt_at,
    tables.delivery.c.id,
)
"""The order of the index of waiting deliveries. In any other order, or in none, SQLite reads the index of all
deliveries of a webhook."""

MAX_COUNTED = 100_000
"""Upper limit when the whole backlog is counted: exact figures beyond it are not worth the scan."""


def count_deliveries(connection: Connection, webhook_id: str) -> dict[str, int]:
    """Number of a webhook's deliveries by state."""
    rows = connection.execute(
        select(tables.delivery.c.state, func.count())
        .where(tables.delivery.c.webhook_id == webhook_id)
        .group_by(tables.delivery.c.state)
    )
    return {row[0]: row[1] for row in rows}


def insert_delivery(connection: Connection, delivery: Delivery, version: int) -> str | None:
    """Insert a delivery if its webhook still has this version, in one statement that locks the webhook.

    The lock is FOR SHARE: requests do not wait for each other, and a change of the webhook waits until they
    have committed.

    Returns the id under which the event is stored: the delivery's own, or that of an earlier delivery with
    the same deduplication key; None if the webhook has changed. If another transaction is about to commit the
    same key, this waits for it. An earlier attempt of the same call whose response was lost is recognised.
    """
    if try_insert_delivery(connection, delivery, version):
        return delivery.id
    [found] = find_stored(connection, [(delivery, version)])
    return found


def try_insert_delivery(connection: Connection, delivery: Delivery, version: int) -> bool:
    """The insert alone: False, and nothing written, where :func:`find_stored` has to find out why."""
    values = msgspec.structs.asdict(delivery) | {"expected_version": version}
    return connection.execute(_STORE[connection.dialect.name], values).rowcount == 1


def find_stored(connection: Connection, deliveries: Sequence[tuple[Delivery, int]]) -> list[str | None]:
    """The results of :func:`insert_delivery` for deliveries that were not inserted, in three queries."""
    columns, webhook = tables.delivery.c, tables.webhook.c
    given = [delivery for delivery, _ in deliveries]
    own = set(connection.scalars(select(columns.id).where(columns.id.in_([each.id for each in given]))))
    webhook_ids = {each.webhook_id for each in given}
    rows = connection.execute(select(webhook.id, webhook.version).where(webhook.id.in_(webhook_ids)))
    versions = {row.id: row.version for row in rows}
    keys = {each.dedup_key for each in given if each.dedup_key is not None}
    has_key = columns.webhook_id.in_(webhook_ids) & columns.dedup_key.in_(keys)
    rows = connection.execute(select(columns.webhook_id, columns.dedup_key, columns.id).where(has_key))
    first = {(row.webhook_id, row.dedup_key): row.id for row in rows}

    def result(delivery: Delivery, version: int) -> str | None:
        # In this order: an earlier attempt may have been committed although the webhook has changed since.
        if delivery.id in own:
            return delivery.id
        if versions.get(delivery.webhook_id) != version:
            return None
        return first.get((delivery.webhook_id, delivery.dedup_key))

    return [result(*each) for each in deliveries]


def _insert_where(webhook: FromClause, insert: Any, values: Sequence[Any]) -> Any:
    """Inserts a row where ``webhook`` has a row of the expected version."""
    row = select(*values).select_from(webhook).where(webhook.c.version == bindparam("expected_version"))
    names = [column.name for column in _COLUMNS]
    # A conflict means that the event, or this delivery, is stored already; find out which.
    return insert(tables.delivery).from_select(names, row).on_conflict_do_nothing()


def _on_postgresql() -> Any:
    # One statement locks, checks and inserts, so that no transaction has to be begun and ended.
    locked = (
        select(tables.webhook.c.version)
        .where(tables.webhook.c.id == bindparam("webhook_id"), waiting_is_limited("postgresql"))
        .with_for_update(read=True)
        .cte("locked")
    )
    # PostgreSQL does not infer the types of a SELECT from the table that it is inserted into.
    return _insert_where(locked, postgresql.insert, [cast(value, value.type) for value in _VALUES])


def _on_sqlite() -> Any:
    # Without WITH: Python's sqlite3 counts the rows of statements that begin with INSERT only.
    webhook = select(tables.webhook.c.version).where(tables.webhook.c.id == bindparam("webhook_id"))
    return _insert_where(webhook.subquery(), sqlite.insert, _VALUES)


_COLUMNS = [column for column in tables.delivery.c if column.name in Delivery.__struct_fields__]
_VALUES = [bindparam(column.name, type_=column.type) for column in _COLUMNS]
_STORE = {"postgresql": _on_postgresql(), "sqlite": _on_sqlite()}


def count_accepted(connection: Connection, webhook_id: str, limit: int) -> int:
    """Count a webhook's deliveries that wait for their run, up to a limit."""
    of_webhook = tables.delivery.c.webhook_id == webhook_id
    counted = _waiting(limit, of_webhook).subquery()
    return connection.scalar(select(func.count()).select_from(counted)) or 0


def count_accepted_by_webhook(connection: Connection, limit: int) -> dict[str, int]:
    """Webhook id -> number of deliveries that wait for their run; ``limit`` is for all webhooks together."""
    counted = _waiting(limit).subquery()
    rows = connection.execute(select(counted.c.webhook_id, func.count()).group_by(counted.c.webhook_id))
    return {row[0]: row[1] for row in rows}


def _waiting(limit: int, *conditions: Any) -> Any:
    of_webhooks = (text(tables.ACCEPTED), text(tables.OF_WEBHOOK))
    waiting = select(tables.delivery.c.webhook_id).where(*of_webhooks, *conditions)
    return waiting.order_by(*WAITING_ORDER).limit(limit)


def read_backlog(connection: Connection) -> tuple[int, datetime | None]:
    """Number of deliveries that wait for their run, up to MAX_COUNTED, and arrival of the oldest of them."""
    counted = counted_backlog()
    count, oldest = connection.execute(select(func.count(), func.min(counted.c.received_at))).one()
    return count, oldest


def counted_backlog() -> Subquery:
    """Since when deliveries wait for their run, for MAX_COUNTED at most."""
    # On the states that count only, so that the partial index answers it.
    of_webhooks = (text(tables.ACCEPTED), text(tables.OF_WEBHOOK))
    columns = tables.delivery.c
    # What has waited for others of its group waits for its run since it is due, and in a batch one does.
    since = case((columns.group_key.is_(None), columns.received_at), else_=columns.next_attempt_at)
    return select(since.label("received_at")).where(*of_webhooks).limit(MAX_COUNTED).subquery()


def find_delivery(connection: Connection, delivery_id: str) -> Delivery | None:
    """Find a delivery by id."""
    row = connection.execute(select(tables.delivery).where(tables.delivery.c.id == delivery_id)).first()
    return Delivery(**row._mapping) if row else None


def webhook_of_delivery(connection: Connection, delivery_id: str) -> str | None:
    """The id of a delivery's webhook, None if there is no such delivery."""
    table = tables.delivery
    return connection.scalar(select(table.c.webhook_id).where(table.c.id == delivery_id))


def cancel_accepted(connection: Connection, webhook_id: str, limit: int) -> int:
    """Cancel a webhook's deliveries that wait for their run or are not due, at most ``limit``.

    Returns how many.
    """
    columns = tables.delivery.c
    waiting = select(columns.id).where(text(tables.ACCEPTED), columns.webhook_id == webhook_id)
    # What is not due by itself first: the first delivery of a batch starts the run of those that are left.
    of_batches = waiting.where(columns.next_attempt_at.is_(None))
    ids = list(connection.scalars(of_batches.order_by(*WAITING_ORDER).limit(limit)))
    if len(ids) < limit:
        due = waiting.where(columns.next_attempt_at.is_not(None))
        ids += connection.scalars(due.order_by(*WAITING_ORDER).limit(limit - len(ids)))
    if len(ids) < limit:
        not_due = select(columns.id).where(text(tables.NOT_DUE), columns.webhook_id == webhook_id)
        ids += connection.scalars(not_due.order_by(columns.webhook_id, columns.id).limit(limit - len(ids)))
    if ids:
        values = {"state": State.CANCELLED, "next_attempt_at": None, "error": "The webhook was deleted."}
        connection.execute(update(tables.delivery).where(columns.id.in_(ids)).values(values))
    return len(ids)
