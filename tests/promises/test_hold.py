"""Holds: what comes is verified and stored, nothing starts, and a release keeps the order."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.waiting_requests import Waiting
from tests.infrastructure.webhooks_builder import (
    ACTOR,
    audit_rows,
    change_webhook,
    delivery,
    now,
    rows,
    runs,
    states,
    store_deliveries,
    store_delivery,
    store_webhook,
)
from tests.promises.test_changes_between import ORDER, admitted, routed

NIGHT = datetime(2026, 3, 1, 23, 0, tzinfo=timezone.utc)
DAY = datetime(2026, 3, 2, 12, 0, tzinfo=timezone.utc)


def put_on_hold(hook) -> None:
    from inbound_webhooks.webhooks import hold

    hold.hold(hook.id, actor=ACTOR)


def release(hook, **pace) -> None:
    from inbound_webhooks.webhooks import hold

    hold.release(hook.id, actor=ACTOR, pace=hold.Pace(**pace))


def look(at: datetime | None = None) -> int:
    """A round of the job that holds back and releases."""
    from inbound_webhooks.dispatch.holds import Holds

    return Holds(now=lambda: at or now()).look()


def dispatch() -> int:
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    return Dispatcher(Settings()).dispatch_due()


def webhook_of(hook):
    from inbound_webhooks.webhooks import service

    return service.get(hook.id)


def in_order() -> list[str]:
    """The ids of runs in the order in which they were created."""
    return [run.run_id.removeprefix("webhook__") for run in sorted(runs(), key=lambda run: run.id)]


def test_a_webhook_on_hold_accepts_and_stores_and_starts_nothing(orders, asgi):
    put_on_hold(orders)
    reply = asgi.post(orders.path, ORDER)
    assert (reply.status, reply.json["status"]) == (202, "accepted")
    [stored] = rows("delivery")
    assert (stored.state, stored.next_attempt_at, stored.conf) == ("held", None, '{"number":1}')
    assert (look(), dispatch(), runs()) == (0, 0, [])


def test_an_event_that_is_held_already_is_a_duplicate(orders, asgi):
    change_webhook(orders.id, dedup="${Webhook::Body.number}")
    put_on_hold(orders)
    first, second = asgi.post(orders.path, ORDER).json, asgi.post(orders.path, ORDER).json
    assert second == {"status": "duplicate", "delivery_id": first["delivery_id"]}


def test_a_handshake_is_answered_while_on_hold(database, asgi):
    hook = store_webhook(handshake="graph")
    put_on_hold(hook)
    reply = asgi.post(hook.path, b"", query=b"validationToken=abc")
    assert (reply.status, reply.body, rows("delivery")) == (200, b"abc", [])


def test_what_was_judged_before_a_hold_is_held(orders):
    finish = admitted(orders)
    put_on_hold(orders)
    assert finish().status == 202
    assert states() == ["held"]


def test_a_hold_takes_back_what_waits_for_its_run(orders):
    waiting = store_deliveries(orders, 3, attempts=2, error="The last attempt failed.")
    put_on_hold(orders)
    assert dispatch() == 0
    look()
    assert [(row.state, row.attempts) for row in rows("delivery")] == [("held", 2)] * len(waiting)


def test_a_release_goes_on_in_order_and_new_deliveries_follow(orders, asgi):
    put_on_hold(orders)
    first = [asgi.post(orders.path, ORDER).json["delivery_id"] for _ in range(3)]
    release(orders)
    first.append(asgi.post(orders.path, ORDER).json["delivery_id"])
    assert delivery(first[-1]).state == "held"
    assert look() == 4
    assert dispatch() == 4
    assert in_order() == first
    look()
    assert (webhook_of(orders).hold, webhook_of(orders).holds_new) == (None, False)
    assert delivery(asgi.post(orders.path, ORDER).json["delivery_id"]).state == "accepted"


def test_a_rate_limits_how_many_go_on(orders):
    put_on_hold(orders)
    ids = store_deliveries(orders, 200, state="held", next_attempt_at=None)
    release(orders, per_minute=60)
    begin = now()
    released = [look(begin + timedelta(seconds=second)) for second in range(5)]
    assert released == [1] * 5
    # No dispatcher ran for a minute, which is not made up for.
    assert look(begin + timedelta(seconds=65)) <= 4
    moved = [row.id for row in rows("delivery") if row.state == "accepted"]
    assert moved == ids[: len(moved)]


def test_a_rate_holds_with_many_dispatchers(database):
    store_dag("orders")
    hook = store_webhook()
    store_deliveries(hook, 50, state="held", next_attempt_at=None)
    put_on_hold(hook)
    release(hook, per_minute=60)
    at = now()
    threads = [threading.Thread(target=look, args=(at,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert states().count("accepted") == 1


def test_a_window_of_time_limits_when_they_go_on(orders):
    put_on_hold(orders)
    store_deliveries(orders, 3, state="held", next_attempt_at=None)
    release(orders, window="22:00-06:00")
    assert look(DAY) == 0
    assert look(NIGHT) == 3
    # The morning comes before the dispatcher.
    look(DAY)
    assert states() == ["held"] * 3


def test_a_webhook_with_hours_holds_its_deliveries_outside_of_them(orders, asgi):
    change_webhook(orders.id, start_window="22:00-06:00")
    asgi.post(orders.path, ORDER)
    assert (look(DAY), states()) == (0, ["held"])
    assert (look(NIGHT), states()) == (1, ["accepted"])
    assert look(NIGHT) == 0
    assert webhook_of(orders).holds_new


def test_the_hold_of_a_webhook_with_hours_ends_with_the_release(orders):
    change_webhook(orders.id, start_window="22:00-06:00")
    put_on_hold(orders)
    store_delivery(orders, state="held", next_attempt_at=None)
    assert look(NIGHT) == 0
    release(orders)
    assert look(NIGHT) == 1


def test_nothing_is_started_after_a_hold_returned_while_dispatchers_work(database):
    from inbound_webhooks.dispatch.service import DispatchService
    from inbound_webhooks.settings import Settings

    store_dag("orders")
    hook, other = store_webhook("one"), store_webhook("another")
    ids = store_deliveries(hook, 400)
    services = [
        DispatchService(Settings(dispatcher_batch_size=5, dispatcher_poll_seconds=0.05)) for _ in range(2)
    ]
    for each in services:
        each.start()
    try:
        _wait_until(lambda: len(runs()) > 10)
        put_on_hold(hook)
        started = len(runs())
        assert started < len(ids)
        last = store_delivery(other)
        _wait_until(lambda: delivery(last).state == "dispatched")
        _wait_until(lambda: "accepted" not in states())
        assert len(runs()) == started + 1
    finally:
        for each in services:
            each.stop()
        for each in services:
            each.join(10)


def test_nothing_is_started_after_a_hold_of_all_returned(database):
    from inbound_webhooks.dispatch.service import DispatchService
    from inbound_webhooks.settings import Settings
    from inbound_webhooks.webhooks import hold

    store_dag("orders")
    hooks = [store_webhook(f"webhook {number}") for number in range(3)]
    ids = [each for hook in hooks for each in store_deliveries(hook, 150)]
    service = DispatchService(Settings(dispatcher_batch_size=5, dispatcher_poll_seconds=0.05))
    service.start()
    try:
        _wait_until(lambda: len(runs()) > 10)
        hold.hold_all(actor=ACTOR)
        started = len(runs())
        assert started < len(ids)
        _wait_until(lambda: "accepted" not in states())
        assert len(runs()) == started
    finally:
        service.stop()
        service.join(10)


def _wait_until(happened) -> None:
    give_up_at = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.02)


# --- all webhooks -------------------------------------------------------------------------------


def test_a_hold_of_all_covers_webhooks_that_are_created_later(database):
    from inbound_webhooks.webhooks import hold

    old = store_webhook("old")
    assert hold.hold_all(actor=ACTOR).covers_new
    new = store_webhook("new")
    assert [webhook_of(hook).is_stopped for hook in (old, new)] == [True, True]
    done = hold.release_all(actor=ACTOR)
    assert (done.changed, done.covers_new, done.own) == (2, False, [])
    assert [webhook_of(hook).is_stopped for hook in (old, new)] == [False, False]
    assert not webhook_of(store_webhook("newest")).holds_new
    events = [row.event for row in audit_rows()]
    assert [event for event in events if event.endswith("_all")] == [
        "webhook.hold_all",
        "webhook.release_all",
    ]


def test_a_release_of_all_leaves_what_was_put_on_hold_by_itself(database):
    from inbound_webhooks.webhooks import hold

    alone, other = store_webhook("alone"), store_webhook("other")
    put_on_hold(alone)
    hold.hold_all(actor=ACTOR)
    assert hold.release_all(actor=ACTOR).own == ["alone"]
    assert [webhook_of(hook).is_stopped for hook in (alone, other)] == [True, False]


def test_an_import_does_not_release_what_is_on_hold(database):
    from inbound_webhooks.records.webhook import Draft, field_values
    from inbound_webhooks.webhooks import service

    hook = store_webhook()
    put_on_hold(hook)
    held = webhook_of(hook)
    draft = Draft(**field_values(held) | {"description": "changed"})
    service.change(hook.id, draft, actor=ACTOR, version=held.version)
    assert webhook_of(hook).is_stopped


def test_a_hold_of_one_by_a_user_without_the_right_to_its_dag_changes_nothing(database):
    from inbound_webhooks.webhooks import hold

    mine, theirs, unseen = (
        store_webhook("mine"),
        store_webhook("theirs", dag_id="theirs"),
        store_webhook("x", dag_id="unseen"),
    )
    done = hold.hold_all(actor=ACTOR, access=Rights({"orders"}, {"orders", "theirs"}))
    assert (done.changed, done.not_permitted, done.hides_others) == (1, ["theirs"], True)
    assert not done.covers_new
    assert [webhook_of(hook).is_stopped for hook in (mine, theirs, unseen)] == [True, False, False]
    assert not webhook_of(store_webhook("later")).is_stopped


class Rights:
    """What a user may change and see, by DAG."""

    def __init__(self, changed: set[str], seen: set[str]) -> None:
        self._changed, self._seen = changed, seen

    def may_change(self, webhook) -> bool:
        return webhook.dag_id in self._changed

    def may_see(self, webhook) -> bool:
        return webhook.dag_id in self._seen


# --- routes -------------------------------------------------------------------------------------


def test_an_event_that_was_judged_before_its_route_was_put_on_hold_is_held(database):
    """By a hold of all, of a user who may not change the route's source."""
    from inbound_webhooks.webhooks import hold

    store_dag("orders")
    source, route = routed()
    finish = admitted(source)
    hold.hold_all(actor=ACTOR, access=Rights({"orders"}, {"orders"}))
    assert [webhook_of(hook).is_stopped for hook in (source, route)] == [False, True]
    assert (finish().status, states_of(route), dispatch()) == (202, ["held"], 0)


