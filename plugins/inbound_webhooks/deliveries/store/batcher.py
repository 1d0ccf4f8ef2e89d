"""Work that is done for many at once: what asks while a batch is under way goes into the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MIN_BATCH_ITEMS = 4
"""Items that a batch takes, unless told otherwise, before it leaves some for the next one."""


class Batcher(Generic[Item, Result]):
    """Collects items on one event loop; ``work`` gives an outcome for each item of a batch, in their order.

    What ``work`` raises, every item of its batch gets.

    Senders that ask again when they are answered come in two groups: one is worked on while the other one is
    collected. Each batch takes half of those who wait and those who were answered last, so that both groups
    become equally large. Otherwise a large one and a small one take turns, and nothing is left to collect for
    most of the time that the large one takes.
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
        half = 0
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        try:
            while self._waiting:
                # In this round of the loop ask those whose requests are read already. Without it batches are
                # small, and what each costs beside its items is shared by few.
                await asyncio.sleep(0)
                wanted = max(half or _half(len(self._waiting)), self._least)
                size = min(wanted, len(self._waiting), self._most)
                batch = [self._waiting.popleft() for _ in range(size)]
                outcomes = await self._outcomes([item for item, _ in batch])
                half = _half(len(self._waiting) + size)
                _settle(batch, outcomes)
        except BaseException as error:
            # Nobody works on those who wait until somebody else asks.
            left = [*batch, *self._waiting]
            self._waiting.clear()
            _settle(left, [error] * len(left))
            raise
        finally:
            # Not when the task is over: between its last look and that somebody might ask and not be seen.
            self._under_way -= 1

    async def _outcomes(self, items: Sequence[Item]) -> Sequence[Result | BaseException]:
        try:
            return await self._work(items)
        except Exception as error:  # noqa: BLE001 - whoever asked hears of it
            return [error] * len(items)


def _half(number: int) -> int:
    return (number + 1) // 2


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
