"""Database part of the health report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import CTE, Connection, false, func, insert, null, select, true, update

from inbound_webhooks.monitoring.health import DatabaseStatus
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.credentials import with_credentials
from inbound_webhooks.storage.database import begin_writing
from inbound_webhooks.storage.database_causes import DATABASE_PROBLEMS
from inbound_webhooks.storage.deliveries import counted_backlog
from inbound_webhooks.storage.encryption import check_token
from inbound_webhooks.storage.holds import counted_held
from inbound_webhooks.storage.statement import Executor, Statement


def read_status(connection: Connection) -> DatabaseStatus:
    """Read the backlog and the latest heartbeat on SQLite; fails where a request could not be stored.

    Takes the write lock for a moment, since SQLite refuses writes to a read-only file no earlier.
    """
    for statement in _READS:
        connection.execute(statement.construct)
    begin_writing(connection)
    return _status(connection.execute(_STATUS.construct).one())


async def fetch_status(executor: Executor) -> DatabaseStatus:
    """The same on PostgreSQL, on the endpoint's own connection; takes no lock on any row."""
    for statement in (*_READS, _WRITES):
        await executor.fetch(statement, {})
    [row] = await executor.fetch(_STATUS, {})
    return _status(row)


def _status(row: Any) -> DatabaseStatus:
    *figures, token = row
    check_token(token)
    DATABASE_PROBLEMS.proved_usable()
    return DatabaseStatus(*figures)


def _status_query() -> Any:
    waiting = counted_backlog()
    last_seen = select(func.max(tables.dispatcher.c.seen_at)).scalar_subquery()
    newest = select(tables.token.c.encrypted).order_by(tables.token.c.id.desc()).limit(1)
    return select(
        func.count().label("backlog"),
        func.min(waiting.c.received_at).label("oldest_received_at"),
        last_seen.label("dispatcher_seen_at"),
        counted_held().label("held"),
        newest.scalar_subquery().label("newest_token"),
    ).select_from(waiting)


def _writes() -> Iterator[CTE]:
    """What a gateway may write, see docs/growing.md, without any row: PostgreSQL checks privileges, and
    whether the transaction is read-only, nevertheless."""
    yield update(tables.webhook).where(false()).values(confirm_url=null()).cte("webhook")
    for table in (tables.token, tables.secret):
        yield update(table).where(false()).values(last_used_at=null()).cte(f"used_{table.name}")
    yield update(tables.wait).where(false()).values(state=null()).cte("wait")
    for table in _INSERTED:
        names = [column.name for column in table.c]
        nothing = select(*(null().label(name) for name in names)).where(false())
        yield insert(table).from_select(names, nothing, include_defaults=False).cte(f"new_{table.name}")


_INSERTED = (
    tables.delivery,
    tables.rejection,
    tables.response,
    tables.captured,
    tables.result_token,
    tables.wait,
)
_STATUS = Statement(_status_query())
_READS = (
    Statement(with_credentials(tables.webhook.c.id == "")),
    Statement(select(tables.delivery).where(false())),
)
"""Name every column that requests read, and find nothing."""
_WRITES = Statement(select(true()).add_cte(*_writes()))
