"""No webhook and no address takes the memory for bodies from the others; short bodies are always read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from inbound_webhooks.receiver.asgi.guard import REFUSED_SECONDS
from tests.infrastructure.asgi_endpoint import JSON, Reply
from tests.infrastructure.gateway_endpoint import GatewayEndpoint
from tests.infrastructure.loop import on_the_loop
from tests.infrastructure.webhooks_builder import Hook, rows, store_webhook

BUFFER_BYTES = 4_000_000
LONG_BYTES = 900_000
"""Of a body on its way; the buffer has room for four, a quarter of it for one."""
SHORT_BYTES = 64 * 1024
SENDERS = 46
HELD_SECONDS = 2.0
GIVE_UP_SECONDS = 20.0


@pytest.fixture
def hooks(sqlite_database) -> list[Hook]:
    return [store_webhook(f"hook {number}") for number in range(SENDERS + 1)]


@pytest.fixture
def small_buffer(configure) -> Callable[..., None]:
    """A function that configures a small buffer, with further settings."""

    def with_settings(**more: object) -> None:
        settings: dict[str, object] = {
            "max_buffered_bytes": BUFFER_BYTES,
            "max_body_bytes": 1_000_000,
            "body_timeout_seconds": HELD_SECONDS,
        }
        configure(**{**settings, **more})

    return with_settings


def address(number: int) -> str:
    return f"198.51.100.{number + 1}"


def text(size: int) -> bytes:
    return b'"' + b"x" * (size - 2) + b'"'


def stalled(endpoint: Any, hook: Hook, peer: str, size: int = LONG_BYTES, **more: Any) -> Coroutine:
    """A request whose body never ends."""
    headers = [*JSON, *more.pop("headers", ())]
    return endpoint.send(
        "POST", hook.path, headers=headers, chunks=[b"x" * size], stalls=True, peer=peer, **more
    )


def complete(endpoint: Any, hook: Hook, peer: str, size: int = LONG_BYTES, **more: Any) -> Coroutine:
    headers = [*JSON, ("content-length", str(size)), *more.pop("headers", ())]
    return endpoint.send("POST", hook.path, headers=headers, chunks=[text(size)], peer=peer, **more)


def meanwhile(
    attack: list[Coroutine], refused: int, *requests: Callable[[], Coroutine]
) -> tuple[list[int], list[Reply]]:
    """The statuses of an attack, and the replies to what is sent once so many of it were refused."""

    async def both() -> tuple[list[int], list[Reply]]:
        tasks = [asyncio.ensure_future(one) for one in attack]
        give_up_at = asyncio.get_running_loop().time() + GIVE_UP_SECONDS
        while sum(task.done() for task in tasks) < refused:
            assert asyncio.get_running_loop().time() < give_up_at
            await asyncio.sleep(0.01)
        assert not all(task.done() for task in tasks), "nothing is held any more"
        replies = [await request() for request in requests]
        return [reply.status for reply in await asyncio.gather(*tasks)], replies

    return on_the_loop(both())


def test_forty_six_senders_to_one_webhook_leave_room_for_another_one(asgi, hooks, small_buffer):
    small_buffer()
    attack = [stalled(asgi, hooks[0], address(number)) for number in range(SENDERS)]
    statuses, (other,) = meanwhile(attack, SENDERS - 4, lambda: complete(asgi, hooks[1], address(SENDERS)))
    assert other.status == 202
    assert sorted(statuses) == [408] + [503] * (SENDERS - 1)


def test_one_address_with_many_urls_leaves_room_for_another_one(asgi, hooks, small_buffer):
    small_buffer()
    attack = [stalled(asgi, hook, address(0)) for hook in hooks[:-1]]
    statuses, (other, same) = meanwhile(
        attack,
        SENDERS - 4,
        lambda: complete(asgi, hooks[-1], address(1)),
        lambda: complete(asgi, hooks[-1], address(0)),
    )
    assert (other.status, same.status) == (202, 503)
    assert sorted(statuses) == [408] + [503] * (SENDERS - 1)


def test_the_addresses_of_an_ipv6_network_share_what_one_address_may_hold(asgi, hooks, small_buffer):
    small_buffer()
    attack = [stalled(asgi, hook, f"2001:db8::{number:x}") for number, hook in enumerate(hooks[:-1])]
    statuses, (other,) = meanwhile(attack, SENDERS - 4, lambda: complete(asgi, hooks[-1], "2001:db8:0:1::1"))
    assert (other.status, statuses.count(408)) == (202, 1)


@pytest.mark.parametrize("forwarded", [(), (("x-forwarded-for", "203.0.113.9"),)], ids=["bare", "forwarded"])
def test_what_comes_through_a_trusted_proxy_counts_for_its_webhook_only(asgi, hooks, small_buffer, forwarded):
    small_buffer(trusted_proxies="198.51.100.0/24")
    attack = [stalled(asgi, hooks[0], address(0), headers=forwarded) for _ in range(3)]
    _, (other, same) = meanwhile(
        attack,
        2,
        lambda: complete(asgi, hooks[1], address(0), headers=forwarded),
        lambda: complete(asgi, hooks[0], address(0), headers=forwarded),
    )
    assert (other.status, same.status) == (202, 503)


def test_short_bodies_are_read_while_the_buffer_is_full(asgi, hooks, small_buffer):
    small_buffer(webhook_buffer_percent=100, address_buffer_percent=100)
    # Four of them leave less room than a short body takes.
    attack = [stalled(asgi, hooks[0], address(0), BUFFER_BYTES // 4 - 1_000) for _ in range(5)]
    _, (long, short, same) = meanwhile(
        attack,
        1,
        lambda: complete(asgi, hooks[1], address(1)),
        lambda: complete(asgi, hooks[1], address(1), SHORT_BYTES),
        lambda: complete(asgi, hooks[0], address(0), SHORT_BYTES),
    )
    assert (long.status, long.header("retry-after")) == (503, "2")
    assert (short.status, same.status) == (202, 202)


def test_a_webhook_has_so_many_incomplete_requests_and_no_more(asgi, hooks, small_buffer):
    small_buffer(max_incomplete_requests=3)
    attack = [stalled(asgi, hooks[0], address(number), 10) for number in range(8)]
    statuses, (other,) = meanwhile(attack, 5, lambda: complete(asgi, hooks[1], address(0), SHORT_BYTES))
    assert (other.status, sorted(statuses)) == (202, [408] * 3 + [503] * 5)
    assert asgi.post(hooks[0].path, b"{}").status == 202


def test_one_body_is_read_however_small_the_shares_are(asgi, hooks, small_buffer):
    small_buffer(webhook_buffer_percent=1, address_buffer_percent=1)
    assert on_the_loop(complete(asgi, hooks[0], address(0))).status == 202


def test_no_more_bytes_are_held_than_the_share_and_none_afterwards(hooks, small_buffer):
    small_buffer()
    endpoint = GatewayEndpoint()
    assert endpoint.post(hooks[0].path, b"{}").status == 202
    buffer, held = endpoint.app.buffer, []

    async def look() -> Reply:
        held.extend(map(buffer.held_bytes, ("", f"webhook {hooks[0].id}", f"address {address(0)}")))
        return await endpoint.send("GET", hooks[0].path)

    attack = [stalled(endpoint, hooks[0], address(number)) for number in range(SENDERS)]
    meanwhile(attack, SENDERS - 1, look)
    assert held == [LONG_BYTES, LONG_BYTES, LONG_BYTES]
    assert (buffer._held, buffer._incomplete) == ({}, {})


def test_refused_senders_leave_no_delivery(asgi, hooks, small_buffer):
    small_buffer()
    meanwhile([stalled(asgi, hooks[0], address(0)) for _ in range(3)], 2)
    assert rows("delivery") == []


def test_nothing_is_read_of_a_body_for_which_there_is_no_room(asgi, hooks, small_buffer):
    """By its declared length; the response waits a moment, so that trying again at once gains nothing."""
    small_buffer(body_timeout_seconds=2 * HELD_SECONDS)
    asked = []

    async def note() -> None:
        asked.append(True)

    async def story() -> tuple[Reply, float]:
        first = asyncio.ensure_future(stalled(asgi, hooks[0], address(0), before_each_chunk=note))
        while len(asked) < 2:  # its first part has been taken
            await asyncio.sleep(0.01)
        started = asyncio.get_running_loop().time()
        reply = await complete(asgi, hooks[0], address(1))
        seconds = asyncio.get_running_loop().time() - started
        assert not first.done()
        await first
        return reply, seconds

    reply, seconds = on_the_loop(story())
    assert (reply.status, reply.chunks_read <= asgi.taken_with_the_head) == (503, True)
    assert seconds >= REFUSED_SECONDS
