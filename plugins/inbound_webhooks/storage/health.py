"""Database part of the health report."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, false, func, select

from inbound_webhooks.monitoring.health import DatabaseStatus
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.credentials import with_credentials
from inbound_webhooks.storage.deliveries import counted_backlog
from inbound_webhooks.storage.statement import Executor, Statement


def read_status(connection: Connection) -> DatabaseStatus:
    """Read the backlog and the latest heartbeat; fails where a column that requests need is missing."""
    for statement in _PROBES:
        connection.execute(statement.construct)
    return DatabaseStatus(*connection.execute(_STATUS.construct).one())


async def fetch_status(executor: Executor) -> DatabaseStatus:
    """The same on the endpoint's own connection."""
    for statement in _PROBES:
        await executor.fetch(statement, {})
    [row] = await executor.fetch(_STATUS, {})
    return DatabaseStatus(*row)


def _status() -> Any:
    waiting = counted_backlog()
    last_seen = select(func.max(tables.dispatcher.c.seen_at)).scalar_subquery()
    return select(
        func.count().label("backlog"),
        func.min(waiting.c.received_at).label("oldest_received_at"),
        last_seen.label("dispatcher_seen_at"),
    ).select_from(waiting)


_STATUS = Statement(_status())
_PROBES = (
    Statement(with_credentials(tables.webhook.c.id == "")),
    Statement(select(tables.delivery).where(false())),
)
"""Name every column that requests read or write, and find nothing."""
