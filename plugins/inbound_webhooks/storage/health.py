"""Database part of the health report."""

from __future__ import annotations

from inbound_webhooks.monitoring.health import DatabaseStatus
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.deliveries import read_backlog
from inbound_webhooks.storage.dispatchers import dispatchers_seen


def read_figures() -> DatabaseStatus:
    """Read the backlog and the latest heartbeat in one transaction; raises DatabaseUnavailable."""
    with transaction() as connection:
        backlog, oldest = read_backlog(connection)
        return DatabaseStatus(backlog, oldest, dispatchers_seen(connection))
