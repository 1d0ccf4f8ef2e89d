"""Several events become one run: when a batch is closed, what its run gets, and what becomes of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.infrastructure.dags_builder import change_dag, store_dag
from tests.infrastructure.groups_builder import BATCHES, Works, runs_by_id, states_of, waiting
from tests.infrastructure.webhooks_builder import (
    change_run,
    change_webhook,
    delivery,
    listed,
    rows,
    runs,
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
    return store_webhook(**BATCHES, notify_failure=["a@example.com"], notify_success=["b@example.com"])


def batched(hook, count=1, *, key="a", at=AT, **columns) -> list[str]:
    return [waiting(hook, "batched", at, key=key, **columns) for _ in range(count)]


def test_a_full_batch_is_one_run_with_a_list_of_confs(hook, works):
    ids = [waiting(hook, "batched", AT, conf=f'{{"number": {number}}}') for number in range(3)]
    works.work()
    assert runs_by_id() == {f"webhook__batch_{ids[0]}": {"events": [{"number": n} for n in range(3)]}}
    assert states_of(*ids) == ["dispatched"] * 3
    assert {row.run_id for row in rows("delivery")} == {f"webhook__batch_{ids[0]}"}


def test_a_batch_that_is_not_full_waits_for_its_time(hook, works):
    ids = batched(hook, 2)
    works.after(59)
    assert states_of(*ids) == ["batched"] * 2
    works.after(1)
    assert [len(conf["events"]) for conf in runs_by_id().values()] == [2]


def test_the_time_counts_from_the_first_event_of_the_key(hook, works):
    first, other = batched(hook, key="a"), batched(hook, key="b", at=AT + timedelta(seconds=30))
    works.after(60)
    assert states_of(*first, *other) == ["dispatched", "batched"]


def test_events_of_different_keys_share_no_batch(hook, works):
    a, b = batched(hook, 3, key="a"), batched(hook, 2, key="b")
    works.work()
    assert states_of(*a, *b) == ["dispatched"] * 3 + ["batched"] * 2


def test_what_came_while_no_dispatcher_ran_is_in_few_full_batches(hook, works):
    batched(hook, 7)
    works.after(3600)
    assert sorted(len(conf["events"]) for conf in runs_by_id().values()) == [1, 3, 3]


def test_a_batch_is_closed_early_where_its_conf_would_be_too_long(hook, clock, works):
    batched(hook, 3, conf='{"text": "' + "x" * 100 + '"}')
    Works(clock, max_batch_bytes=250).work()
    assert [len(conf["events"]) for conf in runs_by_id().values()] == [2]


def test_a_batch_is_closed_early_where_its_conf_would_have_too_many_values(hook, clock, works):
    batched(hook, 3, conf='{"list": [1, 2, 3, 4, 5, 6, 7, 8]}')
    Works(clock, max_conf_items=25).work()
    assert [len(conf["events"]) for conf in runs_by_id().values()] == [2]


def test_a_batch_that_cannot_be_dispatched_is_tried_again_as_a_whole(hook, works):
    change_dag("orders", has_import_errors=True)
    ids = batched(hook, 3)
    works.work()
    assert states_of(*ids) == ["accepted"] * 3
    assert "import errors" in delivery(ids[0]).error
    change_dag("orders", has_import_errors=False)
    works.after(2)
    assert [len(conf["events"]) for conf in runs_by_id().values()] == [3]
    assert states_of(*ids) == ["dispatched"] * 3


def test_a_batch_that_its_dag_refuses_is_given_up_as_a_whole_with_one_mail(hook, works):
    from airflow.sdk import Param

    store_dag("orders", params={"events": Param([], type="array", maxItems=2)})
    ids = batched(hook, 3)
    works.work()
    assert states_of(*ids) == ["undeliverable"] * 3
    (mail,) = rows("mail")
    assert listed(mail.id) == [ids[0]]


@pytest.mark.parametrize(("ended", "state"), [("success", "succeeded"), ("failed", "failed")])
def test_all_deliveries_end_with_the_run_and_there_is_one_mail(hook, works, ended, state):
    ids = batched(hook, 3)
    works.work()
    works.end_run(ids[1], ended)
    assert states_of(*ids) == [state] * 3
    assert len(rows("mail")) == 1


def test_a_run_that_is_cleared_opens_all_deliveries_of_the_batch_again(hook, works):
    ids = batched(hook, 3)
    works.work()
    works.end_run(ids[0])
    change_run(runs()[0].run_id, state="queued", end_date=None)
    works.tracker.follow()
    assert states_of(*ids) == ["dispatched"] * 3


def test_a_batch_counts_as_one_active_run(hook, works):
    change_webhook(hook.id, max_active_runs=2)
    batched(hook, 3)
    works.work()
    batched(hook, 6)
    works.work()
    assert len(runs()) == 2


def test_a_disabled_webhook_closes_no_batch(hook, works):
    change_webhook(hook.id, enabled=False)
    ids = batched(hook, 3)
    works.after(3600)
    assert states_of(*ids) == ["batched"] * 3
    change_webhook(hook.id, enabled=True)
    works.work()
    assert states_of(*ids) == ["dispatched"] * 3


def test_the_deletion_of_the_webhook_cancels_open_and_closed_batches(hook, works):
    from inbound_webhooks.webhooks import service

    change_dag("orders", has_import_errors=True)
    ids = batched(hook, 4)
    works.work()
    assert states_of(*ids) == ["accepted"] * 3 + ["batched"]
    assert service.delete(hook.id, actor="a tester") == 4
    assert states_of(*ids) == ["cancelled"] * 4


def test_a_webhook_without_batches_lets_go_what_waits_for_one(hook, works):
    ids = batched(hook, 2)
    change_webhook(hook.id, batch_size=None, batch_seconds=None, batch_by=None)
    works.work()
    assert sorted(runs_by_id()) == sorted(f"webhook__{each}" for each in ids)


def test_few_batches_of_a_webhook_are_due_at_the_same_time(hook, works):
    from inbound_webhooks.dispatch.groups import MAX_DUE_BATCHES

    change_dag("orders", has_import_errors=True)
    change_webhook(hook.id, batch_size=2)
    batched(hook, 2 * MAX_DUE_BATCHES + 10)
    works.work()
    due = [row for row in rows("delivery") if row.next_attempt_at is not None]
    assert len(due) == MAX_DUE_BATCHES


def test_the_clock_of_the_host_that_received_it_may_be_ahead(hook, works):
    ids = batched(hook, at=AT + timedelta(days=1))
    works.work()
    works.after(59)
    assert states_of(*ids) == ["batched"]
    works.after(1)
    assert states_of(*ids) == ["dispatched"]


def test_what_is_due_does_not_look_old_in_the_health_report(hook, works):
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import read_backlog

    change_dag("orders", has_import_errors=True)
    batched(hook, 3)
    works.clock.at += timedelta(hours=1)
    works.decide()
    with transaction() as connection:
        assert read_backlog(connection) == (3, AT + timedelta(hours=1))


def test_other_deliveries_are_dispatched_as_ever(hook, works):
    other = store_delivery(store_webhook("another"), next_attempt_at=AT)
    batched(hook, 3)
    works.work()
    assert f"webhook__{other}" in runs_by_id()


def test_the_details_of_a_delivery_name_its_batch_and_run(hook, works):
    from inbound_webhooks.deliveries.details import delivery_details

    ids = batched(hook, 3)
    works.work()
    shown = delivery_details(ids[2])
    run_id = f"webhook__batch_{ids[0]}"
    assert shown["batch"] == {"id": ids[0], "run_id": run_id, "deliveries": 3, "listed": ids}
    assert shown["run"]["run_id"] == run_id


def test_the_details_of_a_delivery_that_waits_say_for_what(hook, works):
    from inbound_webhooks.deliveries.details import delivery_details

    (stored,) = batched(hook)
    assert delivery_details(stored)["waits_for"] == (
        "Its batch has 1 of 3 events and closes at 12:01:00 UTC."
    )


def test_the_time_at_which_a_batch_closes_is_in_airflows_zone(hook, works, monkeypatch):
    from inbound_webhooks.deliveries.details import delivery_details

    monkeypatch.setenv("AIRFLOW__CORE__DEFAULT_TIMEZONE", "Asia/Kolkata")
    (stored,) = batched(hook)
    assert "closes at 17:31:00 IST." in delivery_details(stored)["waits_for"]
