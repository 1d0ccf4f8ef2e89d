"""Batches on PostgreSQL: one statement each, on a connection of the event loop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from inbound_webhooks.deliveries.store.base import (
    CONCURRENT_BATCHES,
    VersionedDelivery,
    WebhookAndCredentials,
    result_or_error,
)
from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.monitoring.health import DatabaseStatus
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.storage.async_connections import AsyncConnections
from inbound_webhooks.storage.database import autocommit
from inbound_webhooks.storage.database_causes import DATABASE_PROBLEMS
from inbound_webhooks.storage.deliveries import insert_delivery
from inbound_webhooks.storage.health import fetch_status
from inbound_webhooks.storage.postgres_bulk import WebhookCache, insert_deliveries
from inbound_webhooks.storage.statement import StatementRefused
from inbound_webhooks.storage.threads import run_in_thread


class PostgresBackend:
    """Batches of reads and inserts on PostgreSQL."""

    def __init__(self) -> None:
        self._connections = AsyncConnections(2 * CONCURRENT_BATCHES)
        self._webhooks = WebhookCache()

    async def find(
        self, webhook_ids: Sequence[str]
    ) -> Sequence[WebhookAndCredentials | BaseException | None]:
        """One statement, and a second one if webhooks have changed."""
        try:
            found = await self._connections.use(partial(self._webhooks.find, webhook_ids=webhook_ids))
        except StatementRefused:
            raise DatabaseUnavailable from None
        return list(map(found.get, webhook_ids))

    async def insert(self, deliveries: Sequence[VersionedDelivery]) -> Sequence[str | BaseException | None]:
        """One statement; deliveries that it skipped are inserted one by one, to get each one's result."""
        try:
            stored = await self._connections.use(partial(insert_deliveries, deliveries=deliveries))
        except StatementRefused:
            stored = set()  # because of some value: inserting one by one shows which delivery has it
        results: list[str | BaseException | None] = []
        for delivery, version in deliveries:
            is_stored = delivery.id in stored
            results.append(delivery.id if is_stored else await _insert_alone(delivery, version))
        return results

    async def status(self) -> DatabaseStatus:
        """On one of the same connections."""
        try:
            status = await self._connections.use(fetch_status)
        except StatementRefused:
            raise DatabaseUnavailable from None
        DATABASE_PROBLEMS.succeeded()
        return status

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()


async def _insert_alone(delivery: Delivery, version: int) -> str | BaseException | None:
    def insert() -> str | None:
        return autocommit(lambda connection: insert_delivery(connection, delivery, version))

    return await run_in_thread(partial(result_or_error, insert))
