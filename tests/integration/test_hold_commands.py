"""`airflow webhooks hold`, `release` and `retry`: what they do and print."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.infrastructure.command_line import one_line
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import delivery, now, store_delivery, store_webhook


@pytest.fixture
def orders(sqlite_database):
    store_dag("orders")
    return store_webhook()


def stored(hook):
    from inbound_webhooks.webhooks import service

    return service.get(hook.id)


def test_webhooks_are_put_on_hold_and_released(webhooks, orders):
    other = store_webhook("another")
    done = webhooks("hold", orders.name, other.id)
    assert done.out == "orders of the shop is on hold.\nanother is on hold.\n"
    assert stored(orders).is_stopped
    done = webhooks("release", orders.name, "--per-minute", "60", "--window", "22:00-06:00")
    assert done.out == "Released orders of the shop.\n"
    released = stored(orders)
    assert (released.hold, released.release_per_minute) == ("releasing", 60)
    assert released.release_window == "22:00-06:00"


def test_all_are_put_on_hold_and_released(webhooks, orders):
    webhooks("hold", store_webhook("alone").name)
    done = webhooks("hold", "--all")
    assert done.out == "All webhooks are on hold, 2 webhooks more than before; new ones will be too.\n"
    done = webhooks("release", "--all")
    assert done.out == "Released 2 webhooks. On hold by themselves: alone.\n"
    assert not stored(orders).is_stopped


@pytest.mark.parametrize(
    ("call", "status", "line"),
    [
        (["hold"], 2, "names of webhooks or --all"),
        (["release", "--all", "orders of the shop"], 2, "names of webhooks or --all"),
        (["hold", "unknown"], 1, "There is no webhook 'unknown'."),
        (["release", "orders of the shop", "--window", "night"], 2, "it is no window of time"),
        (["release", "orders of the shop", "--per-minute", "0"], 2, "--per-minute"),
    ],
)
def test_a_wrong_call_says_why_and_changes_nothing(webhooks, orders, call, status, line):
    before = stored(orders)
    done = webhooks(*call)
    assert (done.status, stored(orders)) == (status, before)
    assert line in done.err


def test_a_delivery_is_tried_again(webhooks, orders):
    waiting = store_delivery(orders, attempts=3, next_attempt_at=now() + timedelta(hours=1))
    assert webhooks("retry", waiting).out == "Trying the delivery again now.\n"
    assert delivery(waiting).next_attempt_at <= now()
    done = webhooks("retry", waiting)
    assert (done.status, one_line(done.err), "waits for another attempt" in done.err) == (1, True, True)
