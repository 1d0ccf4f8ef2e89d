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
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    null,
    or_,
    select,
    text,
    true,
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

MAX_NUMBER_DIGITS = 10

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


def insert_delivery(
    connection: Connection, delivery: Delivery, version: int, children: Sequence[Delivery] = ()
) -> str | None:
    """Insert a delivery if its webhook still has this version, in one statement that locks the webhook.

    The lock is FOR SHARE: requests do not wait for each other, and a change of the webhook waits until they
    have committed.

    Returns the id under which the event is stored: the delivery's own, or that of an earlier delivery with
    the same deduplication key; None if the webhook has changed. If another transaction is about to commit the
    same key, this waits for it. An earlier attempt of the same call whose response was lost is recognised.

    :param children: stored with the delivery, without those whose keys other deliveries have; they need a
        transaction
    """
    if try_insert_delivery(connection, delivery, version, children):
        return delivery.id
    [found] = find_stored(connection, [(delivery, version, children)])
    return found


def try_insert_delivery(
    connection: Connection, delivery: Delivery, version: int, children: Sequence[Delivery] = ()
) -> bool:
    """The insert alone: False, and nothing written, where :func:`find_stored` has to find out why."""
    values = msgspec.structs.asdict(delivery) | {"expected_version": version}
    del values["to_match"]
    is_stored = connection.execute(_STORE[connection.dialect.name], values).rowcount == 1
    if is_stored:
        _insert_children(connection, children)
    return is_stored


def _insert_children(connection: Connection, children: Sequence[Delivery]) -> None:
    # Two transactions with the same keys wait for each other in the same order: no deadlock.
    ordered = sorted(children, key=lambda child: (child.webhook_id, child.dedup_key or "", child.id))
    if ordered:
        rows = [msgspec.structs.asdict(child) for child in ordered]
        connection.execute(_STORE_CHILDREN[connection.dialect.name], rows)


def insert_replay(
    connection: Connection, delivery: Delivery, version: int, children: Sequence[Delivery]
) -> str | None:
    """As :func:`insert_delivery`, for a replay that a user asked for.

    A child whose key another delivery has is stored without its key.
    """
    stored_id = insert_delivery(connection, delivery, version, children)
    if stored_id == delivery.id and any(child.dedup_key for child in children):
        stored = set(stored_children(connection, delivery.id))
        left = [
            msgspec.structs.replace(child, dedup_key=None) for child in children if child.id not in stored
        ]
        _insert_children(connection, left)
    return stored_id


def stored_children(connection: Connection, parent_id: str) -> list[str]:
    """The ids of a delivery's children, in their order, without replays of them."""
    columns = tables.delivery.c
    of_parent = (text(tables.CHILD), columns.parent_id == parent_id, columns.child_index.is_not(None))
    return list(connection.scalars(select(columns.id).where(*of_parent).order_by(columns.child_index)))


def find_stored(
    connection: Connection, deliveries: Sequence[tuple[Delivery, int, Sequence[Delivery]]]
) -> list[str | None]:
    """The results of :func:`insert_delivery` for deliveries that were not inserted, in three queries."""
    columns, webhook = tables.delivery.c, tables.webhook.c
    given = [each[0] for each in deliveries]
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

    return [result(*each[:2]) for each in deliveries]


def _insert_where(webhook: FromClause, insert: Any, values: Sequence[Any]) -> Any:
    """Inserts a row where ``webhook`` has a row of the expected version."""
    row = (
        select(*values, to_match(webhook, bindparam("state")))
        .select_from(webhook)
        .where(webhook.c.version == bindparam("expected_version"))
    )
    names = [*(column.name for column in _COLUMNS), tables.delivery.c.to_match.name]
    # A conflict means that the event, or this delivery, is stored already; find out which.
    return insert(tables.delivery).from_select(names, row).on_conflict_do_nothing()


def _on_postgresql() -> Any:
    # One statement locks, checks and inserts, so that no transaction has to be begun and ended.
    locked = (
        select(tables.webhook.c.version, is_awaited())
        .where(tables.webhook.c.id == bindparam("webhook_id"), waiting_is_limited("postgresql"))
        .with_for_update(read=True)
        .cte("locked")
    )
    # PostgreSQL does not infer the types of a SELECT from the table that it is inserted into.
    return _insert_where(locked, postgresql.insert, [cast(value, value.type) for value in _VALUES])


