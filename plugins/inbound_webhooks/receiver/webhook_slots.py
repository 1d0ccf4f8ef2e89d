"""Slots for work that takes a thread, a connection or processor time; one webhook has a share of them."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from inbound_webhooks.errors import TooBusy


@dataclass
class _Own:
    """The share of one webhook, and how many requests hold a part of it or wait for one."""

    slots: anyio.Semaphore
    requests: int = 0


class WebhookSlots:
    """The slots of one event loop: ``number`` in all, at most ``share`` of them for one webhook.

    The requests of a webhook beyond its share wait for each other, and no other webhook's waits behind them.
    """

    def __init__(self, number: int, *, share: int, queue_seconds: float) -> None:
        self._all = anyio.Semaphore(number, fast_acquire=True)
        self._share = share
        self._queue_seconds = queue_seconds
        self._own: dict[str, _Own] = {}

    async def take(self, webhook_id: str) -> None:
        """Wait for a slot, to be given back by :meth:`release`.

        :raises TooBusy: none was free in time
        """
        own = self._own.get(webhook_id)
        if own is None:
            own = self._own[webhook_id] = _Own(anyio.Semaphore(self._share, fast_acquire=True))
        own.requests += 1
        try:
            if own.slots.value and self._all.value:
                own.slots.acquire_nowait()
                self._all.acquire_nowait()
            else:
                await self._wait(own.slots)
        except BaseException:
            self._leave(webhook_id, own)
            raise

    def requests_of(self, webhook_id: str) -> int:
        """How many requests of a webhook hold a slot or wait for one."""
        own = self._own.get(webhook_id)
        return 0 if own is None else own.requests

    def release(self, webhook_id: str) -> None:
        """Give back a slot."""
        own = self._own[webhook_id]
        self._all.release()
        own.slots.release()
        self._leave(webhook_id, own)

    async def _wait(self, own: anyio.Semaphore) -> None:
        try:
            with anyio.fail_after(self._queue_seconds):
                await own.acquire()
                try:
                    await self._all.acquire()
                except BaseException:
                    own.release()
                    raise
        except TimeoutError:
            raise TooBusy from None

    def _leave(self, webhook_id: str, own: _Own) -> None:
        own.requests -= 1
        if not own.requests:
            del self._own[webhook_id]
