"""The endpoint's reads and writes, in batches: concurrent requests share statements and commits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from inbound_webhooks.deliveries.store.batcher import Batcher
from inbound_webhooks.monitoring.health import DatabaseStatus
from inbound_webhooks.records.credential import Credential
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.records.webhook import Webhook

Result = TypeVar("Result")
WebhookAndCredentials = tuple[Webhook, Sequence[Credential]]
VersionedDelivery = tuple[Delivery, int]
"""A delivery, and the version that its webhook must have."""

MAX_READS_PER_BATCH = 256
MAX_INSERTS_PER_BATCH = 64
"""Items per statement or transaction."""

CONCURRENT_BATCHES = 1
"""Concurrent batches of a kind: while one is written, the next one is collected."""

CACHE_SECONDS = 1.0
"""How long a cached webhook admits requests. During this time the endpoint may still read a body sent with a
revoked token, but does not store its delivery."""

MAX_CACHED_WEBHOOKS = 20_000

_NOT_CACHED: tuple[WebhookAndCredentials | None, float] = (None, float("-inf"))


class Backend(Protocol):
    """A database that reads webhooks and inserts deliveries in batches."""

    async def find(
        self, webhook_ids: Sequence[str]
    ) -> Sequence[WebhookAndCredentials | BaseException | None]:
        """Each stored webhook, or None if it does not exist."""
        ...

    async def insert(self, deliveries: Sequence[VersionedDelivery]) -> Sequence[str | BaseException | None]:
        """The result of :func:`inbound_webhooks.storage.deliveries.insert_delivery` for each delivery."""
        ...

    async def status(self) -> DatabaseStatus:
        """What the health report says of the database; raises DatabaseUnavailable."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class DeliveryStore:
    """Webhooks and deliveries of one endpoint, on one event loop; each call may raise DatabaseUnavailable."""

    def __init__(self, backend: Backend, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._backend = backend
        self._clock = clock
        self._cached: dict[str, tuple[WebhookAndCredentials | None, float]] = {}
        # After a read the sender's next step is an insert, not a read, so splitting batches gains nothing.
        self._find = Batcher[str, "WebhookAndCredentials | None"](
            backend.find, most=MAX_READS_PER_BATCH, batches=CONCURRENT_BATCHES, least=MAX_READS_PER_BATCH
        )
        self.insert = Batcher[VersionedDelivery, "str | None"](
            backend.insert, most=MAX_INSERTS_PER_BATCH, batches=CONCURRENT_BATCHES
        )
        """Commits a delivery; see :func:`inbound_webhooks.storage.deliveries.insert_delivery`."""

    async def find(self, webhook_id: str) -> WebhookAndCredentials | None:
        """A stored webhook, with its credentials newest first."""
        found = await self._find(webhook_id)
        if found is None:
            self._cached.pop(webhook_id, None)
        else:
            if len(self._cached) >= MAX_CACHED_WEBHOOKS:
                self._cached.clear()
            self._cached[webhook_id] = (found, self._clock())
        return found

    def cached(self, webhook_id: str) -> WebhookAndCredentials | None:
        """A webhook as it was within the last second; None if it is not cached.

        Sufficient to continue with a request, since the commit checks the version, but not to refuse one.
        """
        found, seen_at = self._cached.get(webhook_id, _NOT_CACHED)
        return found if self._clock() - seen_at < CACHE_SECONDS else None

    async def status(self) -> DatabaseStatus:
        """What the health report says of the database, read as the endpoint reads its webhooks."""
        return await self._backend.status()

    async def close(self) -> None:
        """Close the connections when no call is running; a later call opens new ones."""
        await self._backend.close()


def result_or_error(call: Callable[[], Result]) -> Result | BaseException:
    """The result of a call or its exception, so that one item cannot fail the others of its batch."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - raised to the caller of that item
        return error