def test_a_route_on_hold_gets_events_that_are_held_and_starts_nothing(database, asgi):
    store_dag("orders")
    source, route = routed()
    assert asgi.post(source.path, ORDER).status == 202
    put_on_hold(route)
    assert asgi.post(source.path, ORDER).status == 202
    assert (dispatch(), look(), states_of(route)) == (0, 0, ["held", "held"])


@pytest.mark.parametrize("all_of_them", [False, True], ids=["one", "all"])
def test_an_event_of_a_route_starts_at_once_when_the_release_of_the_route_has_ended(
    database, asgi, all_of_them
):
    from inbound_webhooks.webhooks import hold

    store_dag("orders")
    source, route = routed()
    hold.hold_all(actor=ACTOR) if all_of_them else put_on_hold(route)
    asgi.post(source.path, ORDER)
    hold.release_all(actor=ACTOR) if all_of_them else release(route)
    asgi.post(source.path, ORDER)
    look()
    look()
    assert (webhook_of(route).holds_new, states_of(route)) == (False, ["accepted"] * 2)
    asgi.post(source.path, ORDER)
    assert states_of(route) == ["accepted"] * 3


def test_an_event_of_a_route_follows_behind_those_that_a_release_of_all_lets_go_on(database, asgi):
    """A hold and a release of a user who may not change the source."""
    from inbound_webhooks.webhooks import hold

    store_dag("orders")
    source, route = routed()
    rights = Rights({"orders"}, {"orders"})
    asgi.post(source.path, ORDER)
    hold.hold_all(actor=ACTOR, access=rights)
    look()
    hold.release_all(actor=ACTOR, access=rights)
    asgi.post(source.path, ORDER)
    assert states_of(route) == ["held", "held"]


