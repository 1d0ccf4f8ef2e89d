"""Batches on PostgreSQL: one statement each, on a connection of the event loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from inbound_webhooks.deliveries.store.backend import (
    InsertResult,
    LeftOut,
    VersionedDelivery,
    WebhookAndCredentials,
)
from inbound_webhooks.deliveries.store.base import CONCURRENT_BATCHES, KINDS_OF_BATCHES
from inbound_webhooks.deliveries.store.one_by_one import insert_one_by_one
from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.monitoring.health import DatabaseStatus
from inbound_webhooks.storage.async_connections import AsyncConnections
from inbound_webhooks.storage.database import autocommit
from inbound_webhooks.storage.health import fetch_status
from inbound_webhooks.storage.postgres_bulk import WebhookCache, find_stored, insert_deliveries
from inbound_webhooks.storage.statement import StatementRefused
from inbound_webhooks.storage.threads import run_in_thread
from inbound_webhooks.storage.webhooks import wait_for_change


class PostgresBackend:
    """Batches of reads and inserts on PostgreSQL."""

    def __init__(self) -> None:
        self._connections = AsyncConnections(KINDS_OF_BATCHES * CONCURRENT_BATCHES)
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

    async def insert(self, deliveries: Sequence[VersionedDelivery]) -> Sequence[InsertResult]:
        """One statement, and a second one that finds out why the first one skipped some deliveries."""
        try:
            stored = await self._connections.use(partial(insert_deliveries, deliveries=deliveries))
        except StatementRefused:
            return [LeftOut.REFUSED] * len(deliveries)  # inserting one by one shows which one it was
        if len(stored) == len(deliveries):
            return [given[0].id for given in deliveries]
        skipped = [given for given in deliveries if given[0].id not in stored]
        found = await self._look_up(skipped)
        ids = [given[0].id for given in deliveries]
        return [own_id if own_id in stored else found[own_id] for own_id in ids]

    async def _look_up(self, skipped: Sequence[VersionedDelivery]) -> Mapping[str, InsertResult]:
        """The results of skipped deliveries; the others of the batch are committed, whatever happens here."""
        results: dict[str, InsertResult] = dict.fromkeys((given[0].id for given in skipped), LeftOut.LOCKED)
        try:
            found = await self._connections.use(partial(find_stored, deliveries=skipped))
        except (DatabaseUnavailable, StatementRefused):
            return dict.fromkeys(results, DatabaseUnavailable())
        return results | found

    async def insert_alone(self, deliveries: Sequence[VersionedDelivery]) -> Sequence[InsertResult]:
        """In a thread, on connections of Airflow's pool."""
        return await run_in_thread(partial(insert_one_by_one, deliveries))

    async def wait_for_change(self, webhook_id: str) -> None:
        """In a thread, on a connection of Airflow's pool."""
        wait = partial(wait_for_change, webhook_id=webhook_id)
        await run_in_thread(partial(autocommit, wait))

    async def status(self) -> DatabaseStatus:
        """On one of the same connections."""
        try:
            return await self._connections.use(fetch_status)
        except StatementRefused:
            raise DatabaseUnavailable from None

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()
