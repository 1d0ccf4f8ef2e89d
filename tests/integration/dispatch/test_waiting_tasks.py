"""From accepted calls to resumed tasks: each once, in time, or never."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from threading import Barrier, Thread

import pytest

from tests.infrastructure.asgi_endpoint import JSON, AsgiEndpoint
from tests.infrastructure.receiver_fixtures import configure
from tests.infrastructure.waits_builder import (
    PARKED,
    STARTING,
    change_task,
    clear_task,
    event_of,
    fail_while_queued,
    store_waiting_task,
    task_of,
    tasks_at,
    wait_again,
    wait_of,
)
from tests.infrastructure.webhooks_builder import delete_run, now, rows, runs

__all__ = ["configure"]

DONE = b'{"status": "done"}'


@pytest.fixture
def call(configure, database):
    """A function that calls a waiting task; returns the delivery's id."""
    endpoint = AsgiEndpoint()

    def post(waiting, body: bytes = DONE) -> str:
        reply = endpoint.post(waiting.path, body, JSON)
        assert reply.status == 202, reply.body
        return reply.json["delivery_id"]

    return post


def outcome_of(delivery_id: str) -> tuple[str, str | None]:
    row = next(row for row in rows("delivery") if row.id == delivery_id)
    return row.state, row.error


def test_a_call_resumes_the_task_that_waits_for_it(call):
    waiting = store_waiting_task()
    called = call(waiting)
    tasks_at().look()
    event = event_of(waiting)
    assert json.loads(event["outcome"])["result"]["body"] == {"status": "done"}
    assert event["delivery_id"] == called
    assert task_of(waiting.run_id).state == "scheduled"
    assert outcome_of(called) == ("succeeded", None)
    assert wait_of(waiting).state == "resumed"


def test_a_call_that_fails_the_task_is_a_failed_delivery(call):
    waiting = store_waiting_task(fail_when="body.status == 'failed'")
    called = call(waiting, b'{"status": "failed", "message": "no GPU"}')
    tasks_at().look()
    assert json.loads(event_of(waiting)["outcome"]) == {"failure": "no GPU"}
    assert outcome_of(called)[0] == "failed"


def test_a_call_before_the_task_waits_is_kept_until_it_does(call):
    waiting = store_waiting_task(**STARTING)
    called = call(waiting)
    tasks_at().look()
    assert (outcome_of(called), event_of(waiting)) == (("accepted", None), None)
    change_task(waiting, **PARKED)
    tasks_at().look()
    assert outcome_of(called)[0] == "succeeded"
    assert event_of(waiting)["delivery_id"] == called


def test_a_task_is_not_resumed_before_its_worker_is_gone(call):
    """Airflow's scheduler would take the worker's exit for a failure of the resumed task."""
    waiting = store_waiting_task()
    called = call(waiting)
    tasks_at(wait_settle_seconds=10).look()
    assert (outcome_of(called)[0], event_of(waiting)) == ("accepted", None)
    tasks_at(hours=0.01, wait_settle_seconds=10).look()
    assert outcome_of(called)[0] == "succeeded"


def test_a_clock_ahead_keeps_a_task_for_no_longer_than_that(call):
    waiting = store_waiting_task()
    called = call(waiting)
    tasks = tasks_at(hours=-1, wait_settle_seconds=0.2)
    tasks.look()
    assert outcome_of(called)[0] == "accepted"
    time.sleep(0.3)
    tasks.look()
    assert outcome_of(called)[0] == "succeeded"


def test_a_call_that_was_committed_in_time_resumes_the_task_after_the_deadline(call):
    waiting = store_waiting_task()
    called = call(waiting)
    tasks_at(hours=2).look()
    assert (outcome_of(called)[0], wait_of(waiting).state) == ("succeeded", "resumed")
    assert event_of(waiting)["delivery_id"] == called


@pytest.mark.parametrize("hours", [0, 2], ids=["in time", "after the deadline"])
def test_a_call_whose_task_has_ended_is_cancelled(call, hours):
    waiting = store_waiting_task()
    called = call(waiting)
    change_task(waiting, state="failed", next_method=None)
    tasks_at(hours).look()
    assert outcome_of(called) == ("cancelled", "The task ended before the call resumed it.")
    assert wait_of(waiting).state == ("timed_out" if hours else "ended")
    assert task_of(waiting.run_id).state == "failed"


