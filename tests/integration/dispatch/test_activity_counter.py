"""Hourly counts: in the end each delivery is counted once, in its last state, whichever counter dies when."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import (
    ACTOR,
    change_delivery,
    change_tasks,
    store_deliveries,
    store_delivery,
    store_webhook,
)
from tests.integration.dispatch.conftest import AT

HOUR = timedelta(hours=1)
EARLIER = AT - HOUR + timedelta(minutes=10)
"""In the last hour that has ended."""


def make_counter(clock, **options):
    from inbound_webhooks.dispatch.activity_counter import ActivityCounter
    from inbound_webhooks.settings import Settings

    settings = {name: options.pop(name) for name in ("retention_days",) if name in options}
    return ActivityCounter(Settings(**settings), now=clock, clock=lambda: 0.0, **options)


@pytest.fixture
def counter(clock):
    clock.at = AT + timedelta(minutes=5)
    return make_counter(clock)


def received(hook, moment, number: int = 0, **columns) -> str:
    """A delivery received then; its id says so, too."""
    from inbound_webhooks.storage.listing import first_id_at

    made = f"{first_id_at(moment)[:12]}7{number:019x}"
    return store_delivery(hook, id=made, received_at=moment, **columns)


def activity_of(hook, clock, hours: int = 24):
    from inbound_webhooks.storage.activity import read_activity
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        return read_activity(connection, [hook.id], clock(), hours=hours)[hook.id]


def total(clock, hours: int = 24, among=None):
    from inbound_webhooks.storage.activity import read_total
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        return read_total(connection, clock(), hours=hours, among=among)


def stored() -> dict[tuple[str, int, str], int]:
    """What is stored: (webhook, hours before AT's, state) -> count."""
    from airflow import settings

    from inbound_webhooks.records.activity import hour_of
    from inbound_webhooks.storage import tables

    with settings.engine.connect() as connection:
        found = connection.execute(tables.activity.select()).mappings().all()
    return {(row["webhook_id"], hour_of(AT) - row["hour"], row["state"]): row["count"] for row in found}


def rows_of_hours():
    from inbound_webhooks.records.activity import hour_of
    from inbound_webhooks.storage import activity_counts
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        return {row.hour - hour_of(AT): row for row in activity_counts.hour_rows(connection, 0)}


def test_an_hour_is_counted_by_webhook_and_state_and_over_all(database, counter, clock):
    first, second = store_webhook("first"), store_webhook("second")
    for number, state in enumerate(["succeeded", "succeeded", "failed"]):
        received(first, EARLIER, number, state=state)
    received(second, EARLIER, 3, state="succeeded")
    received(second, EARLIER - HOUR, 4, state="filtered")
    counter.count()
    assert stored() == {
        (first.id, 1, "succeeded"): 2,
        (first.id, 1, "failed"): 1,
        (second.id, 1, "succeeded"): 1,
        (second.id, 2, "filtered"): 1,
        ("", 1, "succeeded"): 3,
        ("", 1, "failed"): 1,
        ("", 2, "filtered"): 1,
    }


def test_an_hour_ends_where_the_next_one_begins(database, counter, clock):
    hook = store_webhook()
    received(hook, AT - timedelta(milliseconds=1), 1, state="succeeded")
    received(hook, AT - HOUR, 2, state="succeeded")
    received(hook, AT - HOUR - timedelta(milliseconds=1), 3, state="succeeded")
    received(hook, AT, 4, state="succeeded")
    counter.count()
    assert {key[1]: count for key, count in stored().items() if key[0]} == {0: 1, 1: 2, 2: 1}


@pytest.mark.parametrize("is_counted", [False, True])
def test_pages_read_the_same_whether_a_dispatcher_has_counted_or_not(database, counter, clock, is_counted):
    hook = store_webhook()
    for hours, states in {
        0: ["accepted"],
        1: ["failed", "succeeded"],
        5: ["filtered"],
        23: ["refused"],
    }.items():
        for number, state in enumerate(states):
            received(hook, AT - hours * HOUR + timedelta(seconds=1), number, state=state)
    received(hook, AT - 24 * HOUR + timedelta(minutes=59), state="failed")
    if is_counted:
        counter.count()
    for found in (activity_of(hook, clock), total(clock), total(clock, among=[hook.id])):
        assert [dict(hour.states) for hour in found.hours] == [
            {"refused": 1},
            *[{}] * 17,
            {"filtered": 1},
            *[{}] * 3,
            {"failed": 1, "succeeded": 1},
            {"accepted": 1},
        ]
        assert (found.total, found.failed, found.is_cut) == (5, 2, False)


def test_what_arrives_after_a_count_is_seen_at_once(database, counter, clock):
    hook = store_webhook()
    counter.count()
    received(hook, clock(), state="failed")
    assert activity_of(hook, clock).hours[-1].states == {"failed": 1}
    assert total(clock).hours[-1].states == {"failed": 1}


def test_a_run_that_ends_after_its_hour_was_counted_corrects_the_hour(database, counter, clock):
    hook = store_webhook()
    found = received(hook, EARLIER, state="dispatched")
    received(hook, EARLIER, 1, state="succeeded")
    counter.count()
    change_delivery(found, state="failed")
    clock.at += timedelta(minutes=5)
    counter.count()
    counted = {"failed": 1, "succeeded": 1}
    assert activity_of(hook, clock).hours[-2].states == counted
    assert total(clock).hours[-2].states == counted


def test_a_run_that_is_cleared_days_later_corrects_the_hour(database, counter, clock):
    hook = store_webhook()
    found = received(hook, EARLIER, state="failed")
    counter.count()
    clock.at += timedelta(days=2)
    counter.count()
    change_delivery(found, state="succeeded")
    clock.at += timedelta(days=1, hours=2)
    counter.count()
    assert stored() == {(hook.id, 1, "succeeded"): 1, ("", 1, "succeeded"): 1}


def test_a_delivery_of_a_host_whose_clock_is_behind_is_counted_later(database, counter, clock):
    hook = store_webhook()
    received(hook, EARLIER, state="succeeded")
    counter.count()
    received(hook, EARLIER, 1, state="succeeded")
    clock.at += HOUR
    counter.count()
    assert stored()[(hook.id, 1, "succeeded")] == 2


def test_an_hour_that_can_no_longer_change_is_left_alone(database, counter, clock):
    hook = store_webhook()
    received(hook, EARLIER, state="succeeded")
    for days in (0, 7.1):
        clock.at = AT + timedelta(days=days, minutes=5)
        counter.count()
    before = rows_of_hours()[-1]
    clock.at += timedelta(hours=12)
    counter.count()
    assert rows_of_hours()[-1] == before
    assert before.passes == 6


def test_a_counter_that_saw_less_does_not_overwrite_what_another_has_stored(database, counter, clock):
    from inbound_webhooks.records.activity import hour_of
    from inbound_webhooks.storage import activity_counts
    from inbound_webhooks.storage.database import transaction

    hook = store_webhook()
    found = received(hook, EARLIER, state="dispatched")
    counter.count()
    slow, hour = rows_of_hours()[-1], hour_of(EARLIER)
    with transaction() as connection:
        seen = activity_counts.count_hour(connection, hour, [hook.id])
    change_delivery(found, state="succeeded")
    clock.at += timedelta(minutes=5)
    make_counter(clock).count()
    with transaction() as connection:
        is_ours = activity_counts.claim_hour(connection, slow)
        if is_ours:
            activity_counts.store_counts(connection, hour, [hook.id], seen)
    assert not is_ours
    assert stored() == {(hook.id, 1, "succeeded"): 1, ("", 1, "succeeded"): 1}


def test_any_number_of_counters_count_a_delivery_once(database, clock):
    hooks = [store_webhook(f"number {number}") for number in range(5)]
    for number, hook in enumerate(hooks):
        received(hook, EARLIER, number, state="succeeded")
    clock.at = AT + timedelta(minutes=5)
    for _ in range(3):
        for size in (1, 2, 100):
            make_counter(clock, slice_size=size).count()
        clock.at += HOUR
    assert stored() == {(hook.id, 1, "succeeded"): 1 for hook in hooks} | {("", 1, "succeeded"): 5}


def test_what_a_counter_leaves_behind_that_dies_is_counted_by_the_next_one(database, clock):
    from inbound_webhooks.records.activity import hour_of
    from inbound_webhooks.storage import activity_counts
    from inbound_webhooks.storage.database import transaction

    hooks = sorted((store_webhook(f"number {number}") for number in range(3)), key=lambda hook: hook.id)
    ids = [received(hook, EARLIER, number, state="dispatched") for number, hook in enumerate(hooks)]
    clock.at = AT + timedelta(minutes=5)
    hour = hour_of(EARLIER)
    with transaction() as connection:
        activity_counts.add_hours(connection, [hour])
        [row] = activity_counts.hour_rows(connection, hour)
        counts = activity_counts.count_hour(connection, hour, [hooks[0].id])
        assert activity_counts.claim_hour(connection, row)
        activity_counts.store_counts(connection, hour, [hooks[0].id], counts)
    for found in ids:
        change_delivery(found, state="succeeded")
    make_counter(clock).count()
    assert stored() == {(hook.id, 1, "succeeded"): 1 for hook in hooks} | {("", 1, "succeeded"): 3}


def test_two_counters_cannot_claim_the_same_hour(postgres_database, counter, clock):
    """Of two transactions the second waits for the first, and then finds another version."""
    from concurrent.futures import ThreadPoolExecutor

    from inbound_webhooks.storage import activity_counts
    from inbound_webhooks.storage.database import transaction

    counter.count()
    row = rows_of_hours()[0]

    def claim() -> bool:
        with transaction() as connection:
            return activity_counts.claim_hour(connection, row)

    with transaction() as connection, ThreadPoolExecutor() as pool:
        assert activity_counts.claim_hour(connection, row)
        second = pool.submit(claim)
        connection.commit()
        assert not second.result(timeout=10)


def test_counts_outlive_their_deliveries(database, clock):
    from inbound_webhooks.dispatch.retention import RetentionJob
    from inbound_webhooks.settings import Settings

    hook = store_webhook()
    received(hook, EARLIER, state="succeeded")
    received(hook, EARLIER, 1, state="dispatched")
    clock.at = AT + timedelta(minutes=5)
    for _ in range(30):
        make_counter(clock, retention_days=0.25).count()
        RetentionJob(Settings(retention_days=0.25), now=clock).clean()
        clock.at += HOUR
    counted = {"succeeded": 1, "dispatched": 1}
    assert {key[2]: count for key, count in stored().items() if key[0]} == counted
    assert {key[2]: count for key, count in stored().items() if not key[0]} == counted


def test_a_dispatcher_that_was_away_counts_before_it_deletes(database, clock):
    from inbound_webhooks.dispatch.service import DispatchService
    from inbound_webhooks.settings import Settings

    hook = store_webhook()
    received(hook, EARLIER, state="succeeded")
    clock.at = AT + timedelta(days=2)
    service = DispatchService(Settings(retention_days=1), now=clock)
    next(loop for loop in service.loops if loop.name == "retention").round()
    assert stored() == {(hook.id, 1, "succeeded"): 1, ("", 1, "succeeded"): 1}


def test_old_counts_are_deleted_in_batches(database, counter, clock):
    from inbound_webhooks.dispatch.retention import RetentionJob
    from inbound_webhooks.settings import Settings

    hooks = [store_webhook(f"number {number}") for number in range(3)]
    for number, hook in enumerate(hooks):
        received(hook, EARLIER, number, state="succeeded")
    received(hooks[0], AT, 9, state="succeeded")
    counter.count()
    clock.at = AT + timedelta(days=14, minutes=1)
    RetentionJob(Settings(), now=clock, batch_size=2, pause=lambda _: None).clean()
    assert set(stored()) == {(hooks[0].id, 0, "succeeded"), ("", 0, "succeeded")}
    assert min(rows_of_hours()) == 0


def test_a_deleted_webhook_takes_its_counts_along_also_from_the_sums(database, counter, clock):
    from inbound_webhooks.webhooks import service

    kept, deleted = store_webhook("kept"), store_webhook("deleted")
    for number, hook in enumerate([kept, deleted]):
        received(hook, EARLIER, number, state="succeeded")
    counter.count()
    service.delete(deleted.name, actor=ACTOR)
    counter.count()
    assert stored() == {(kept.id, 1, "succeeded"): 1, ("", 1, "succeeded"): 1}


def test_a_webhook_that_is_deleted_while_it_is_counted_is_in_no_sum(database, counter, clock):
    from inbound_webhooks.records.activity import hour_of
    from inbound_webhooks.storage import activity_counts
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.webhooks import delete_webhook

    hook = store_webhook()
    received(hook, EARLIER, state="succeeded")
    hour = hour_of(EARLIER)
    with transaction() as connection:
        activity_counts.add_hours(connection, [hour])
        [row] = activity_counts.hour_rows(connection, hour)
        counts = activity_counts.count_hour(connection, hour, [hook.id])
        delete_webhook(connection, hook.id)
        activity_counts.store_counts(connection, hour, [hook.id], counts)
        activity_counts.finish_hour(connection, row, passes=1, at=clock())
    assert [key for key in stored() if not key[0]] == []


def test_latencies_are_counted_until_the_run_and_until_its_first_task(database, clock):
    hook, runs = run_three(clock)
    for counted in (activity_of(hook, clock), total(clock)):
        assert counted.together.to_run.counts == {7: 3}
        assert counted.together.to_task.counts == {9: 3}
    change_tasks(runs[0], try_number=2)
    clock.at = AT + timedelta(hours=1, minutes=5)
    make_counter(clock).count()
    for counted in (activity_of(hook, clock), total(clock)):
        # A repeated task does not say when it started first.
        assert counted.together.to_task.counts == {9: 2}
        assert counted.together.to_run.seconds(0.5) == 1.5


def run_three(clock):
    """Runs that were created 1.2 seconds after the receipt; their tasks started 3 seconds after it."""
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    store_dag("orders")
    hook = store_webhook()
    clock.at = AT + timedelta(seconds=61.2)
    ids = [received(hook, AT + timedelta(minutes=1), number, next_attempt_at=AT) for number in range(3)]
    assert Dispatcher(Settings(), now=clock).dispatch_due() == 3
    runs = [f"webhook__{found}" for found in ids]
    for run in runs:
        change_tasks(run, start_date=AT + timedelta(minutes=1, seconds=3), try_number=1)
    return hook, runs


def test_more_than_a_page_counts_is_taken_from_the_last_count(database, counter, clock):
    from inbound_webhooks.storage.activity import MOST_COUNTED
    from inbound_webhooks.storage.listing import first_id_at

    hook, prefix = store_webhook(), first_id_at(AT + timedelta(seconds=1))[:12]
    ids = [f"{prefix}7{number:019x}" for number in range(MOST_COUNTED + 2)]
    store_deliveries(hook, ids=ids, state="succeeded")
    cut = activity_of(hook, clock)
    assert (cut.is_cut, cut.total) == (True, MOST_COUNTED)
    counter.count()
    for found in (activity_of(hook, clock), total(clock)):
        assert (found.is_cut, found.total) == (False, MOST_COUNTED + 2)


def test_the_first_count_begins_with_the_oldest_delivery(database, counter, clock):
    received(store_webhook(), AT - 5 * HOUR, state="succeeded")
    assert counter.count() == 6
    assert min(rows_of_hours()) == -5
