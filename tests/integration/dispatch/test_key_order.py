"""One active run of a key at a time: in order, skipped, or cancelled by the next one."""

from __future__ import annotations

import pytest
import uuid_utils
from airflow.listeners import hookimpl

from tests.infrastructure.dags_builder import change_dag, store_dag
from tests.infrastructure.groups_builder import ONE, Works, key_of, runs_by_id, states_of, waiting
from tests.infrastructure.webhooks_builder import (
    change_run,
    change_tasks,
    change_webhook,
    delivery,
    rows,
    runs,
    states,
    store_deliveries,
    store_delivery,
    store_webhook,
)
from tests.integration.dispatch.conftest import AT


@pytest.fixture
def works(database, clock) -> Works:
    store_dag("orders")
    return Works(clock)


@pytest.fixture
def hook(works):
    return store_webhook(**ONE, cancel_on='body.action == "closed"', notify_failure=["a@example.com"])


def in_turn(hook, key="a", **columns) -> str:
    return waiting(hook, "in_turn", AT, key=key, **columns)


def cancelling(hook, key="a") -> str:
    return in_turn(hook, key, conf=None)


def run_states() -> list[str]:
    return [run.state for run in runs()]


def test_events_of_a_key_run_in_order_one_after_the_other(hook, works):
    ids = [in_turn(hook) for _ in range(3)]
    works.work()
    assert states_of(*ids) == ["dispatched", "in_turn", "in_turn"]
    works.end_run(ids[0], "failed")
    assert states_of(*ids) == ["failed", "dispatched", "in_turn"]
    works.end_run(ids[1])
    assert states_of(*ids) == ["failed", "succeeded", "dispatched"]


def test_another_key_does_not_wait(hook, works):
    a, b = in_turn(hook, "a"), in_turn(hook, "b")
    works.work()
    assert states_of(a, b) == ["dispatched"] * 2


def test_a_run_that_cannot_be_created_keeps_the_order(hook, works):
    change_dag("orders", has_import_errors=True)
    ids = [in_turn(hook) for _ in range(2)]
    works.work()
    assert states_of(*ids) == ["accepted", "in_turn"]
    change_dag("orders", has_import_errors=False)
    works.after(2)
    assert states_of(*ids) == ["dispatched", "in_turn"]


def test_while_a_run_is_active_events_are_skipped(hook, works):
    change_webhook(hook.id, when_busy="skip")
    first = in_turn(hook)
    works.work()
    second = in_turn(hook)
    works.work()
    works.end_run(first)
    third = in_turn(hook)
    works.work()
    assert states_of(first, second, third) == ["succeeded", "skipped", "dispatched"]
    assert delivery(second).error == "A run of its key was active."


def test_the_newest_event_cancels_the_run_of_the_one_before(hook, works):
    change_webhook(hook.id, when_busy="cancel-running")
    first = in_turn(hook)
    works.work()
    change_tasks(f"webhook__{first}", state="running")
    second, third = in_turn(hook), in_turn(hook)
    works.work()
    assert states_of(first, second, third) == ["cancelled", "superseded", "dispatched"]
    assert run_states() == ["failed", "queued"]
    assert (delivery(first).cancelled_by, delivery(second).superseded_by) == (third, third)
    assert [task.state for task in rows_of_tasks(first)] == ["failed"]


def rows_of_tasks(delivery_id: str):
    from airflow import settings
    from airflow.models.taskinstance import TaskInstance

    table = TaskInstance.__table__
    query = table.select().where(table.c.run_id == f"webhook__{delivery_id}")
    with settings.engine.connect() as connection:
        return list(connection.execute(query))


