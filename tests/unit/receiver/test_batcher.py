"""Work that is done for many at once."""

from __future__ import annotations

import asyncio

import pytest

from inbound_webhooks.deliveries.store.batcher import Batcher


def doubling(sizes: list[int], seconds: float = 0.0):
    async def work(items):
        sizes.append(len(items))
        await asyncio.sleep(seconds)
        return [item * 2 for item in items]

    return work


def test_calls_at_the_same_time_are_in_one_batch():
    sizes: list[int] = []

    async def ask():
        together = Batcher(doubling(sizes), most=100, batches=1)
        return await asyncio.gather(*(together(number) for number in range(4)))

    assert (asyncio.run(ask()), sizes) == ([0, 2, 4, 6], [4])


def test_a_batch_has_its_bound():
    sizes: list[int] = []

    async def ask():
        together = Batcher(doubling(sizes), most=2, batches=1)
        await asyncio.gather(*(together(number) for number in range(5)))

    asyncio.run(ask())
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize(("asking", "expected"), [(5, [4, 1]), (16, [8, 8]), (9, [5, 4])])
def test_calls_at_once_are_in_two_batches(asking, expected):
    """So that one of them can be written while the other one is collected, if they ask again."""
    sizes: list[int] = []

    async def ask():
        together = Batcher(doubling(sizes), most=100, batches=1)
        await asyncio.gather(*(together(number) for number in range(asking)))

    asyncio.run(ask())
    assert sizes == expected


def test_a_batch_takes_all_where_no_caller_calls_again():
    sizes: list[int] = []

    async def ask():
        together = Batcher(doubling(sizes), most=100, batches=1, least=100)
        await asyncio.gather(*(together(number) for number in range(16)))

    asyncio.run(ask())
    assert sizes == [16]


def test_callers_that_wait_when_the_work_is_cancelled_get_the_error():
    async def work(items):
        raise asyncio.CancelledError

    async def ask():
        together = Batcher(work, most=100, batches=1)
        asked = [asyncio.ensure_future(together(number)) for number in range(16)]
        done, pending = await asyncio.wait(asked, timeout=5)
        return len(done), len(pending)

    assert asyncio.run(ask()) == (16, 0)


def test_calls_during_a_batch_are_in_the_next_one():
    sizes: list[int] = []

    async def ask():
        together = Batcher(doubling(sizes, 0.05), most=100, batches=1)
        first = asyncio.ensure_future(together(1))
        await asyncio.sleep(0.01)
        await asyncio.gather(first, *(together(number) for number in range(3)))

    asyncio.run(ask())
    assert sizes == [1, 3]


def test_calls_on_the_way_when_a_batch_ends_are_in_the_next_one():
    """A request that a server has read, and whose task has not asked yet."""
    sizes: list[int] = []
    asked: list[asyncio.Future[int]] = []

    async def ask():
        async def work(items):
            sizes.append(len(items))
            if len(sizes) == 1:
                asked.append(asyncio.ensure_future(together(2)))
                await asyncio.sleep(0)
                asked.append(asyncio.ensure_future(together(3)))
            return items

        together = Batcher(work, most=100, batches=1)
        await together(1)
        await asyncio.sleep(0.01)
        return await asyncio.gather(*asked)

    assert (asyncio.run(ask()), sizes) == ([2, 3], [1, 2])


def test_senders_that_ask_again_come_to_be_in_two_groups_of_one_size():
    """Else one of them waits for the other, and who collects has nothing to do meanwhile."""
    sizes: list[int] = []

    async def ask():
        together = Batcher(doubling(sizes, 0.05), most=100, batches=1)

        async def sender(at: float):
            await asyncio.sleep(at)
            for number in range(10):
                await together(number)

        await asyncio.gather(*(sender(0.0) for _ in range(3)), *(sender(0.025) for _ in range(13)))

    asyncio.run(ask())
    assert sizes[:17] == [3] + [8] * 16


def test_a_call_in_the_moment_a_batch_ends_is_not_forgotten():
    """The answer of the one is the question of the next, in the same round of the loop."""

    async def ask():
        together = Batcher(doubling([]), most=100, batches=1)
        for number in range(100):
            assert await asyncio.wait_for(together(number), 5) == number * 2

    asyncio.run(ask())


def test_one_that_fails_stops_no_other():
    async def work(items):
        return [ValueError() if item == 1 else item for item in items]

    async def ask():
        together = Batcher(work, most=100, batches=1)
        return await asyncio.gather(*(together(number) for number in range(3)), return_exceptions=True)

    zero, one, two = asyncio.run(ask())
    assert (zero, type(one), two) == (0, ValueError, 2)


def test_everyone_of_a_batch_that_fails_hears_of_it_and_the_next_one_is_done():
    failures = iter([True, False])

    async def work(items):
        if next(failures):
            raise ConnectionError
        return items

    async def ask():
        together = Batcher(work, most=100, batches=1)
        failed = await asyncio.gather(together(1), together(2), return_exceptions=True)
        return [type(error) for error in failed], await together(3)

    assert asyncio.run(ask()) == ([ConnectionError, ConnectionError], 3)


def test_a_cancelled_caller_delays_no_other():
    async def ask():
        together = Batcher(doubling([], 0.05), most=100, batches=1)
        gone, stays = asyncio.ensure_future(together(1)), asyncio.ensure_future(together(2))
        await asyncio.sleep(0.01)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return await stays

    assert asyncio.run(ask()) == 4


def batches_made(*calls, **options) -> list[list[str]]:
    """The batches that calls (item, line, weight) of one moment make."""
    batches: list[list[str]] = []

    async def work(items):
        batches.append(list(items))
        return items

    async def ask():
        together = Batcher(work, batches=1, **options)
        await asyncio.gather(*(together(*call) for call in calls))

    asyncio.run(ask())
    return batches


def test_a_flood_in_one_line_leaves_the_other_lines_their_places():
    flood = [(f"flood {number}", "flood", 0) for number in range(200)]
    first, *_ = batches_made(*flood, ("mine", "mine", 0), ("yours", "yours", 0), most=8, least=8)
    assert first[:3] == ["flood 0", "mine", "yours"]
    assert first[3:] == [f"flood {number}" for number in range(1, 6)]


def test_a_line_keeps_its_order():
    items = [(f"{line}{number}", line, 0) for line in "ab" for number in range(5)]
    taken = [item for batch in batches_made(*items, most=4, least=4) for item in batch]
    assert [item for item in taken if item[0] == "a"] == [f"a{number}" for number in range(5)]
    assert sorted(taken) == sorted(item for item, _, _ in items)


def test_a_batch_has_a_weight_and_what_is_heavier_has_its_own():
    batches = batches_made(
        ("small", "a", 1), ("huge", "b", 90), ("half", "c", 5), most=9, least=9, most_weight=9
    )
    assert batches == [["small"], ["huge"], ["half"]]
