"""The dispatchers' heartbeats."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from inbound_webhooks.storage import tables

HOST_CHARS = 250


@dataclass(frozen=True, kw_only=True)
class DispatcherRow:
    """A dispatcher process; ``id`` is 32 random hex characters, since a host and pid may be reused."""

    id: str
    host: str
    pid: int
    started_at: datetime


def note_dispatcher(connection: Connection, row: DispatcherRow, seen_at: datetime) -> None:
    """Record a dispatcher's heartbeat."""
    columns = tables.dispatcher.c
    done = connection.execute(update(tables.dispatcher).where(columns.id == row.id).values(seen_at=seen_at))
    # The first heartbeat, or retention has deleted the row meanwhile.
    if done.rowcount == 0:
        connection.execute(insert(tables.dispatcher), asdict(row) | {"seen_at": seen_at})


def forget_dispatcher(connection: Connection, dispatcher_id: str) -> None:
    """Remove a dispatcher that has stopped."""
    connection.execute(delete(tables.dispatcher).where(tables.dispatcher.c.id == dispatcher_id))


def forget_dispatchers_before(connection: Connection, seen_before: datetime) -> int:
    """Remove dispatchers whose last heartbeat is older; return how many."""
    expired = delete(tables.dispatcher).where(tables.dispatcher.c.seen_at < seen_before)
    return connection.execute(expired).rowcount


def dispatchers_seen(connection: Connection, *, host: str | None = None) -> datetime | None:
    """The latest heartbeat, of any dispatcher or of those on one host; None if there is none."""
    columns = tables.dispatcher.c
    last = select(func.max(columns.seen_at))
    return connection.scalar(last if host is None else last.where(columns.host == host))


def count_dispatchers(connection: Connection, *, seen_since: datetime) -> int:
    """Number of dispatchers with a recent heartbeat."""
    query = select(func.count()).where(tables.dispatcher.c.seen_at >= seen_since)
    return connection.scalar(query) or 0
