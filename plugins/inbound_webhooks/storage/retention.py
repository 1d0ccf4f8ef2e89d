"""Deletes expired rows, a bounded batch per transaction; rows locked by other transactions are skipped."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Table, case, delete, exists, or_, select, text, update

from inbound_webhooks.records.delivery import State
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.listing import OPEN_STATES, first_id_at
from inbound_webhooks.storage.mails import MailState


def delete_deliveries(connection: Connection, *, before: datetime, keys_before: datetime, limit: int) -> int:
    """Delete finished deliveries received before then; return how many.

    A delivery with a deduplication key is kept until it is older than ``keys_before``, and one that was split
    until all of its children are gone: they share its request.
    """
    columns = tables.delivery.c
    old = select(columns.id).where(text(tables.ENDED), columns.received_at < before)
    forgettable = columns.dedup_key.is_(None) | (columns.received_at < keys_before)
    childless = or_(columns.state != State.SPLIT, ~_has_child())
    chosen = old.where(forgettable, childless).order_by(columns.received_at)
    return _delete(connection, tables.delivery, chosen, limit)


def _has_child(*conditions: Any) -> Any:
    child = tables.delivery.alias("child").c
    is_child = (child.parent_id.is_not(None), child.parent_id == tables.delivery.c.id)
    return exists().where(*is_child, *(condition(child) for condition in conditions))


def empty_deliveries(connection: Connection, *, since: datetime, before: datetime, limit: int) -> int:
    """Delete the content of deliveries that are kept only for their deduplication key; return how many.

    A delivery that was split keeps its content while one of its children needs it.
    """
    columns = tables.delivery.c
    is_needed = _has_child(
        lambda child: or_(child.received_at >= before, child.state.in_(OPEN_STATES)),
    )
    held = select(columns.id).where(
        text(tables.ENDED),
        columns.received_at >= since,
        columns.received_at < before,
        case(
            (columns.state == State.SPLIT, ~is_needed),
            else_=columns.dedup_key.is_not(None),
        ),
        # Rows that are empty already are skipped, or each round would write them again.
        or_(columns.body_stored, columns.conf.is_not(None), columns.headers != EMPTY["headers"]),
    )
    chosen = _locked(connection, held.order_by(columns.received_at), limit)
    if chosen:
        connection.execute(update(tables.delivery).where(columns.id.in_(chosen)).values(EMPTY))
    return len(chosen)


EMPTY: dict[str, Any] = {
    "headers": "[]",
    "query_string": "",
    "credentials": None,
    "body": b"",
    "body_stored": False,
    "conf": None,
    "error": None,
    "routes": None,
}
"""Columns of a delivery whose content is deleted."""


def delete_responses(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete the responses of deliveries received before then, whatever their state; return how many."""
    columns = tables.response.c
    # Ids of deliveries sort by time, so the primary key is the only index that this needs.
    old = select(columns.id).where(columns.id < first_id_at(before))
    return _delete(connection, tables.response, old.order_by(columns.id), limit)


def delete_result_tokens(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete the tokens of results of deliveries received before then; return of how many deliveries."""
    table = tables.result_token
    old = select(table.c.delivery_id).where(table.c.delivery_id < first_id_at(before)).distinct()
    ids = list(connection.scalars(old.order_by(table.c.delivery_id).limit(limit)))
    if ids:
        connection.execute(delete(table).where(table.c.delivery_id.in_(ids)))
    return len(ids)


def delete_mails(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete mails that were written before then and are finished; return how many."""
    columns = tables.mail.c
    old = select(columns.id).where(columns.created_at < before, columns.state != MailState.WAITING)
    return _delete(connection, tables.mail, old.order_by(columns.created_at), limit)


def delete_rejections(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete rejections received before then, among the ``limit`` oldest; return how many."""
    columns = tables.rejection.c
    # Ids grow with time, so the oldest rows are found without an index on the time.
    oldest = select(columns.id).order_by(columns.id).limit(limit).subquery()
    old = select(columns.id).where(columns.id.in_(select(oldest.c.id)), columns.rejected_at < before)
    return _delete(connection, tables.rejection, old, limit)


def delete_captured(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete captured requests received before then, among the ``limit`` oldest; return how many."""
    columns = tables.captured.c
    oldest = select(columns.id).order_by(columns.id).limit(limit).subquery()
    old = select(columns.id).where(columns.id.in_(select(oldest.c.id)), columns.received_at < before)
    return _delete(connection, tables.captured, old, limit)


# Two statements, because SQLite's DELETE has no LIMIT, and only a SELECT can skip locked rows.
def _delete(connection: Connection, table: Table, old: Select[Any], limit: int) -> int:
    chosen = _locked(connection, old, limit)
    if chosen:
        connection.execute(delete(table).where(table.c.id.in_(chosen)))
    return len(chosen)


def _locked(connection: Connection, old: Select[Any], limit: int) -> list[Any]:
    return list(connection.scalars(old.limit(limit).with_for_update(skip_locked=True)))
