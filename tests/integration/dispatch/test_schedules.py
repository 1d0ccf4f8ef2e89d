"""Logical dates, start times and notes of runs."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import (
    ACTOR,
    change_webhook,
    delivery,
    now,
    runs,
    store_delivery,
    store_webhook,
)

DAY = "2026-02-28T00:00:00+00:00"


@pytest.fixture
def hook(database):
    store_dag("orders")
    return store_webhook()


def dispatch() -> int:
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    return Dispatcher(Settings()).dispatch_due()


def notes() -> list[str]:
    from airflow import settings
    from airflow.models.dagrun import DagRunNote

    with settings.engine.connect() as connection:
        return sorted(row.content for row in connection.execute(DagRunNote.__table__.select()))


def test_a_run_has_the_fields_of_its_delivery(hook):
    later = now() + timedelta(hours=1)
    stored = store_delivery(hook, logical_date=now() - timedelta(days=1), run_after=later, note="For Ada.")
    dispatch()
    [run] = runs()
    assert (run.logical_date, run.run_after, run.state) == (delivery(stored).logical_date, later, "queued")
    assert run.data_interval_start == run.logical_date
    assert notes() == [f"For Ada.\n\nWebhook {hook.name}, delivery {stored}"]


def test_a_run_without_the_fields_is_as_before(hook):
    stored = store_delivery(hook)
    before = now()
    dispatch()
    [run] = runs()
    assert (run.logical_date, run.data_interval_start, run.run_after >= before) == (None, None, True)
    assert notes() == [f"Webhook {hook.name}, delivery {stored}"]


def test_a_start_time_that_has_passed_does_not_put_a_run_before_others(hook):
    store_delivery(hook, run_after=now() - timedelta(days=1))
    before = now()
    dispatch()
    assert runs()[0].run_after >= before


def test_a_logical_date_that_a_run_has_already_ends_the_delivery_with_a_sentence(hook):
    day = now().replace(microsecond=0)
    first, second = sorted(store_delivery(hook, logical_date=day) for _ in range(2))
    other = store_delivery(hook)
    while dispatch():
        pass
    assert [delivery(each).state for each in (first, second, other)] == [
        "dispatched",
        "undeliverable",
        "dispatched",
    ]
    assert f"has a run with the logical date {day.isoformat()} already" in delivery(second).error


def test_deliveries_of_the_same_moment_all_run_where_the_logical_date_is_the_receipt(hook):
    change_webhook(hook.id, logical_date="received")
    at = now()
    ids = [store_delivery(hook, received_at=at, logical_date=at) for _ in range(3)]
    dispatch()
    assert [delivery(each).state for each in ids] == ["dispatched"] * 3
    assert {run.logical_date - at for run in runs()} == {timedelta(microseconds=n) for n in range(3)}


@pytest.mark.parametrize("remap", [False, True])
def test_a_replay_has_the_original_schedule_or_that_of_the_current_mapping(hook, remap):
    from inbound_webhooks.deliveries.replay import replay
    from inbound_webhooks.receiver.instance import get_receiver

    body = json.dumps({"day": DAY}).encode()
    headers = '[["Content-Type", "application/json"]]'
    stored = store_delivery(
        hook, body=body, headers=headers, logical_date=now(), note="old", state="failed", next_attempt_at=None
    )
    change_webhook(hook.id, logical_date="${Webhook::Body.day}", note="new")
    again = delivery(replay(get_receiver(), stored, actor=ACTOR, remap=remap).id)
    kept = delivery(stored)
    if remap:
        assert (again.logical_date.isoformat(), again.note) == (DAY, "new")
    else:
        assert (again.logical_date, again.note) == (kept.logical_date, "old")


def test_a_run_of_a_partitioned_dag_has_the_partition_key(database):
    from airflow.sdk import PartitionedAtRuntime

    store_dag("orders", schedule=PartitionedAtRuntime())
    store_delivery(store_webhook(), partition_key="2026-02")
    dispatch()
    assert [run.partition_key for run in runs()] == ["2026-02"]


def test_a_dag_without_partitions_ends_the_delivery_with_a_sentence(hook):
    stored = store_delivery(hook, partition_key="2026-02")
    dispatch()
    found = delivery(stored)
    sentence = "DAG orders is not partitioned, so its runs have no partition key."
    assert (found.state, found.error) == ("undeliverable", sentence)
