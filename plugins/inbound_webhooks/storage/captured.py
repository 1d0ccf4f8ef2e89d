"""Statements on listening webhooks and what they capture; each runs on the caller's connection."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, literal, select, text, update

from inbound_webhooks.records.captured import Captured
from inbound_webhooks.storage import tables


def lock_listeners(connection: Connection) -> None:
    """Let one transaction at a time count listeners and add one; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        key = func.hashtextextended(literal("inbound webhook listeners"), 0)
        connection.execute(select(func.pg_advisory_xact_lock(key)))


def count_listeners(connection: Connection, now: datetime) -> int:
    """How many webhooks listen."""
    columns = tables.webhook.c
    query = select(func.count()).where(text(tables.LISTENING), columns.listening_until > now)
    return connection.scalar(query.select_from(tables.webhook)) or 0


def set_listening(connection: Connection, webhook_id: str, until: datetime | None) -> None:
    """Let a webhook listen; no change of the definition, so the version stays."""
    condition = tables.webhook.c.id == webhook_id
    connection.execute(update(tables.webhook).where(condition).values(listening_until=until))


def forget_ended_listeners(connection: Connection, before: datetime) -> None:
    """Clear the time of webhooks that stopped to listen before then."""
    columns = tables.webhook.c
    ended = select(columns.id).where(text(tables.LISTENING), columns.listening_until < before)
    locked = connection.scalars(ended.with_for_update(skip_locked=True)).all()
    if locked:
        condition = columns.id.in_(locked)
        connection.execute(update(tables.webhook).where(condition).values(listening_until=None))


def insert_captured(connection: Connection, captured: Captured, *, most: int, now: datetime) -> bool:
    """Insert a captured request if its webhook still listens and has captured fewer than ``most``."""
    if (
        not _listens(connection, captured.webhook_id, now)
        or count_captured(connection, captured.webhook_id) >= most
    ):
        return False
    row = {name: value for name, value in asdict(captured).items() if name != "id"}
    connection.execute(insert(tables.captured), row)
    return True


def _listens(connection: Connection, webhook_id: str, now: datetime) -> bool:
    """Whether a webhook listens; until the end of the transaction, no other one captures for it."""
    columns = tables.webhook.c
    query = select(columns.id).where(columns.id == webhook_id, columns.listening_until > now)
    lock_captured(connection, webhook_id)
    return connection.scalar(query) is not None


def lock_captured(connection: Connection, webhook_id: str) -> None:
    """Let one transaction at a time capture for a webhook; SQLite has one writer anyway.

    Before the webhook's row is locked: the row of a request that is captured refers to it.
    """
    # Not the webhook's row: requests lock it FOR SHARE, and would have to wait.
    if connection.dialect.name == "postgresql":
        key = func.hashtextextended(literal("inbound webhook captured ") + webhook_id, 0)
        connection.execute(select(func.pg_advisory_xact_lock(key)))


def count_captured(connection: Connection, webhook_id: str) -> int:
    """How many requests a webhook has captured."""
    query = select(func.count()).where(tables.captured.c.webhook_id == webhook_id)
    return connection.scalar(query.select_from(tables.captured)) or 0


def delete_captured_of(connection: Connection, webhook_id: str) -> None:
    """Delete what a webhook has captured."""
    connection.execute(delete(tables.captured).where(tables.captured.c.webhook_id == webhook_id))


_COLUMNS = tuple(field.name for field in fields(Captured))


def list_captured(connection: Connection, webhook_id: str, *, since: datetime) -> list[Captured]:
    """What a webhook has captured since then, newest first, without bodies."""
    columns = tables.captured.c
    wanted = [columns[name] for name in _COLUMNS if name != "body"]
    query = select(*wanted).where(columns.webhook_id == webhook_id, columns.received_at >= since)
    rows = connection.execute(query.order_by(columns.id.desc()))
    return [Captured(**row._mapping, body=None) for row in rows]


def find_captured(
    connection: Connection, webhook_id: str, captured_id: int, *, since: datetime
) -> Captured | None:
    """One captured request with its body, if it was received since then."""
    columns = tables.captured.c
    query = select(*(columns[name] for name in _COLUMNS)).where(
        columns.webhook_id == webhook_id, columns.id == captured_id, columns.received_at >= since
    )
    row = connection.execute(query).first()
    return Captured(**row._mapping) if row else None
