"""No more queued runs than Airflow's scheduler is meant to have; what waits, waits fairly and says why."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from tests.infrastructure.assets_builder import URI, events, store_due, store_subscriber
from tests.infrastructure.dags_builder import change_dag, store_dag
from tests.infrastructure.webhooks_builder import (
    change_run,
    now,
    runs,
    states,
    store_deliveries,
    store_delivery,
    store_webhook,
)


@pytest.fixture
def hooks(database):
    """Webhooks by the DAG that each one starts."""
    return {dag_id: store_webhook(f"for {store_dag(dag_id)}", dag_id=dag_id) for dag_id in ("a", "b")}


def dispatcher(**options):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    return Dispatcher(Settings(**options))


def dispatch(**options) -> int:
    """Dispatch what may be dispatched now; return how many runs there are."""
    work = dispatcher(**options)
    while work.dispatch_due():
        pass
    return len(runs())


def fill(hooks, number: int) -> None:
    for dag_id, hook in hooks.items():
        store_deliveries(hook, number, dag_id=dag_id)


def runs_by_dag() -> Counter[str]:
    return Counter(run.dag_id for run in runs())


def test_no_runs_are_created_beyond_the_limit(hooks):
    fill(hooks, 20)
    assert dispatch(max_queued_runs=10, dag_queue_percent=100) == 10
    assert states().count("accepted") == 30
    assert runs_by_dag() == {"a": 5, "b": 5}


def test_the_rest_follows_when_the_scheduler_has_started_some(hooks):
    fill(hooks, 10)
    dispatch(max_queued_runs=4)
    for run in runs():
        change_run(run.run_id, state="success", end_date=now())
    assert dispatch(max_queued_runs=4) == 8


def test_a_dag_has_a_share_of_the_queue(hooks):
    store_deliveries(hooks["a"], 20, dag_id="a")
    store_deliveries(store_webhook("another for a", dag_id="a"), 20, dag_id="a")
    dispatch(max_queued_runs=10)
    store_deliveries(hooks["b"], 20, dag_id="b")
    dispatch(max_queued_runs=10)
    assert runs_by_dag() == {"a": 5, "b": 5}


def test_queued_runs_of_a_paused_dag_stop_nothing(hooks):
    store_deliveries(hooks["a"], 20, dag_id="a")
    assert dispatch(max_queued_runs=0) == 20
    change_dag("a", is_paused=True)
    store_deliveries(hooks["b"], 5, dag_id="b")
    dispatch(max_queued_runs=10)
    assert runs_by_dag()["b"] == 5


def test_a_dag_at_its_max_active_runs_stops_only_itself(hooks):
    store_deliveries(hooks["a"], 6, dag_id="a")
    assert dispatch(max_queued_runs=0) == 6
    change_run(runs()[0].run_id, state="running")
    change_dag("a", max_active_runs=1)
    fill(hooks, 9)
    dispatch(max_queued_runs=10)
    assert runs_by_dag() == {"a": 6, "b": 5}


def test_a_run_that_may_not_start_yet_is_not_counted(hooks):
    store_deliveries(hooks["a"], 8, dag_id="a", run_after=now() + timedelta(hours=1))
    dispatch(max_queued_runs=0)
    store_deliveries(hooks["b"], 8, dag_id="b")
    assert dispatch(max_queued_runs=8, dag_queue_percent=100) == 16


def test_a_run_that_may_not_start_yet_waits_for_room_as_well(hooks):
    store_deliveries(hooks["a"], 5, dag_id="a")
    dispatch(max_queued_runs=0)
    store_deliveries(hooks["b"], 5, dag_id="b", run_after=now() + timedelta(hours=1))
    assert dispatch(max_queued_runs=5) == 5


def test_dispatchers_share_what_is_left(hooks):
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.dispatchers import DispatcherRow, note_dispatcher

    with transaction() as connection:
        for number in range(4):
            row = DispatcherRow(id=f"{number:032}", host="here", pid=1, started_at=now())
            note_dispatcher(connection, row, now())
    store_deliveries(hooks["a"], 40, dag_id="a")
    assert dispatch(max_queued_runs=20, dag_queue_percent=100) == 5


def test_more_dispatchers_than_room_still_leave_each_of_them_some():
    from inbound_webhooks.airflow_bridge.queued_runs import Room

    room = Room(limit=10, dag_limit=10, queued=7, share=20)
    assert (room.left, room.left_of("a")) == (1, 1)
    room.note("a")
    assert (room.left, room.left_of("a")) == (0, 0)


def test_the_runs_are_counted_once_a_second(database):
    from inbound_webhooks.airflow_bridge.queued_runs import QueuedRuns

    clock, asked = [0.0], []

    def query(work):
        asked.append(clock[0])
        return {}, 1

    queue = QueuedRuns(10, 50, clock=lambda: clock[0])
    for moment in (0.0, 0.5, 0.99, 1.0, 1.5, 2.1):
        clock[0] = moment
        queue.room(query)
    assert asked == [0.0, 1.0, 2.1]


def test_what_waits_says_so_everywhere(hooks, monkeypatch):
    from inbound_webhooks.deliveries.details import delivery_details
    from inbound_webhooks.webhooks import readiness, service

    monkeypatch.setenv("AIRFLOW__INBOUND_WEBHOOKS__MAX_QUEUED_RUNS", "7")
    store_deliveries(hooks["a"], 7, dag_id="a")
    dispatch(max_queued_runs=0)
    waiting = store_delivery(hooks["b"], dag_id="b")
    assert dispatch(max_queued_runs=7) == 7
    sentence = "Airflow has 7 queued runs; max_queued_runs is 7."
    assert delivery_details(waiting)["waits_for"] == f"room in Airflow's queue: {sentence}"
    reasons = readiness.reasons_of(service.get(hooks["b"].id))
    assert f"{sentence} Deliveries wait until there are fewer." in [each.message for each in reasons]


@pytest.fixture
def full_queue(hooks, monkeypatch):
    """Airflow's queue has no room."""
    monkeypatch.setenv("AIRFLOW__INBOUND_WEBHOOKS__MAX_QUEUED_RUNS", "6")
    fill(hooks, 3)
    assert dispatch(max_queued_runs=0) == 6
    fill(hooks, 3)
    store_subscriber("subscriber")
    return hooks


