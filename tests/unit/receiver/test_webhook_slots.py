"""Slots: how many there are, how many one webhook holds, and what becomes of those that wait."""

from __future__ import annotations

import asyncio

import pytest

from inbound_webhooks.errors import TooBusy
from inbound_webhooks.receiver.webhook_slots import WebhookSlots


def taken(slots: WebhookSlots, *webhook_ids: str) -> list[str]:
    """Let webhooks take slots, one request each, in this order; those that got one at once."""

    async def take() -> list[str]:
        got: list[str] = []

        async def one(webhook_id: str) -> None:
            await slots.take(webhook_id)
            got.append(webhook_id)

        tasks = [asyncio.ensure_future(one(webhook_id)) for webhook_id in webhook_ids]
        for _ in range(5):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return got

    return asyncio.run(take())


def test_one_webhook_gets_no_more_than_its_share():
    assert taken(WebhookSlots(4, share=2, queue_seconds=1), "a", "a", "a", "b") == ["a", "a", "b"]


def test_all_webhooks_together_get_no_more_than_there_are():
    assert taken(WebhookSlots(3, share=2, queue_seconds=1), "a", "a", "b", "b", "c") == ["a", "a", "b"]


def test_a_released_slot_goes_to_the_one_that_waits():
    slots = WebhookSlots(1, share=1, queue_seconds=1)

    async def story() -> str:
        await slots.take("a")
        waiting = asyncio.ensure_future(slots.take("b"))
        await asyncio.sleep(0)
        slots.release("a")
        await asyncio.wait_for(waiting, 1)
        slots.release("b")
        await slots.take("a")
        return "taken again"

    assert asyncio.run(story()) == "taken again"


def test_a_request_that_waits_too_long_is_put_off_and_leaves_its_place():
    slots = WebhookSlots(2, share=1, queue_seconds=0.01)

    async def story() -> None:
        await slots.take("a")
        with pytest.raises(TooBusy):
            await slots.take("a")
        slots.release("a")
        await slots.take("a")
        await slots.take("b")

    asyncio.run(story())


def test_nothing_is_kept_of_webhooks_without_requests():
    slots = WebhookSlots(2, share=1, queue_seconds=0.01)

    async def story() -> None:
        for number in range(100):
            await slots.take(str(number))
            slots.release(str(number))
        await slots.take("a")
        with pytest.raises(TooBusy):
            await slots.take("a")
        slots.release("a")

    asyncio.run(story())
    assert [slots.requests_of(webhook_id) for webhook_id in ("a", "0", "99")] == [0, 0, 0]


def test_a_free_slot_goes_to_the_webhook_that_holds_the_fewest():
    slots = WebhookSlots(4, share=2, queue_seconds=1)

    async def story() -> list[str]:
        got: list[str] = []

        async def one(webhook_id: str) -> None:
            await slots.take(webhook_id)
            got.append(webhook_id)

        for holder in ("a", "a", "b", "c"):
            await one(holder)
        waiting = [asyncio.ensure_future(one(webhook_id)) for webhook_id in ("b", "c", "a", "quiet")]
        await asyncio.sleep(0)
        for holder in ("b", "a", "a"):
            slots.release(holder)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return got[4:]

    # "c" has waited longer than "quiet", but holds one; "b" and "a" did until they gave theirs back.
    assert asyncio.run(story()) == ["quiet", "b", "a"]


def test_a_slot_comes_back_to_its_webhook_later_than_to_all():
    slots = WebhookSlots(1, share=1, queue_seconds=1)

    async def story() -> list[str]:
        got: list[str] = []

        async def one(webhook_id: str) -> None:
            await slots.take(webhook_id)
            got.append(webhook_id)
            slots.release(webhook_id)

        await slots.take("a")
        waiting = [asyncio.ensure_future(one(webhook_id)) for webhook_id in ("a", "b")]
        await asyncio.sleep(0)
        slots.release("a", own_after_seconds=0.05)
        await asyncio.gather(*waiting)
        return got

    assert asyncio.run(story()) == ["b", "a"]


def test_a_slot_comes_back_to_all_after_the_common_pause():
    slots = WebhookSlots(1, share=1, queue_seconds=0.01)

    async def story() -> None:
        await slots.take("a")
        slots.release("a", after_seconds=0.1, own_after_seconds=0.1)
        with pytest.raises(TooBusy):
            await slots.take("b")
        await asyncio.sleep(0.1)
        await slots.take("b")

    asyncio.run(story())


def test_a_request_that_is_cancelled_when_its_slot_comes_gives_it_back():
    slots = WebhookSlots(1, share=1, queue_seconds=1)

    async def story() -> None:
        await slots.take("a")
        waiting = asyncio.ensure_future(slots.take("b"))
        await asyncio.sleep(0)
        slots.release("a")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.wait_for(slots.take("c"), 0.1)

    asyncio.run(story())
    assert slots.requests_of("b") == 0
