"""Work that is done for many at once: what asks while a batch is under way goes into the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Together(Generic[Item, Result]):
    """Collects items on one event loop; ``work`` gives an outcome for each item of a batch, in their order.

    What ``work`` raises, every item of its batch gets.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result | BaseException]]],
        *,
        most: int,
        batches: int,
    ) -> None:
        self._work = work
        self._most = most
        self._batches = batches
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, item: Item) -> Result:
        """The outcome of one item, once its batch is done."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._tasks) < self._batches:
            # It begins in the loop's next round: whoever asks in this one is in the same batch.
            task = asyncio.ensure_future(self._work_off())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _work_off(self) -> None:
        while self._waiting:
            size = min(self._most, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            try:
                outcomes = await self._work([item for item, _ in batch])
            except BaseException as error:
                outcomes = [error] * size
                if not isinstance(error, Exception):
                    _settle(batch, outcomes)
                    raise
            _settle(batch, outcomes)


def _settle(
    batch: Sequence[tuple[Item, asyncio.Future[Result]]], outcomes: Sequence[Result | BaseException]
) -> None:
    for (_, future), outcome in zip(batch, outcomes, strict=True):
        if future.done():
            continue  # who asked is gone
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
