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
        self._under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, item: Item) -> Result:
        """The outcome of one item, once its batch is done."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._under_way < self._batches:
            self._under_way += 1
            task = asyncio.ensure_future(self._work_off())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _work_off(self) -> None:
        try:
            while self._waiting:
                # One round of the loop reads what has come meanwhile, the next one brings it here. Without it
                # batches are small, and what each costs beside its rows is shared by few.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                size = min(self._most, len(self._waiting))
                await self._work_on([self._waiting.popleft() for _ in range(size)])
        finally:
            # Not when the task is over: between its last look and that somebody might ask and not be seen.
            self._under_way -= 1

    async def _work_on(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            outcomes = await self._work([item for item, _ in batch])
        except BaseException as error:
            _settle(batch, [error] * len(batch))
            if not isinstance(error, Exception):
                raise
        else:
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
