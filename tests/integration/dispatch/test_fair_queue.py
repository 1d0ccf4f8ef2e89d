"""Every webhook has its turn: a flood starves nobody, limits hold, and what waits keeps its order."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.infrastructure.dags_builder import forget_dag, store_dag
from tests.infrastructure.webhooks_builder import (
    change_webhook,
    delivery,
    rows,
    runs,
    store_deliveries,
    store_webhook,
)
from tests.integration.dispatch.conftest import AT

BATCH = 20


@pytest.fixture
def make_dispatcher(clock):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    return lambda places=BATCH: Dispatcher(Settings(dispatcher_batch_size=places), now=clock)


@pytest.fixture
def dispatcher(make_dispatcher, database):
    store_dag("orders")
    return make_dispatcher()


def due(hook, count: int = 1, **columns) -> list[str]:
    """Deliveries that came one after the other, the first one an hour ago."""
    first = columns.pop("since", AT - timedelta(hours=1))
    return [
        stored
        for number in range(count)
        for stored in store_deliveries(
            hook, 1, next_attempt_at=first + timedelta(milliseconds=number), **columns
        )
    ]


def dispatched(hook) -> list[str]:
    """The deliveries of a webhook that have their run, in the order in which the runs were made."""
    found = [row for row in rows("delivery") if row.webhook_id == hook.id and row.run_id]
    made = {run.run_id: run.id for run in runs()}
    return [row.id for row in sorted(found, key=lambda row: made[row.run_id])]


def test_webhooks_take_turns_in_the_order_in_which_they_came():
    from inbound_webhooks.dispatch.fair_queue import in_turns

    items = ["a1", "a2", "b1", "a3", "b2", "c1"]
    assert in_turns(items, lambda item: item[0]) == ["a1", "b1", "c1", "a2", "b2", "a3"]


# --- shares ---------------------------------------------------------------------------------

SHARES = {
    "all for one": (20, {"a": 100}, {"a": 20}),
    "half and half": (20, {"a": 100, "b": 100}, {"a": 10, "b": 10}),
    "one and all the others": (20, {"a": 100, "b": 1}, {"a": 19, "b": 1}),
    "what others leave": (20, {"a": 100, "b": 3, "c": 100}, {"a": 9, "b": 3, "c": 8}),
    "more webhooks than places": (2, {"a": 5, "b": 5, "c": 5}, {"a": 1, "b": 1}),
    "fewer than places": (20, {"a": 2, "b": 1}, {"a": 2, "b": 1}),
    "nothing": (20, {"a": 0}, {}),
    "nobody": (20, {}, {}),
}


@pytest.mark.parametrize(("places", "wanted", "given"), SHARES.values(), ids=list(SHARES))
def test_places_are_shared_out_evenly(places, wanted, given):
    from inbound_webhooks.dispatch.fair_queue import shared

    assert shared(places, wanted) == given


# --- a flood --------------------------------------------------------------------------------


def test_a_flood_of_one_webhook_delays_anothers_delivery_by_no_batch(dispatcher):
    flooded, quiet = store_webhook("flooded"), store_webhook("quiet")
    store_deliveries(flooded, 5_000, next_attempt_at=AT - timedelta(hours=1))
    assert dispatcher.dispatch_due() == BATCH
    (stored,) = due(quiet, since=AT)
    assert dispatcher.dispatch_due() == BATCH
    assert delivery(stored).state == "dispatched"
    assert len(dispatched(flooded)) == 2 * BATCH - 1


def test_floods_of_several_webhooks_get_equal_shares(dispatcher):
    hooks = [store_webhook(f"webhook {number}") for number in range(3)]
    for number, hook in enumerate(hooks):
        due(hook, 30, since=AT - timedelta(hours=3 - number))
    for _ in range(3):
        dispatcher.dispatch_due()
    assert [len(dispatched(hook)) for hook in hooks] == pytest.approx([BATCH] * 3, abs=3)


def test_every_webhook_has_a_turn_before_any_has_a_second(make_dispatcher, dispatcher):
    """With more webhooks than places in a batch, in the order of no clock."""
    hooks = [store_webhook(f"webhook {number}") for number in range(7)]
    for hook in hooks:
        due(hook, 4)
    small = make_dispatcher(places=3)
    made = []
    for _ in range(7):
        small.dispatch_due()
        made.append(sorted(len(dispatched(hook)) for hook in hooks))
    assert all(counts[-1] - counts[0] <= 1 for counts in made), made
    assert made[-1] == [3] * 7


def test_a_webhook_that_waits_for_its_dag_takes_no_place_from_others(dispatcher):
    broken, fine = store_webhook("broken", dag_id="of tomorrow"), store_webhook("fine")
    due(broken, 100, dag_id="of tomorrow")
    stored = due(fine, 30)
    for _ in range(3):
        dispatcher.dispatch_due()
    assert dispatched(fine) == stored


# --- order ----------------------------------------------------------------------------------


def test_deliveries_of_a_webhook_become_runs_in_the_order_in_which_they_came(dispatcher):
    first, second = store_webhook("first"), store_webhook("second")
    of_first, of_second = due(first, 30), due(second, 30, since=AT - timedelta(hours=2))
    while dispatcher.dispatch_due():
        pass
    assert (dispatched(first), dispatched(second)) == (of_first, of_second)


def test_a_delivery_that_is_tried_again_later_delays_no_other(dispatcher, clock):
    hook = store_webhook()
    (failing,) = due(hook)
    forget_dag("orders")
    dispatcher.dispatch_due()
    store_dag("orders")
    others = due(hook, 3)
    clock.at += timedelta(seconds=1)
    dispatcher.dispatch_due()
    assert dispatched(hook) == others
    clock.at += timedelta(hours=1)
    dispatcher.dispatch_due()
    assert dispatched(hook) == [*others, failing]


# --- limits of active runs ------------------------------------------------------------------


def test_no_more_runs_than_the_limit_are_made_and_the_others_wait_in_order(dispatcher):
    hook = store_webhook(max_active_runs=3)
    stored = due(hook, 8)
    assert [dispatcher.dispatch_due(), dispatcher.dispatch_due()] == [3, 0]
    assert dispatched(hook) == stored[:3]
    end_run(stored[1])
    assert [dispatcher.dispatch_due(), dispatcher.dispatch_due()] == [1, 0]
    assert dispatched(hook) == stored[:4]


def end_run(delivery_id: str) -> None:
    """As the tracker records it."""
    from airflow import settings

    from inbound_webhooks.storage import tables

    table = tables.delivery
    with settings.engine.begin() as connection:
        connection.execute(table.update().where(table.c.id == delivery_id).values(state="succeeded"))


def test_a_webhook_at_its_limit_does_not_hold_others_up(dispatcher):
    limited, free = store_webhook("limited", max_active_runs=1), store_webhook("free")
    due(limited, 100)
    stored = due(free, 30)
    for _ in range(3):
        dispatcher.dispatch_due()
    assert (len(dispatched(limited)), dispatched(free)) == (1, stored)


def test_a_limit_that_is_raised_lets_more_go(dispatcher):
    hook = store_webhook(max_active_runs=1)
    stored = due(hook, 5)
    dispatcher.dispatch_due()
    change_webhook(hook.id, max_active_runs=4)
    dispatcher.dispatch_due()
    change_webhook(hook.id, max_active_runs=2)
    assert dispatcher.dispatch_due() == 0
    assert dispatched(hook) == stored[:4]
    change_webhook(hook.id, max_active_runs=None)
    dispatcher.dispatch_due()
    assert dispatched(hook) == stored
