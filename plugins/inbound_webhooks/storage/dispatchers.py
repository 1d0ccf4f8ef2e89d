"""Which dispatchers there are, and when each one was last seen at work."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from inbound_webhooks.storage import tables

HOST_CHARS = 250


@dataclass(frozen=True, kw_only=True)
class DispatcherRow:
    """One dispatcher; ``id`` is 32 hex characters of its own."""

    id: str
    host: str
    pid: int
    started_at: datetime


def note_dispatcher(connection: Connection, row: DispatcherRow, seen_at: datetime) -> None:
    """Write that a dispatcher is at work now."""
    columns = tables.dispatcher.c
    done = connection.execute(update(tables.dispatcher).where(columns.id == row.id).values(seen_at=seen_at))
    if done.rowcount == 0:
        connection.execute(insert(tables.dispatcher), asdict(row) | {"seen_at": seen_at})


def forget_dispatcher(connection: Connection, dispatcher_id: str) -> None:
    """Take a dispatcher that has ended out of the list."""
    connection.execute(delete(tables.dispatcher).where(tables.dispatcher.c.id == dispatcher_id))


def forget_dispatchers_before(connection: Connection, seen_before: datetime) -> int:
    """Take those out of the list that were not seen for long; return how many."""
    gone = delete(tables.dispatcher).where(tables.dispatcher.c.seen_at < seen_before)
    return connection.execute(gone).rowcount


def dispatchers_seen(connection: Connection, *, host: str | None = None) -> datetime | None:
    """When the one, of all or of one host, was seen that was seen last; None where there is none."""
    columns = tables.dispatcher.c
    last = select(func.max(columns.seen_at))
    return connection.scalar(last if host is None else last.where(columns.host == host))
