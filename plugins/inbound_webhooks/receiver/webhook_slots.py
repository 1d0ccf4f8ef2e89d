"""Slots for work that takes a thread, a connection or processor time; one webhook has a share of them."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

import anyio

from inbound_webhooks.errors import TooBusy


@dataclass
class _Own:
    """The slots that one webhook holds, its requests that wait for one, and how many there are of both."""

    held: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    requests: int = 0


class WebhookSlots:
    """The slots of one event loop: ``number`` in all, at most ``share`` of them for one webhook.

    A free slot goes to the webhook that holds the fewest, and of those to the one that has waited longest:
    however many webhooks hold all they may, a request of another one is the next.
    """

    def __init__(self, number: int, *, share: int, queue_seconds: float) -> None:
        self._free = number
        self._share = share
        self._queue_seconds = queue_seconds
        self._own: dict[str, _Own] = {}
        self._waiting = 0
        # By the number of slots that they hold: the webhooks with requests that wait and may have one more.
        self._queues: list[dict[str, None]] = [{} for _ in range(share)]

    async def take(self, webhook_id: str) -> None:
        """Wait for a slot, to be given back by :meth:`release`.

        :raises TooBusy: none was free in time
        """
        own = self._own.get(webhook_id)
        if own is None:
            own = self._own[webhook_id] = _Own()
        own.requests += 1
        if self._free and own.held < self._share:
            self._free -= 1
            own.held += 1
            return
        try:
            await self._wait(webhook_id, own)
        except BaseException:
            self._leave(webhook_id, own)
            raise

    def requests_of(self, webhook_id: str) -> int:
        """How many requests of a webhook hold a slot or wait for one."""
        own = self._own.get(webhook_id)
        return 0 if own is None else own.requests

    def release(self, webhook_id: str, *, after_seconds: float = 0.0, own_after_seconds: float = 0.0) -> None:
        """Give back a slot: to all webhooks, and to this one's share, each after a pause."""
        if own_after_seconds > 0:
            asyncio.get_running_loop().call_later(own_after_seconds, self._release_own, webhook_id)
        else:
            self._release_own(webhook_id)
        if after_seconds > 0:
            asyncio.get_running_loop().call_later(after_seconds, self._release)
        else:
            self._release()

    def _release(self) -> None:
        self._free += 1
        if self._waiting:
            self._hand_on()

    def _release_own(self, webhook_id: str) -> None:
        own = self._own[webhook_id]
        if self._waiting:
            self._hold(webhook_id, own, -1)
        else:
            own.held -= 1  # no webhook is in a queue
        self._leave(webhook_id, own)
        if self._waiting:
            self._hand_on()

    async def _wait(self, webhook_id: str, own: _Own) -> None:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        own.waiting.append(granted)
        self._waiting += 1
        self._queue(webhook_id, own)
        try:
            with anyio.fail_after(self._queue_seconds):
                await granted
        except BaseException as error:
            if granted.done() and not granted.cancelled():
                self._hold(webhook_id, own, -1)
                self._release()
            else:
                own.waiting.remove(granted)
                self._waiting -= 1
                self._queue(webhook_id, own)
            if isinstance(error, TimeoutError):
                raise TooBusy from None
            raise

    def _hand_on(self) -> None:
        """Give free slots to requests that wait."""
        while self._free and (queue := next(filter(None, self._queues), None)):
            webhook_id = next(iter(queue))
            own = self._own[webhook_id]
            own.waiting.popleft().set_result(None)
            self._waiting -= 1
            self._free -= 1
            self._hold(webhook_id, own, 1)

    def _hold(self, webhook_id: str, own: _Own, more: int) -> None:
        if own.held < self._share:
            self._queues[own.held].pop(webhook_id, None)
        own.held += more
        self._queue(webhook_id, own)

    def _queue(self, webhook_id: str, own: _Own) -> None:
        """Put a webhook behind those that hold as many slots, or take it out if nothing of it waits."""
        if own.held < self._share:
            if own.waiting:
                self._queues[own.held].setdefault(webhook_id)
            else:
                self._queues[own.held].pop(webhook_id, None)

    def _leave(self, webhook_id: str, own: _Own) -> None:
        own.requests -= 1
        if not own.requests:
            del self._own[webhook_id]