def test_a_call_of_an_earlier_try_is_cancelled(call):
    waiting = store_waiting_task()
    called = call(waiting)
    clear_task(waiting)
    tasks_at().look()
    assert outcome_of(called)[0] == "cancelled"
    assert task_of(waiting.run_id).state is None


def test_a_try_with_the_id_of_the_one_before_waits_for_a_call_of_its_own(call):
    first = store_waiting_task()
    resumed_by = call(first)
    tasks_at().look()
    fail_while_queued(first)
    tasks_at().look()
    again = wait_again(first)
    tasks_at().look()
    assert wait_of(again).state == "waiting"
    called = call(again, b'{"status": "done again"}')
    tasks_at().look()
    assert json.loads(event_of(again)["outcome"])["result"]["body"] == {"status": "done again"}
    assert (outcome_of(resumed_by)[0], outcome_of(called)[0]) == ("succeeded", "succeeded")
    states = {(wait.delivery_id, wait.state) for wait in rows("wait")}
    assert states == {(resumed_by, "resumed"), (called, "resumed")}


def test_the_call_of_a_try_whose_id_the_next_one_has_is_cancelled(call):
    first = store_waiting_task()
    called = call(first)
    fail_while_queued(first)
    again = wait_again(first)
    tasks_at().look()
    assert event_of(again) is None
    assert outcome_of(called)[0] == "cancelled"
    assert wait_of(again).state == "waiting"


def test_a_deadline_that_has_passed_for_the_try_before_does_not_end_the_next_one(database):
    first = store_waiting_task(timeout=timedelta(minutes=1), created_at=now() - timedelta(minutes=2))
    change_task(first, **STARTING)
    tasks_at().review()
    fail_while_queued(first)
    again = wait_again(first)
    tasks_at().look()
    assert (event_of(again), wait_of(again).state) == (None, "waiting")


def test_a_call_whose_run_was_deleted_is_cancelled(call):
    called = call(store_waiting_task())
    delete_run(runs()[0].run_id)
    tasks_at().look()
    assert outcome_of(called) == ("cancelled", "The task was cleared, is tried again, or was deleted.")


def test_a_task_that_is_not_called_is_resumed_at_its_deadline(database):
    waiting = store_waiting_task()
    tasks_at().look()
    assert (wait_of(waiting).state, event_of(waiting)) == ("waiting", None)
    tasks_at(hours=2).look()
    assert event_of(waiting) == {"error_type": "timeout", "refused_calls": 0, "refusal": None}
    assert wait_of(waiting).state == "timed_out"


def test_a_wait_that_airflow_has_resumed_at_its_deadline_is_over(database):
    waiting = store_waiting_task()
    tasks_at().look()
    change_task(waiting, state="scheduled")
    tasks_at(hours=2).look()
    assert wait_of(waiting).state == "timed_out"
    assert event_of(waiting) is None


def test_a_task_that_waits_for_something_else_is_left_alone(call):
    waiting = store_waiting_task()
    called = call(waiting)
    change_task(waiting, next_method="execute_complete")
    tasks_at(hours=2).look()
    assert outcome_of(called)[0] == "cancelled"
    assert task_of(waiting.run_id).state == "awaiting_input"


def test_many_dispatchers_resume_a_task_once(call):
    waiting = [store_waiting_task(run_id=f"run_{number}") for number in range(10)]
    called = [call(each) for each in waiting]
    started, failures = Barrier(4), []

    def dispatch() -> None:
        started.wait()
        try:
            while {outcome_of(each)[0] for each in called} != {"succeeded"}:
                tasks_at().look()
        except Exception as error:  # noqa: BLE001 - reported below
            failures.append(error)

    threads = [Thread(target=dispatch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert [event_of(each)["delivery_id"] for each in waiting] == called
    assert {row.attempts for row in rows("delivery")} == {1}


def test_calls_count_in_no_backlog_and_are_not_dispatched_as_runs(call):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings
    from inbound_webhooks.storage.clock_skew import is_scheduled_too_late
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import count_accepted_by_webhook, read_backlog

    called = call(store_waiting_task(**STARTING))
    assert Dispatcher(Settings()).dispatch_due() == 0
    with transaction() as connection:
        assert read_backlog(connection) == (0, None)
        assert count_accepted_by_webhook(connection, 10) == {}
        assert not is_scheduled_too_late(connection, now() - timedelta(days=1), timedelta())
    assert outcome_of(called)[0] == "accepted"
