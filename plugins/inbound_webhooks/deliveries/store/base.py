"""The endpoint's reads and writes, in batches: concurrent requests share statements and commits."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from inbound_webhooks.deliveries.store.apart import Apart
from inbound_webhooks.deliveries.store.backend import (
    Backend,
    LeftOut,
    VersionedDelivery,
    WebhookAndCredentials,
)
from inbound_webhooks.deliveries.store.batcher import Batcher
from inbound_webhooks.errors import TooBusy
from inbound_webhooks.monitoring.health import DatabaseStatus
from inbound_webhooks.settings import Settings

MAX_READS_PER_BATCH = 256
MAX_INSERTS_PER_BATCH = 64
"""Items per statement or transaction."""

LARGE_BYTES = 64 * 1024
"""A longer body or conf is written apart from short ones, which would wait until it is."""

ROW_BYTES = 512
"""What a child takes beside its conf."""

MAX_BYTES_PER_BATCH = 4 * 1024 * 1024
"""Bodies and confs per statement or transaction."""

MAX_CHANGES_AWAITED = 3
"""Changes of its webhook that a delivery waits for."""

KINDS_OF_BATCHES = 3
"""Reads, inserts, and inserts of large deliveries."""

CONCURRENT_BATCHES = 1
"""Concurrent batches of a kind: while one is written, the next one is collected."""

CACHE_SECONDS = 1.0
"""How long a cached webhook admits requests. During this time the endpoint may still read a body sent with a
revoked token, but does not store its delivery."""

MAX_CACHED_WEBHOOKS = 20_000

_NOT_CACHED: tuple[WebhookAndCredentials | None, float] = (None, float("-inf"))


class DeliveryStore:
    """Webhooks and deliveries of one endpoint, on one event loop; each call may raise DatabaseUnavailable."""

    def __init__(
        self,
        backend: Backend,
        *,
        max_waiting_requests: int = Settings.max_waiting_requests,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._cached: dict[str, tuple[WebhookAndCredentials | None, float]] = {}
        # After a read the sender's next step is an insert, not a read, so splitting batches gains nothing.
        self._find = Batcher[str, "WebhookAndCredentials | None"](
            backend.find, most=MAX_READS_PER_BATCH, batches=CONCURRENT_BATCHES, least=MAX_READS_PER_BATCH
        )
        self._insert = Batcher[VersionedDelivery, "str | LeftOut | None"](
            backend.insert, most=MAX_INSERTS_PER_BATCH, batches=CONCURRENT_BATCHES
        )
        self._insert_large = Batcher[VersionedDelivery, "str | LeftOut | None"](
            backend.insert,
            most=MAX_INSERTS_PER_BATCH,
            batches=CONCURRENT_BATCHES,
            most_weight=MAX_BYTES_PER_BATCH,
        )
        self._apart = Apart(
            backend.insert_alone, backend.wait_for_change, most_per_webhook=max_waiting_requests
        )

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

    def insert(self, given: VersionedDelivery) -> Awaitable[str | LeftOut | None]:
        """Commit a delivery in a batch; see :func:`inbound_webhooks.storage.deliveries.insert_delivery`."""
        delivery = given[0]
        size = len(delivery.body) + len(delivery.conf or "")
        if given[2]:
            size += sum(ROW_BYTES + len(child.conf or "") for child in given[2])
        if size <= LARGE_BYTES:
            return self._insert(given, delivery.webhook_id)
        return self._insert_large(given, delivery.webhook_id, size)

    async def insert_left_out(self, given: VersionedDelivery, reason: LeftOut) -> str | None:
        """Commit a delivery that a batch left out, while the batches go on.

        :raises TooBusy: too many requests of its webhook wait already
        """
        webhook_id = given[0].webhook_id
        result: str | LeftOut | None = reason
        for _ in range(MAX_CHANGES_AWAITED):
            if result is not LeftOut.LOCKED:
                break
            await self._apart.wait_for_change(webhook_id)
            result = await self.insert(given)
        if result is LeftOut.REFUSED:
            result = await self._apart.insert(given)
        if isinstance(result, LeftOut):
            raise TooBusy("The webhook is being changed.")
        return result

    def is_waiting(self, webhook_id: str) -> bool:
        """Whether deliveries of a webhook wait for a change of it, or are inserted one by one."""
        return self._apart.is_waiting(webhook_id)

    async def status(self) -> DatabaseStatus:
        """What the health report says of the database, read as the endpoint reads its webhooks."""
        return await self._backend.status()

    async def close(self) -> None:
        """Close the connections when no call is running; a later call opens new ones."""
        await self._backend.close()