def test_a_hold_of_all_and_a_change_of_a_route_do_not_wait_for_each_other(postgres_database):
    """A change locks the route and then its source."""
    from inbound_webhooks.storage import holds
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.webhooks import find_webhook, raise_source

    source, route = routed_by_a_smaller_id()
    locked, failed = threading.Event(), []

    def put_both_on_hold() -> None:
        try:
            with transaction() as connection:
                locked.set()
                holds.locked_webhooks(connection, [source.id, route.id])
                holds.set_holds(connection, [source.id, route.id], {"held_by_all": True}, now())
        except Exception as error:  # noqa: BLE001 - raised below
            failed.append(error)

    holding = threading.Thread(target=put_both_on_hold)
    with transaction() as connection:
        find_webhook(connection, route.id, locked=True)
        holding.start()
        locked.wait(10)
        holding.join(0.3)
        raise_source(connection, source.id)
    holding.join(20)
    assert (failed, webhook_of(source).is_stopped, webhook_of(route).is_stopped) == ([], True, True)


def routed_by_a_smaller_id():
    """A source whose id stands before the one of its route, and that."""
    for number in range(100):
        source = store_webhook(f"source {number}", dag_id="", routes="all")
        route = store_webhook(f"route {number}", source=source.id)
        if source.id < route.id:
            return source, route
    raise AssertionError("ids are not random")