class Listener:
    """What Airflow calls when a run has failed."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    @hookimpl
    def on_dag_run_failed(self, dag_run, msg) -> None:
        self.failed.append(dag_run.run_id)
        raise RuntimeError("a listener that fails")


@pytest.fixture
def listener():
    from airflow.listeners.listener import get_listener_manager

    made = Listener()
    get_listener_manager().add_listener(made)
    yield made
    get_listener_manager().pm.unregister(made)


def test_listeners_learn_of_a_cancelled_run_and_cannot_keep_it_alive(hook, works, listener):
    change_webhook(hook.id, when_busy="cancel-running")
    first = in_turn(hook)
    works.work()
    in_turn(hook)
    works.work()
    assert (listener.failed, run_states()) == ([f"webhook__{first}"], ["failed", "queued"])


@pytest.mark.parametrize("is_cancel", [False, True], ids=["newer event", "event that cancels"])
def test_a_run_that_has_ended_by_itself_is_not_cancelled(hook, works, is_cancel):
    """Before the run tracker has seen it."""
    change_webhook(hook.id, when_busy="cancel-running")
    first = in_turn(hook)
    works.work()
    change_run(f"webhook__{first}", state="success", end_date=AT)
    second = in_turn(hook, conf=None) if is_cancel else in_turn(hook)
    works.work()
    works.tracker.follow()
    works.work()
    assert states_of(first, second) == ["succeeded", "skipped" if is_cancel else "dispatched"]
    assert (delivery(first).cancelled_by, delivery(first).error) == (None, None)


def test_a_cancelled_run_is_no_failure_that_is_mailed(hook, works):
    change_webhook(hook.id, when_busy="cancel-running")
    first = in_turn(hook)
    works.work()
    in_turn(hook)
    works.work()
    works.tracker.follow()
    assert (states_of(first), rows("mail")) == (["cancelled"], [])


def test_a_delivery_that_is_due_makes_room_for_a_newer_one(hook, works):
    change_webhook(hook.id, when_busy="cancel-running")
    change_dag("orders", has_import_errors=True)
    first = in_turn(hook)
    works.work()
    second = in_turn(hook)
    works.work()
    assert states_of(first, second) == ["superseded", "accepted"]


def test_an_event_that_cancels_starts_nothing_and_ends_what_came_before(hook, works):
    running, waits, other = in_turn(hook), in_turn(hook), in_turn(hook, "b")
    works.work()
    cancels, later = cancelling(hook), in_turn(hook)
    works.work()
    assert states_of(running, waits, cancels) == ["cancelled", "cancelled", "skipped"]
    assert states_of(other, later) == ["dispatched"] * 2
    assert delivery(cancels).error == (
        "It started nothing. It cancelled 1 run and 1 waiting delivery of its key."
    )
    assert {delivery(each).cancelled_by for each in (running, waits)} == {cancels}


def test_an_event_that_cancels_finds_many(hook, works):
    from inbound_webhooks.dispatch.key_order import MAX_WAITING

    change_webhook(hook.id, when_busy="cancel-running")
    columns = {"state": "in_turn", "group_key": key_of("a"), "next_attempt_at": None}
    store_deliveries(hook, MAX_WAITING + 1, **columns)
    store_deliveries(hook, 1, **columns | {"conf": None})
    works.work()
    assert (runs(), states()) == ([], ["cancelled"] * (MAX_WAITING + 1) + ["skipped"])


def test_an_event_that_cancels_may_find_nothing(hook, works):
    cancels = cancelling(hook)
    works.work()
    assert states_of(cancels) == ["skipped"]
    assert runs() == []


def test_runs_that_the_webhook_did_not_start_are_not_cancelled(hook, works):
    another = store_webhook("another", **ONE)
    theirs = in_turn(another)
    works.work()
    cancelling(hook)
    works.work()
    assert (states_of(theirs), run_states()) == (["dispatched"], ["queued"])


def test_a_run_with_a_teardown_ends_later_and_the_next_one_waits_for_it(works):
    store_dag_with_teardown("orders_with_teardown")
    hook = store_webhook(dag_id="orders_with_teardown", **ONE, when_busy="cancel-running")
    first = in_turn(hook, dag_id=hook_dag(hook))
    works.work()
    second = in_turn(hook, dag_id=hook_dag(hook))
    works.work()
    assert states_of(first, second) == ["dispatched", "in_turn"]
    assert delivery(first).cancelled_by == second
    works.end_run(first, "failed")
    assert states_of(first, second) == ["cancelled", "dispatched"]


def hook_dag(hook) -> str:
    from inbound_webhooks.webhooks import service

    return service.get(hook.id).dag_id


def store_dag_with_teardown(dag_id: str) -> None:
    from airflow import settings
    from airflow.dag_processing.collection import update_dag_parsing_results_in_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    with DAG(dag_id, schedule=None) as dag:
        EmptyOperator(task_id="work") >> EmptyOperator(task_id="clean").as_teardown()
    stored = LazyDeserializedDAG.from_dag(dag)
    with settings.NonScopedSession() as session, session.begin():
        if session.get(DagBundleModel, "tests") is None:
            session.add(DagBundleModel(name="tests"))
            session.flush()
        update_dag_parsing_results_in_db("tests", None, [stored], {}, None, set(), session)


# --- replays ------------------------------------------------------------------------------------


@pytest.fixture
def newest_only(hook):
    """The webhook, of which the newest event of a key cancels the run of the one before."""
    change_webhook(hook.id, when_busy="cancel-running")
    return hook


def test_a_replay_does_not_cancel_the_run_of_a_newer_event(newest_only, works):
    old = in_turn(newest_only)
    works.work()
    newer = in_turn(newest_only)
    works.work()
    replay = in_turn(newest_only, replay_of=old)
    works.work()
    assert states_of(old, newer, replay) == ["cancelled", "dispatched", "in_turn"]
    assert works.groups.decide() == (0, False)
    works.end_run(newer)
    assert states_of(newer, replay) == ["succeeded", "dispatched"]


def test_the_replay_of_a_split_delivery_does_not_cancel_the_run_of_a_newer_event(newest_only, works):
    split = store_delivery(newest_only, state="split", next_attempt_at=None, conf=None)
    newer = in_turn(newest_only)
    works.work()
    again = store_delivery(newest_only, state="split", next_attempt_at=None, conf=None, replay_of=split)
    child = in_turn(newest_only, parent_id=again, child_index=0)
    works.work()
    assert states_of(newer, child) == ["dispatched", "in_turn"]


def test_a_replay_supersedes_no_newer_event_and_has_its_turn_after_it(newest_only, works):
    old = in_turn(newest_only)
    works.work()
    newer, replay = in_turn(newest_only), in_turn(newest_only, replay_of=old)
    works.work()
    assert states_of(old, newer, replay) == ["cancelled", "dispatched", "in_turn"]
    newest = in_turn(newest_only)
    works.work()
    assert states_of(newer, replay, newest) == ["cancelled", "in_turn", "dispatched"]


def test_replays_of_a_key_run_one_after_the_other(newest_only, works):
    old = in_turn(newest_only)
    works.work()
    works.end_run(old)
    replays = [in_turn(newest_only, replay_of=old) for _ in range(2)]
    works.work()
    assert states_of(*replays) == ["dispatched", "in_turn"]
    works.end_run(replays[0])
    assert states_of(*replays) == ["succeeded", "dispatched"]


def test_a_new_event_cancels_the_run_of_a_replay(newest_only, works):
    """Also where it was received before the replay was made, and committed after it had its turn."""
    old = in_turn(newest_only)
    works.work()
    works.end_run(old)
    late = uuid_utils.uuid7().hex
    replay = in_turn(newest_only, replay_of=old)
    works.work()
    columns = {"state": "in_turn", "group_key": key_of("a"), "next_attempt_at": None}
    store_deliveries(newest_only, ids=[late], **columns)
    works.work()
    assert states_of(replay, late) == ["cancelled", "dispatched"]
    assert delivery(replay).cancelled_by == late


@pytest.mark.parametrize("when_busy", ["queue", "cancel-running"])
def test_the_replay_of_an_event_that_cancels_leaves_newer_events_alone(hook, works, when_busy):
    change_webhook(hook.id, when_busy=when_busy)
    cancels = cancelling(hook)
    works.work()
    newer = in_turn(hook)
    works.work()
    first = in_turn(hook, conf=None, replay_of=cancels)
    second = in_turn(hook, conf=None, replay_of=first)
    works.work()
    assert states_of(newer, first, second) == ["dispatched", "skipped", "skipped"]
    assert delivery(second).error == "It started nothing. There was nothing to cancel."


def test_the_replay_of_an_event_that_cancels_ends_what_came_before_the_event(hook, works):
    """The webhook had no such condition when the event came."""
    running, waits = in_turn(hook), in_turn(hook)
    works.work()
    event = store_delivery(hook, state="failed", next_attempt_at=None)
    later = in_turn(hook)
    replay = in_turn(hook, conf=None, replay_of=event)
    works.work()
    assert states_of(running, waits, later, replay) == ["cancelled", "cancelled", "dispatched", "skipped"]


@pytest.mark.parametrize("when_busy", ["queue", "cancel-running"])
def test_the_replay_of_an_event_that_cancels_stops_no_queue_of_newer_events(
    hook, works, monkeypatch, when_busy
):
    from inbound_webhooks.dispatch import key_order

    change_webhook(hook.id, when_busy=when_busy)
    monkeypatch.setattr(key_order, "MAX_WAITING", 2)
    cancels = cancelling(hook)
    works.work()
    newer = [in_turn(hook) for _ in range(4)]
    in_turn(hook, conf=None, replay_of=cancels)
    works.work()
    while "dispatched" in states():
        works.end_run(next(row.id for row in rows("delivery") if row.state == "dispatched"))
    ended = ["succeeded"] * 4 if when_busy == "queue" else ["superseded"] * 3 + ["succeeded"]
    assert states_of(*newer) == ended
    assert states().count("skipped") == 2


# --- a webhook that changes ---------------------------------------------------------------------


def test_the_order_is_kept_where_the_webhook_had_another_mode_before(hook, works):
    """Deliveries that waited for their turn become due when there are no turns any more."""
    ids = [in_turn(hook), in_turn(hook), cancelling(hook)]
    change_webhook(hook.id, one_at_a_time=None, cancel_on=None)
    works.work()
    assert states_of(*ids) == ["dispatched", "dispatched", "skipped"]
    assert sorted(runs_by_id()) == sorted(f"webhook__{each}" for each in ids[:2])


def test_an_ordinary_delivery_has_no_key(hook, works):
    plain = store_delivery(store_webhook("another"), next_attempt_at=AT)
    works.work()
    assert delivery(plain).group_key is None