def _on_sqlite() -> Any:
    # Without WITH: Python's sqlite3 counts the rows of statements that begin with INSERT only.
    webhook = select(tables.webhook.c.version, is_awaited()).where(
        tables.webhook.c.id == bindparam("webhook_id")
    )
    return _insert_where(webhook.subquery(), sqlite.insert, _VALUES)


def is_awaited() -> Any:
    """Whether a webhook's events are to be compared with waits, as a column of a query of webhooks.

    Those of a webhook that starts nothing always are: the comparison decides their outcome.
    """
    columns = tables.webhook.c
    is_target_of_none = (columns.asset.is_(None), columns.routes.is_(None))
    serves_waits_only = and_(columns.dag_id == literal_column("''"), *is_target_of_none)
    return or_(columns.awaited.is_not(None), serves_waits_only).label("is_awaited")


def to_match(webhook: FromClause, state: Any) -> Any:
    """The column ``to_match`` of a new delivery in this state; ``webhook`` has :func:`is_awaited`."""
    # Literals, because the statement for many deliveries binds no lists.
    others = [cast(state, Text()) != literal_column(f"'{never}'") for never in NEVER_MATCHED]
    # A task may begin to wait during the hold, and looks back past what is held.
    is_held = cast(state, Text()) == literal_column(f"'{State.HELD}'")
    return case((and_(or_(webhook.c.is_awaited, is_held), *others), true()), else_=null())


NEVER_MATCHED = (State.REFUSED, State.FILTERED)
"""States of what is no event of its webhook."""

_COLUMNS = [
    column
    for column in tables.delivery.c
    if column.name in Delivery.__struct_fields__ and column is not tables.delivery.c.to_match
]
_VALUES = [bindparam(column.name, type_=column.type) for column in _COLUMNS]
_STORE = {"postgresql": _on_postgresql(), "sqlite": _on_sqlite()}
_STORE_CHILDREN: dict[str, Any] = {
    "postgresql": postgresql.insert(tables.delivery).on_conflict_do_nothing(),
    "sqlite": sqlite.insert(tables.delivery).on_conflict_do_nothing(),
}


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
    # The others of a closed batch are no runs of their own.
    is_due = tables.delivery.c.next_attempt_at.is_not(None)
    of_webhooks = (text(tables.ACCEPTED), text(tables.OF_WEBHOOK), is_due)
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
    """Find a delivery by id, with its request, which is that of its parent if it has one."""
    row = connection.execute(select(tables.delivery).where(tables.delivery.c.id == delivery_id)).first()
    return with_request(connection, Delivery(**row._mapping)) if row else None


def with_request(connection: Connection, delivery: Delivery) -> Delivery:
    """A delivery with the request that it shares with its parent."""
    if delivery.parent_id is None:
        return delivery
    columns = tables.delivery.c
    wanted = select(*(columns[name] for name in REQUEST_COLUMNS)).where(columns.id == delivery.parent_id)
    row = connection.execute(wanted).first()
    if row is None:
        return msgspec.structs.replace(delivery, body_stored=False)
    return msgspec.structs.replace(delivery, **row._mapping)


REQUEST_COLUMNS = ("query_string", "headers", "credentials", "body", "body_stored")
"""The columns in which a child has nothing of its own."""


def find_of_run(connection: Connection, run_suffix: str) -> Delivery | None:
    """Find the delivery of a run by what its id has behind the prefix; see :func:`find_delivery`."""
    parent_id, _, number = run_suffix.partition("__")
    if not (number.isascii() and number.isdigit() and len(number) < MAX_NUMBER_DIGITS):
        return find_delivery(connection, run_suffix)
    columns = tables.delivery.c
    is_child = (text(tables.CHILD), columns.parent_id == parent_id, columns.child_index == int(number))
    row = connection.execute(select(tables.delivery).where(*is_child)).first()
    return with_request(connection, Delivery(**row._mapping)) if row else None


def webhook_of_delivery(connection: Connection, delivery_id: str) -> str | None:
    """The id of a delivery's webhook, None if there is no such delivery."""
    table = tables.delivery
    return connection.scalar(select(table.c.webhook_id).where(table.c.id == delivery_id))


def cancel_accepted(connection: Connection, webhook_id: str, limit: int) -> int:
    """Cancel up to ``limit`` deliveries of a webhook that wait for their run or are not due; count them."""
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
