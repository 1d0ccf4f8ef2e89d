"""Batches on SQLite: one transaction each, in a thread.

SQLite has a single writer, and most of its time goes into commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from inbound_webhooks.deliveries.store.backend import (
    InsertResult,
    LeftOut,
    VersionedDelivery,
    WebhookAndCredentials,
    result_or_error,
)
from inbound_webhooks.deliveries.store.one_by_one import insert_one_by_one
from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.monitoring.health import DatabaseStatus
from inbound_webhooks.storage.credentials import find_with_credentials
from inbound_webhooks.storage.database import autocommit, begin_writing, transaction
from inbound_webhooks.storage.database_causes import is_locked
from inbound_webhooks.storage.deliveries import find_stored, try_insert_delivery
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

    async def insert(self, deliveries: Sequence[VersionedDelivery]) -> Sequence[InsertResult]:
        """One transaction; where it fails because of one of the deliveries, all of them are left out."""
        async with self._writing:
            try:
                return await run_in_thread(partial(_insert_together, deliveries))
            except DatabaseUnavailable as error:
                if len(deliveries) == 1 or is_locked(error):
                    raise
        return [LeftOut.REFUSED] * len(deliveries)

    async def insert_alone(self, deliveries: Sequence[VersionedDelivery]) -> Sequence[InsertResult]:
        """A transaction each, between two batches."""
        async with self._writing:
            return await run_in_thread(partial(insert_one_by_one, deliveries))

    async def wait_for_change(self, webhook_id: str) -> None:
        """Nothing to wait for: SQLite locks no rows, and a batch waits for its single writer."""

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


def _insert_together(deliveries: Sequence[VersionedDelivery]) -> list[InsertResult]:
    results: list[InsertResult] = []
    with transaction() as connection:
        begin_writing(connection)
        for delivery, version, children in deliveries:
            try:
                is_stored = try_insert_delivery(connection, delivery, version, children)
                results.append(delivery.id if is_stored else None)
            except SQLAlchemyError:
                raise  # SQLite may have rolled back the whole transaction, as on a full disk
            except Exception as error:  # noqa: BLE001 - a value that SQLite rejects fails this delivery only
                results.append(error)
    if None in results:
        _look_up(deliveries, results)
    return results


def _look_up(deliveries: Sequence[VersionedDelivery], results: list[InsertResult]) -> None:
    """Fill in the results of the deliveries that were not stored, when the write lock is free again.

    The others of the batch are committed, whatever happens here.
    """
    skipped = [position for position, result in enumerate(results) if result is None]
    find = partial(find_stored, deliveries=[deliveries[position] for position in skipped])
    found = result_or_error(partial(autocommit, find))
    for number, position in enumerate(skipped):
        results[position] = found if isinstance(found, BaseException) else found[number]
