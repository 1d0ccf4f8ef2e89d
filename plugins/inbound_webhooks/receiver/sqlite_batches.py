"""Batches on SQLite: each is one transaction, in a thread.

SQLite has one writer, and its commits are what takes time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import anyio.to_thread

from inbound_webhooks.receiver.shared_visits import Found, ToStore, outcome
from inbound_webhooks.storage import queries
from inbound_webhooks.storage.database import at_once, begin_writing, transaction


class SqliteBatches:
    """Many visits at once to SQLite."""

    def __init__(self) -> None:
        self._writing = asyncio.Lock()

    async def find(self, webhook_ids: Sequence[str]) -> Sequence[Found | BaseException | None]:
        """A query for each webhook."""
        return await anyio.to_thread.run_sync(_find_each, webhook_ids)

    async def store(self, given: Sequence[ToStore]) -> Sequence[str | BaseException | None]:
        """A statement for each delivery."""
        async with self._writing:
            return await anyio.to_thread.run_sync(_store_each, given)

    async def close(self) -> None:
        """Nothing is held."""


def _find_each(webhook_ids: Sequence[str]) -> list[Found | None]:
    def find(webhook_id: str) -> Found | None:
        return at_once(lambda connection: queries.find_with_credentials(connection, webhook_id))

    found = {webhook_id: find(webhook_id) for webhook_id in set(webhook_ids)}
    return [found[webhook_id] for webhook_id in webhook_ids]


def _store_each(given: Sequence[ToStore]) -> list[str | BaseException | None]:
    with transaction() as connection:
        begin_writing(connection)
        return [outcome(partial(queries.store, connection, *row)) for row in given]
