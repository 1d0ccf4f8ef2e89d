"""Coalesces concurrent calls into batches; calls that arrive during a batch join the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_FIRST = itemgetter(0)
_Waiting = tuple[Item, "asyncio.Future[Result]", int]

MIN_BATCH_ITEMS = 4
"""The default minimum that a batch takes before it leaves items for the next one."""


class Batcher(Generic[Item, Result]):
    """Collects items on one event loop; ``work`` returns a result for each item of a batch, in their order.

    An exception of ``work`` reaches every caller of its batch.

    Senders that send again after each response form two groups: one is processed while the other one is
    collected. Each batch takes half of the items that wait or were just processed, so that both groups become
    equally large. Otherwise a large and a small group alternate, and while the large one is processed, there
    is nothing to collect most of the time.

    Items wait in lines, one for each webhook, and a batch takes one item of each line in turn: a flood of one
    webhook leaves the others their places. ``most_weight`` limits the sum of the items' weights in a batch;
    an item that is heavier by itself gets a batch of its own.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result | BaseException]]],
        *,
        most: int,
        batches: int,
        least: int = MIN_BATCH_ITEMS,
        most_weight: float = float("inf"),
    ) -> None:
        self._work = work
        self._most = most
        self._most_weight = most_weight
        self._batches = batches
        self._least = least
        # Without empty lines; the first one has the next turn.
        self._lines: dict[str, deque[_Waiting[Item, Result]]] = {}
        self._waiting = 0
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, item: Item, line: str = "", weight: int = 0) -> Result:
        """Wait for the item's batch and return the item's result."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        waiting = self._lines.get(line)
        if waiting is None:
            waiting = self._lines[line] = deque()
        waiting.append((item, future, weight))
        self._waiting += 1
        if self._running < self._batches:
            self._running += 1
            task = asyncio.ensure_future(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _run(self) -> None:
        half = 0
        batch: list[_Waiting[Item, Result]] = []
        try:
            while self._waiting:
                # Lets requests that have been read already join this batch. Without the pause batches are
                # small, and few items share the fixed cost of a batch.
                await asyncio.sleep(0)
                wanted = max(half or (self._waiting + 1) // 2, self._least)
                batch = self._take(min(wanted, self._most))
                results: Sequence[Result | BaseException]
                try:
                    results = await self._work(list(map(_FIRST, batch)))
                except Exception as error:  # noqa: BLE001 - raised to every caller of the batch
                    results = [error] * len(batch)
                half = (self._waiting + len(batch) + 1) // 2
                _settle(batch, results)
        except BaseException as error:
            # Nothing would process the waiting items until the next call.
            left = [*batch, *chain.from_iterable(self._lines.values())]
            self._lines.clear()
            self._waiting = 0
            _settle(left, [error] * len(left))
            raise
        finally:
            # Not in a done callback: a call between the last check and the callback would be missed.
            self._running -= 1

    def _take(self, most: int) -> list[_Waiting[Item, Result]]:
        """Take the next items out of their lines, in turns."""
        lines, weight = self._lines, 0
        batch: list[_Waiting[Item, Result]] = []
        while lines and len(batch) < most:
            name, line = next(iter(lines.items()))
            weight += line[0][2]
            if batch and weight > self._most_weight:
                break
            batch.append(line.popleft())
            del lines[name]
            if line:
                lines[name] = line  # behind the other lines
        self._waiting -= len(batch)
        return batch


def _settle(batch: Sequence[_Waiting[Any, Result]], results: Sequence[Result | BaseException]) -> None:
    for (_, future, _), result in zip(batch, results, strict=True):
        if future.done():
            continue  # the caller was cancelled
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
