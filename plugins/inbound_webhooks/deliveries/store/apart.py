"""Deliveries that a batch left out: they wait by webhook, and no batch waits for them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from inbound_webhooks.deliveries.store.backend import InsertResult, LeftOut, VersionedDelivery
from inbound_webhooks.deliveries.store.batcher import Batcher
from inbound_webhooks.errors import TooBusy

GRACE_SECONDS = 0.25
"""A change of a webhook takes milliseconds: any number of its requests may wait so long. Afterwards only a
few may, since each holds one of the places that all webhooks share."""

MAX_INSERTS = 64
"""Deliveries of one webhook that wait to be inserted one by one, as many as a batch has."""

MAX_THREADS = 8
"""Webhooks that may wait in the database at once: each takes a thread and a connection."""


class Apart:
    """The waiting deliveries of one event loop; a webhook waits in the database once for all of its own."""

    def __init__(
        self,
        insert: Callable[[Sequence[VersionedDelivery]], Awaitable[Sequence[InsertResult]]],
        wait: Callable[[str], Awaitable[None]],
        *,
        most_per_webhook: int,
    ) -> None:
        self._insert = insert
        self._wait = wait
        self._most = most_per_webhook
        self._threads = asyncio.Semaphore(MAX_THREADS)
        self._waiting: Counter[str] = Counter()
        self._changes: dict[str, asyncio.Task[None]] = {}
        self._batchers: dict[str, Batcher[VersionedDelivery, str | LeftOut | None]] = {}

    async def wait_for_change(self, webhook_id: str) -> None:
        """Wait until no transaction changes a webhook.

        :raises DatabaseUnavailable: that takes too long
        :raises TooBusy: too many requests of the webhook wait already
        """
        is_one_too_many = self._waiting[webhook_id] >= self._most
        self._waiting[webhook_id] += 1
        try:
            change = asyncio.shield(self._change(webhook_id))
            await asyncio.wait_for(change, GRACE_SECONDS if is_one_too_many else None)
        except asyncio.TimeoutError:
            raise TooBusy("The webhook is being changed.") from None
        finally:
            self._leave(webhook_id)

    def is_waiting(self, webhook_id: str) -> bool:
        """Whether deliveries of a webhook wait here."""
        return webhook_id in self._waiting

    async def insert(self, given: VersionedDelivery) -> str | LeftOut | None:
        """Insert a delivery in a transaction of its own; deliveries of one webhook follow each other.

        :raises DatabaseUnavailable: nothing was written
        :raises TooBusy: too many requests of the webhook wait already
        """
        webhook_id = given[0].webhook_id
        if self._waiting[webhook_id] >= MAX_INSERTS:
            raise TooBusy
        batcher = self._batchers.get(webhook_id)
        if batcher is None:
            batcher = self._batchers[webhook_id] = Batcher(
                self._insert_in_thread, most=MAX_INSERTS, batches=1, least=MAX_INSERTS
            )
        self._waiting[webhook_id] += 1
        try:
            return await batcher(given)
        finally:
            self._leave(webhook_id)

    async def _insert_in_thread(self, given: Sequence[VersionedDelivery]) -> Sequence[InsertResult]:
        async with self._threads:
            return await self._insert(given)

    def _change(self, webhook_id: str) -> asyncio.Task[None]:
        change = self._changes.get(webhook_id)
        if change is None:
            change = self._changes[webhook_id] = asyncio.ensure_future(self._wait_in_thread(webhook_id))
            change.add_done_callback(lambda done: self._forget(webhook_id, done))
        return change

    async def _wait_in_thread(self, webhook_id: str) -> None:
        async with self._threads:
            await self._wait(webhook_id)

    def _forget(self, webhook_id: str, done: asyncio.Task[None]) -> None:
        self._changes.pop(webhook_id, None)
        if not done.cancelled():
            done.exception()  # every caller may be gone, and then nothing else looks at it

    def _leave(self, webhook_id: str) -> None:
        self._waiting[webhook_id] -= 1
        if not self._waiting[webhook_id]:
            del self._waiting[webhook_id]
            self._batchers.pop(webhook_id, None)