def states_of(route) -> list[str]:
    """The states of a route's deliveries, oldest first."""
    return [row.state for row in rows("delivery") if row.webhook_id == route.id]


# --- limits -------------------------------------------------------------------------------------


def test_held_deliveries_have_a_limit_of_their_own(orders, asgi, configure):
    configure(max_held=2, max_backlog=1)
    put_on_hold(orders)
    store_deliveries(orders, 1, state="held", next_attempt_at=None)
    assert [asgi.post(orders.path, ORDER).status for _ in range(2)] == [202, 429]
    full, other = store_webhook("full"), store_webhook("another")
    put_on_hold(full)
    store_deliveries(full, 2, state="held", next_attempt_at=None)
    reply = asgi.post(full.path, ORDER)
    assert (reply.status, reply.header("retry-after")) == (429, "60")
    assert asgi.post(other.path, ORDER).status == 202


def test_a_release_leaves_room_for_what_the_dispatcher_can_do(orders):
    from inbound_webhooks.dispatch.holds import RELEASED_AHEAD

    store_deliveries(orders, RELEASED_AHEAD + 20, state="held", next_attempt_at=None)
    put_on_hold(orders)
    release(orders)
    assert [look(), look()] == [RELEASED_AHEAD, 0]


@pytest.mark.parametrize("remap", [False, True])
def test_a_replay_is_held_too(orders, asgi, remap):
    from inbound_webhooks.deliveries.replay import replay
    from inbound_webhooks.receiver.instance import get_receiver

    stored = asgi.post(orders.path, ORDER).json["delivery_id"]
    put_on_hold(orders)
    again = replay(get_receiver(), stored, actor=ACTOR, remap=remap)
    assert (delivery(again.id).state, delivery(again.id).next_attempt_at) == ("held", None)


def test_a_response_does_not_wait_for_a_webhook_on_hold(orders, asgi):
    change_webhook(orders.id, wait_seconds=60)
    put_on_hold(orders)
    began = time.monotonic()
    reply = Waiting(asgi, orders, ORDER).reply()
    assert (reply.status, reply.json["status"], states()) == (202, "accepted", ["held"])
    assert time.monotonic() - began < 20
