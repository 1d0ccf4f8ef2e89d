"""Batches on SQLite: one transaction each, in a thread.

SQLite has a single writer, and most of its time goes into commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from inbound_webhooks.deliveries.store.base import VersionedDelivery, WebhookAndCredentials, result_or_error
from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.monitoring.health import DatabaseStatus
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.storage.credentials import find_with_credentials
from inbound_webhooks.storage.database import autocommit, begin_writing, transaction
from inbound_webhooks.storage.deliveries import insert_delivery
from inbound_webhooks.storage.health import read_status
from inbound_webhooks.storage.threads import run_in_thread


class SqliteBackend:
    """Batches of reads and inserts on SQLite."""

    def __init__(self) -> None:
        self._writing = asyncio.Lock()

    async def find(
        self, webhook_ids: Sequence[str]
    ) -> Sequence[WebhookAndCredentials | BaseException | None]:
        """One query per webhook."""
        return await run_in_thread(partial(_find_each, webhook_ids))

    async def insert(self, deliveries: Sequence[VersionedDelivery]) -> Sequence[str | BaseException | None]:
        """One statement per delivery; if the transaction fails, deliveries are inserted one by one."""
        async with self._writing:
            try:
                return await run_in_thread(partial(_insert_each, deliveries))
            except DatabaseUnavailable:
                if len(deliveries) == 1:
                    raise
            return [
                await run_in_thread(partial(result_or_error, partial(_insert_alone, *row)))
                for row in deliveries
            ]

    async def status(self) -> DatabaseStatus:
        """One query, in a thread."""
        return await run_in_thread(partial(autocommit, read_status))

    async def close(self) -> None:
        """Nothing to close: each transaction returns its connection to the pool."""


def _find_each(webhook_ids: Sequence[str]) -> list[WebhookAndCredentials | BaseException | None]:
    found: dict[str, WebhookAndCredentials | BaseException | None] = {}
    for webhook_id in webhook_ids:
        if webhook_id not in found:
            find = partial(find_with_credentials, webhook_id=webhook_id)
            found[webhook_id] = result_or_error(partial(autocommit, find))
    return list(map(found.__getitem__, webhook_ids))


def _insert_each(deliveries: Sequence[VersionedDelivery]) -> list[str | BaseException | None]:
    results: list[str | BaseException | None] = []
    with transaction() as connection:
        begin_writing(connection)
        for delivery, version in deliveries:
            try:
                results.append(insert_delivery(connection, delivery, version))
            except SQLAlchemyError:
                raise  # SQLite may have rolled back the whole transaction, as on a full disk
            except Exception as error:  # noqa: BLE001 - a value that SQLite rejects fails this delivery only
                results.append(error)
    return results


def _insert_alone(delivery: Delivery, version: int) -> str | None:
    return autocommit(lambda connection: insert_delivery(connection, delivery, version))
