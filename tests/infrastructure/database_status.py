"""What the health report says of the database, for tests whose event loops end at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inbound_webhooks.monitoring.health import DatabaseStatus


async def database_status() -> DatabaseStatus:
    """Read on a connection that is closed again: another event loop could not use it."""
    from inbound_webhooks.deliveries.store.factory import open_store

    store = open_store()
    try:
        return await store.status()
    finally:
        await store.close()
