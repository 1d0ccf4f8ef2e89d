"""What the receiver asks of the database: requests that come together read together and commit together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from inbound_webhooks.deliveries.store.batcher import Batcher
from inbound_webhooks.errors import DatabaseUnsupported
from inbound_webhooks.records.credential import Credential
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.records.webhook import Webhook

Result = TypeVar("Result")
WebhookAndCredentials = tuple[Webhook, Sequence[Credential]]
VersionedDelivery = tuple[Delivery, int]
"""A delivery, and the version that its webhook has to have."""

MAX_READS_PER_BATCH = 256
MAX_INSERTS_PER_BATCH = 64
"""Visits in one statement or transaction."""

CONCURRENT_BATCHES = 1
"""Batches of a kind that are under way at the same time: one is written while the next one is collected."""


CACHE_SECONDS = 1.0
"""For how long a webhook counts as known: so long a sender whose token was taken away could still have a body
read, which is then not stored."""

MAX_CACHED_WEBHOOKS = 20_000

_NOT_CACHED: tuple[WebhookAndCredentials | None, float] = (None, float("-inf"))


class Backend(Protocol):
    """A database that takes many visits at once."""

    async def find(
        self, webhook_ids: Sequence[str]
    ) -> Sequence[WebhookAndCredentials | BaseException | None]:
        """Each webhook as it is now, None for one that there is not."""
        ...

    async def store(self, given: Sequence[VersionedDelivery]) -> Sequence[str | BaseException | None]:
        """For each delivery what :func:`inbound_webhooks.storage.deliveries.insert_delivery` returns."""
        ...

    async def close(self) -> None:
        """Give back what is held."""
        ...


class DeliveryStore:
    """The visits of one receiver, on one event loop; each raises DatabaseUnavailable."""

    def __init__(self, batches: Backend, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._batches = batches
        self._clock = clock
        self._held: dict[str, tuple[WebhookAndCredentials | None, float]] = {}
        # Who was told does not ask again, but has its delivery stored: nothing is won by two groups.
        self._find = Batcher[str, "WebhookAndCredentials | None"](
            batches.find, most=MAX_READS_PER_BATCH, batches=CONCURRENT_BATCHES, least=MAX_READS_PER_BATCH
        )
        self._store = Batcher[VersionedDelivery, "str | None"](
            batches.store, most=MAX_INSERTS_PER_BATCH, batches=CONCURRENT_BATCHES
        )

    async def find(self, webhook_id: str) -> WebhookAndCredentials | None:
        """A webhook as it is now, its credentials newest first; one query for all that ask now."""
        found = await self._find(webhook_id)
        if found is None:
            self._held.pop(webhook_id, None)
        else:
            self._hold(webhook_id, found)
        return found

    def held(self, webhook_id: str) -> WebhookAndCredentials | None:
        """A webhook as it was within the last second, where that is known without a visit.

        Enough to go on with what a commit will check, never to say no.
        """
        found, seen_at = self._held.get(webhook_id, _NOT_CACHED)
        return found if self._clock() - seen_at < CACHE_SECONDS else None

    async def store(self, delivery: Delivery, version: int) -> str | None:
        """See :func:`inbound_webhooks.storage.deliveries.insert_delivery`; one
        transaction for all that are stored now."""
        stored_id = await self._store((delivery, version))
        found, _ = self._held.get(delivery.webhook_id, _NOT_CACHED)
        if stored_id is not None and found is not None and found[0].version == version:
            self._hold(delivery.webhook_id, found)
        return stored_id

    def _hold(self, webhook_id: str, found: WebhookAndCredentials) -> None:
        if len(self._held) >= MAX_CACHED_WEBHOOKS:
            self._held.clear()
        self._held[webhook_id] = (found, self._clock())

    async def close(self) -> None:
        """Give back the connections, once nobody visits; who visits afterwards makes new ones."""
        await self._batches.close()


def result_or_error(visit: Callable[[], Result]) -> Result | BaseException:
    """What came of one visit; what is wrong with one is not its neighbours' trouble."""
    try:
        return visit()
    except Exception as error:  # noqa: BLE001 - the sender's answer tells it
        return error


def backend_for(dialect_name: str) -> Backend:
    """What the database that Airflow uses takes.

    :raises DatabaseUnsupported: it is none that we know
    """
    if dialect_name == "postgresql":
        # Not at the top: an Airflow on SQLite has no asyncpg.
        from inbound_webhooks.deliveries.store.postgres import PostgresBackend

        return PostgresBackend()
    if dialect_name == "sqlite":
        from inbound_webhooks.deliveries.store.sqlite import SqliteBackend

        return SqliteBackend()
    raise DatabaseUnsupported(dialect_name)