def test_events_that_airflow_merges_into_one_run_do_not_wait_for_room(full_queue):
    hook = store_webhook("of an asset", dag_id="", asset=URI)
    for _ in range(30):
        store_due(hook)
    assert dispatch(max_queued_runs=6) == 6
    assert (len(events()), states().count("accepted")) == (30, 6)


def test_events_of_partitions_wait_for_room_and_say_so(full_queue):
    from inbound_webhooks.deliveries.details import delivery_details
    from inbound_webhooks.webhooks import readiness, service

    hook = store_webhook("of partitions", dag_id="", asset=URI, partition_key="body.day")
    waiting = store_due(hook, partition_key="2026-01-01")
    dispatch(max_queued_runs=6)
    assert events() == []
    sentence = "Airflow has 6 queued runs; max_queued_runs is 6."
    assert delivery_details(waiting)["waits_for"] == f"room in Airflow's queue: {sentence}"
    problems = readiness.reasons_of(service.get(hook.id))
    assert f"{sentence} Deliveries wait until there are fewer." in [each.message for each in problems]


def test_a_webhook_whose_events_are_merged_has_no_reason_to_wait(full_queue):
    from inbound_webhooks.deliveries.details import delivery_details
    from inbound_webhooks.webhooks import readiness, service

    hook = store_webhook("of an asset", dag_id="", asset=URI)
    assert delivery_details(store_due(hook))["waits_for"] is None
    assert "queue-full" not in [each.code for each in readiness.reasons_of(service.get(hook.id))]


def test_events_take_no_room_from_runs(hooks):
    store_subscriber("subscriber")
    hook = store_webhook("of an asset", dag_id="", asset=URI)
    for _ in range(8):
        store_due(hook)
    fill(hooks, 8)
    assert dispatch(max_queued_runs=10, dag_queue_percent=100) == 10
    assert (len(events()), runs_by_dag()) == (8, {"a": 5, "b": 5})
