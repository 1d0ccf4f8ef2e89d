"""Coalesces concurrent calls into batches; calls that arrive during a batch join the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from operator import itemgetter
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_FIRST = itemgetter(0)

MIN_BATCH_ITEMS = 4
"""The default minimum that a batch takes before it leaves items for the next one."""


class Batcher(Generic[Item, Result]):
    """Collects items on one event loop; ``work`` returns a result for each item of a batch, in their order.

    An exception of ``work`` reaches every caller of its batch.

    Senders that send again after each response form two groups: one is processed while the other one is
    collected. Each batch takes half of the items that wait or were just processed, so that both groups become
    equally large. Otherwise a large and a small group alternate, and while the large one is processed, there
    is nothing to collect most of the time.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result | BaseException]]],
        *,
        most: int,
        batches: int,
        least: int = MIN_BATCH_ITEMS,
    ) -> None:
        self._work = work
        self._most = most
        self._batches = batches
        self._least = least
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, item: Item) -> Result:
        """Wait for the item's batch and return the item's result."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running < self._batches:
            self._running += 1
            task = asyncio.ensure_future(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _run(self) -> None:
        half = 0
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        try:
            while self._waiting:
                # Lets requests that have been read already join this batch. Without the pause batches are
                # small, and few items share the fixed cost of a batch.
                await asyncio.sleep(0)
                wanted = max(half or (len(self._waiting) + 1) // 2, self._least)
                size = min(wanted, len(self._waiting), self._most)
                batch = list(islice(self._waiting, size))
                for _ in batch:
                    self._waiting.popleft()
                results: Sequence[Result | BaseException]
                try:
                    results = await self._work(list(map(_FIRST, batch)))
                except Exception as error:  # noqa: BLE001 - raised to every caller of the batch
                    results = [error] * size
                half = (len(self._waiting) + size + 1) // 2
                _settle(batch, results)
        except BaseException as error:
            # Nothing would process the waiting items until the next call.
            left = [*batch, *self._waiting]
            self._waiting.clear()
            _settle(left, [error] * len(left))
            raise
        finally:
            # Not in a done callback: a call between the last check and the callback would be missed.
            self._running -= 1


def _settle(
    batch: Sequence[tuple[Item, asyncio.Future[Result]]], results: Sequence[Result | BaseException]
) -> None:
    for (_, future), result in zip(batch, results, strict=True):
        if future.done():
            continue  # the caller was cancelled
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
