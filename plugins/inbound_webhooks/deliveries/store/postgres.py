"""Batches on PostgreSQL: each is one statement, on a connection of asyncpg's."""

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
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.storage.async_connections import AsyncConnections, StatementRefused
from inbound_webhooks.storage.database import autocommit
from inbound_webhooks.storage.deliveries import insert_delivery
from inbound_webhooks.storage.postgres_bulk import WebhookCache, insert_deliveries
from inbound_webhooks.storage.threads import run_in_thread


class PostgresBackend:
    """Many visits at once to PostgreSQL."""

    def __init__(self) -> None:
        self._connections = AsyncConnections(2 * CONCURRENT_BATCHES)
        self._webhooks = WebhookCache()

    async def find(
        self, webhook_ids: Sequence[str]
    ) -> Sequence[WebhookAndCredentials | BaseException | None]:
        """One statement; a second one where webhooks have changed."""
        try:
            found = await self._connections.use(partial(self._webhooks.find, webhook_ids=webhook_ids))
        except StatementRefused:
            raise DatabaseUnavailable from None
        return [found.get(webhook_id) for webhook_id in webhook_ids]

    async def store(self, given: Sequence[VersionedDelivery]) -> Sequence[str | BaseException | None]:
        """One statement; whoever did not get in by it is looked at alone."""
        try:
            stored = await self._connections.use(partial(insert_deliveries, given=given))
        except StatementRefused:
            stored = set()  # because of one of them: which, shows when each is tried alone
        return [
            delivery.id if delivery.id in stored else await _alone(delivery, version)
            for delivery, version in given
        ]

    async def close(self) -> None:
        """End the connections."""
        await self._connections.close()


async def _alone(delivery: Delivery, version: int) -> str | BaseException | None:
    def store() -> str | None:
        return autocommit(lambda connection: insert_delivery(connection, delivery, version))

    return await run_in_thread(partial(result_or_error, store))
