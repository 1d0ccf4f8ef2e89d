"""Too much is put off with 429 and leaves nothing behind; what cannot be counted is not refused."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.infrastructure.asgi_endpoint import JSON
from tests.infrastructure.redis import RedisServer
from tests.infrastructure.webhooks_builder import PREFIX, rows, states, store_delivery, store_webhook

ORDER = b'{"number": 1}'
AWAY = "redis://127.0.0.1:1/0"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def admit_backlog(limits, webhook) -> None:
    """As the pipeline does: count in the database only where that is due."""
    if not limits.admits_backlog(webhook):
        limits.count_backlog(webhook)


def limits_of(clock=time.monotonic, **settings):
    from inbound_webhooks.receiver.limits import Limits
    from inbound_webhooks.settings import Settings

    return Limits(Settings(**settings), clock=clock)


def admitted(limits, addresses) -> int:
    """How many requests of these addresses are let in."""
    from inbound_webhooks.errors import RateLimited

    count = 0
    for address in addresses:
        try:
            limits.admit_address(address)
        except RateLimited:
            continue
        count += 1
    return count


def wait_for_a_fresh_second() -> None:
    """Addresses are counted by the seconds of the clock: at the turn of one a request more gets in."""
    while time.time() % 1 > 0.3:
        time.sleep(0.02)


def noted_reasons() -> list[str]:
    from inbound_webhooks.receiver.instance import get_receiver

    get_receiver().rejections.flush()
    return [row.reason for row in rows("rejection")]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


# --- per webhook ----------------------------------------------------------------------------


def test_a_webhook_takes_so_many_a_second_and_no_more(asgi, database):
    hook = store_webhook(max_per_second=3)
    replies = [asgi.post(hook.path, ORDER) for _ in range(5)]
    assert [reply.status for reply in replies] == [202, 202, 202, 429, 429]
    assert [reply.header("retry-after") for reply in replies] == [None, None, None, "1", "1"]
    assert states() == ["accepted"] * 3
    assert noted_reasons() == ["More than 3 requests per second arrived."] * 2


def test_a_webhook_takes_more_when_its_second_is_over(asgi, sqlite_database):
    hook = store_webhook(max_per_second=1)
    assert [asgi.post(hook.path, ORDER).status for _ in range(2)] == [202, 429]
    time.sleep(1.1)
    assert asgi.post(hook.path, ORDER).status == 202


def test_one_webhooks_limit_is_not_anothers(asgi, sqlite_database):
    first, second = store_webhook("first", max_per_second=1), store_webhook("second", max_per_second=1)
    statuses = [asgi.post(hook.path, ORDER).status for hook in (first, second, first)]
    assert statuses == [202, 202, 429]


def test_an_unverified_request_uses_nothing_up(asgi, sqlite_database):
    verification = [{"kind": "header-key", "header": "X-Key"}]
    hook = store_webhook(verification=verification, secrets={"signing": "right"}, max_per_second=1)
    wrong = [asgi.post(hook.path, ORDER, [*JSON, ("x-key", "wrong")]).status for _ in range(5)]
    assert wrong == [401] * 5
    assert asgi.post(hook.path, ORDER, [*JSON, ("x-key", "right")]).status == 202


# --- per address ----------------------------------------------------------------------------


def test_an_address_may_send_so_many_a_second_right_or_wrong(asgi, sqlite_database, configure):
    configure(max_requests_per_second_per_address=3)
    hook, nobody = store_webhook(), f"{PREFIX}/AAAAAAAAAA/{'0' * 64}"
    wait_for_a_fresh_second()
    replies = [asgi.request("POST", nobody, chunks=[b"x"] * 9) for _ in range(9)]
    assert {reply.status for reply in replies} == {404, 429}
    refused = asgi.request("POST", hook.path, chunks=[ORDER])
    assert (refused.status, refused.header("retry-after"), refused.chunks_read) == (429, "1", 0)
    assert (rows("delivery"), noted_reasons()) == ([], [])
    assert asgi.request("POST", hook.path, chunks=[ORDER], peer="192.0.2.8").status == 202


def test_what_came_before_a_sender_was_worth_counting_counts_too():
    limits = limits_of(max_requests_per_second_per_address=30)
    wait_for_a_fresh_second()
    assert admitted(limits, ["192.0.2.1"] * 50) == 30


def test_senders_of_little_cost_no_bookkeeping():
    limits = limits_of(max_requests_per_second_per_address=1_000)
    assert admitted(limits, [f"192.0.2.{number}" for number in range(50)] * 2) == 100
    assert not limits._addresses.storage.storage


def test_all_addresses_of_an_ipv6_network_are_one_sender():
    limits = limits_of(max_requests_per_second_per_address=5)
    wait_for_a_fresh_second()
    assert admitted(limits, [f"2001:db8:1:2:{number:x}::1" for number in range(50)]) == 5
    assert admitted(limits, ["2001:db8:1:3::1"]) == 1


def test_ipv4_addresses_that_are_written_as_ipv6_are_each_their_own_sender():
    limits = limits_of(max_requests_per_second_per_address=1)
    assert admitted(limits, [f"::ffff:192.0.2.{number}" for number in range(50)]) == 50


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "too few to count"])
def test_addresses_that_are_gone_take_no_memory(counted):
    """Who has many addresses must not be able to fill the memory with them."""
    limits = limits_of(max_requests_per_second_per_address=5 if counted else 1_000)
    admitted(limits, (f"198.51.{number // 250}.{number % 250}" for number in range(2_000)))
    time.sleep(2.1)
    admitted(limits, ["192.0.2.1"])
    time.sleep(0.2)
    storage = limits._addresses.storage
    held = [*storage.storage, *storage.events, *storage.expirations, *storage.locks]
    assert [key for key in held if "198.51." in key] == []
    assert len(limits._in_second) <= 1


# --- the backlog ----------------------------------------------------------------------------


def test_a_full_backlog_puts_more_off(asgi, database, configure):
    configure(max_backlog=2, webhook_backlog_percent=100)
    hook = store_webhook()
    store_delivery(hook)
    store_delivery(store_webhook("another"))
    reply = asgi.post(hook.path, ORDER)
    assert (reply.status, reply.header("retry-after")) == (429, "30")
    assert (states(), noted_reasons()) == (
        ["accepted"] * 2,
        ["Too many deliveries are waiting for their runs."],
    )


def test_what_the_filter_leaves_out_is_answered_although_the_backlog_is_full(
    asgi, sqlite_database, configure
):
    configure(max_backlog=1)
    hook = store_webhook(filter="body.number == 2")
    store_delivery(hook)
    assert asgi.post(hook.path, ORDER).status == 200


def test_the_backlog_is_looked_at_again_every_second(database):
    from inbound_webhooks.errors import BacklogFull
    from inbound_webhooks.webhooks import service
    from tests.infrastructure.webhooks_builder import ACTOR

    clock, hook, other = Clock(), store_webhook(), stored_webhook(name="another")
    for webhook_id in (hook, other):
        store_delivery(webhook_id)
    limits = limits_of(clock, max_backlog=2, webhook_backlog_percent=100)
    with pytest.raises(BacklogFull):
        admit_backlog(limits, other)
    service.delete(hook.id, actor=ACTOR)
    with pytest.raises(BacklogFull):
        admit_backlog(limits, other)
    clock.seconds += 1
    admit_backlog(limits, other)


def test_a_webhook_lets_no_more_wait_than_it_may_and_others_go_on(asgi, database):
    hook, other = store_webhook(max_backlog=3), store_webhook("another")
    replies = [asgi.post(hook.path, ORDER) for _ in range(5)]
    assert [reply.status for reply in replies] == [202, 202, 202, 429, 429]
    assert [reply.header("retry-after") for reply in replies[-2:]] == ["30", "30"]
    assert asgi.post(other.path, ORDER).status == 202
    assert states() == ["accepted"] * 4
    assert set(noted_reasons()) == {
        "3 deliveries of this webhook are waiting for their runs; that is its limit."
    }


def test_a_webhook_of_which_nothing_waits_is_not_put_off_for_others(asgi, database, configure):
    """One of a hundred may wait of each webhook, which is one here."""
    configure(max_backlog=4)
    for name in ("one", "two"):
        hook = store_webhook(name)
        for _ in range(2):
            store_delivery(hook)
    quiet = store_webhook("quiet")
    assert [asgi.post(quiet.path, ORDER).status for _ in range(2)] == [202, 429]


@pytest.mark.parametrize("own", [None, 100])
def test_one_webhook_cannot_fill_the_backlog_of_all(asgi, database, configure, own):
    configure(max_backlog=6, webhook_backlog_percent=50)
    hook, other = store_webhook(max_backlog=own), store_webhook("another")
    for _ in range(3):
        store_delivery(hook)
    assert [asgi.post(hook.path, ORDER).status, asgi.post(other.path, ORDER).status] == [429, 202]
    assert noted_reasons() == ["3 deliveries of this webhook are waiting for their runs; that is its limit."]


def test_only_what_waits_counts_for_a_webhooks_backlog(asgi, database):
    hook = store_webhook(max_backlog=2)
    for state in ("dispatched", "succeeded", "refused", "accepted"):
        store_delivery(hook, state=state)
    store_delivery(store_webhook("another"))
    assert [asgi.post(hook.path, ORDER).status for _ in range(2)] == [202, 429]


def test_a_webhooks_backlog_is_counted_again_every_second_and_when_its_limit_changes(database):
    clock, hook = Clock(), stored_webhook(max_backlog=2)
    limits = limits_of(clock)
    assert [has_room(limits, hook) for _ in range(3)] == [True, True, False]
    clock.seconds += 1
    assert [has_room(limits, hook) for _ in range(3)] == [True, True, False]
    raised = replace(hook, max_backlog=3)
    assert [has_room(limits, raised) for _ in range(4)] == [True, True, True, False]


def test_a_full_backlog_of_a_webhook_stays_full_each_time_it_is_counted(database):
    clock, hook = Clock(), stored_webhook(max_backlog=2)
    limits = limits_of(clock)
    for _ in range(2):
        store_delivery(hook)
    for _ in range(3):
        assert not has_room(limits, hook)
        clock.seconds += 1


def has_room(limits, webhook) -> bool:
    from inbound_webhooks.errors import BacklogFull

    try:
        admit_backlog(limits, webhook)
    except BacklogFull:
        return False
    return True


# --- where it is counted --------------------------------------------------------------------


def test_two_processes_count_together_in_redis(redis, sqlite_database):
    first, second = (limits_of(rate_limit_storage_uri=redis.url) for _ in range(2))
    webhook = stored_webhook(max_per_second=3)
    assert let_in(first, webhook, 2) + let_in(second, webhook, 2) == 3
    settings = {"rate_limit_storage_uri": redis.url, "max_requests_per_second_per_address": 3}
    first, second = (limits_of(**settings) for _ in range(2))
    addresses = ["192.0.2.1"] * 10
    assert admitted(first, addresses) + admitted(second, addresses) < 10


def test_two_processes_count_apart_in_memory(sqlite_database):
    first, second = limits_of(), limits_of()
    webhook = stored_webhook(max_per_second=3)
    assert let_in(first, webhook, 5) + let_in(second, webhook, 5) == 6


@pytest.mark.parametrize("endpoint_limit", [1, 1000])
def test_the_endpoint_goes_on_while_the_storage_is_away_and_says_so_in_the_log(
    asgi, sqlite_database, configure, caplog, endpoint_limit
):
    configure(rate_limit_storage_uri=AWAY, max_requests_per_second_per_address=endpoint_limit)
    hook = store_webhook(max_per_second=1)
    with caplog.at_level(logging.WARNING, logger="inbound_webhooks"):
        assert [asgi.post(hook.path, ORDER).status for _ in range(3)] == [202] * 3
    said = [record.getMessage() for record in caplog.records if "rate_limit_storage_away" in record.message]
    assert len(said) == 1
    assert "ConnectionError" in said[0]


def test_the_storage_is_asked_again_after_a_while(redis):
    clock = Clock()
    settings = {"rate_limit_storage_uri": redis.url, "max_requests_per_second_per_address": 1}
    limits, burst = limits_of(clock, **settings), ["192.0.2.1"] * 20
    redis.stop()
    assert admitted(limits, burst) == 20
    redis.start()
    assert admitted(limits, burst) == 20
    clock.seconds += 5
    assert admitted(limits, burst) < 20


def test_a_storage_that_hangs_holds_a_request_up_for_a_moment_only():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        limits = limits_of(rate_limit_storage_uri=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        started = time.monotonic()
        assert admitted(limits, ["192.0.2.1"] * 100) == 100
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "uri",
    [
        "nonsense://:canary@host",
        "redis://:canary@host:port",
        "redis://host?socket_timeout=canary",
        "async+memory://",
        "canary",
    ],
)
def test_a_storage_that_is_none_is_refused_without_its_password_in_the_message(uri):
    from inbound_webhooks.errors import InvalidSetting

    with pytest.raises(InvalidSetting, match="rate_limit_storage_uri") as refused:
        limits_of(rate_limit_storage_uri=uri)
    assert "canary@" not in refused.value.message
    assert "=canary" not in refused.value.message


def stored_webhook(**fields):
    from inbound_webhooks.webhooks import service

    return service.get(store_webhook(**fields).id)


def let_in(limits, webhook, count: int) -> int:
    from inbound_webhooks.errors import RateLimited

    admitted = 0
    for _ in range(count):
        try:
            limits.admit_webhook(webhook)
        except RateLimited:
            continue
        admitted += 1
    return admitted
