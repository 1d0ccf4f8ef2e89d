"""From accepted deliveries to DAG runs: exactly one each, now, later or never."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from tests.infrastructure.dags_builder import change_dag, forget_dag, spoil_dag, store_dag, unserialize_dag
from tests.infrastructure.webhooks_builder import (
    ACTOR,
    delivery,
    runs,
    states,
    store_deliveries,
    store_delivery,
    store_webhook,
)

AT = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def dispatcher(clock):
    """A dispatcher whose now is the clock; batches of five."""
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    return Dispatcher(Settings(dispatcher_batch_size=5), now=clock)


@pytest.fixture
def hook(database):
    store_dag("orders")
    return store_webhook()


def due(hook, **columns) -> str:
    return store_delivery(hook, next_attempt_at=AT, **columns)


# --- the run --------------------------------------------------------------------------------


def test_a_delivery_becomes_a_queued_run_that_names_it(dispatcher, hook):
    stored = due(hook, conf='{"number": 1, "text": "ä"}')
    assert dispatcher.dispatch_due() == 1
    (run,) = runs()
    assert (run.run_id, run.dag_id, run.state) == (f"webhook__{stored}", "orders", "queued")
    assert (run.run_type, run.conf) == ("manual", {"number": 1, "text": "ä"})
    assert (run.triggering_user_name, run.run_after) == (f"webhook {hook.name}", AT)


def test_a_run_has_the_tasks_of_its_dag(dispatcher, hook):
    from airflow import settings
    from airflow.models.taskinstance import TaskInstance

    stored = due(hook)
    dispatcher.dispatch_due()
    with settings.engine.connect() as connection:
        tasks = connection.execute(TaskInstance.__table__.select()).all()
    assert [(task.task_id, task.run_id) for task in tasks] == [("work", f"webhook__{stored}")]


def test_the_note_of_a_run_names_webhook_and_delivery(dispatcher, hook):
    from airflow import settings
    from airflow.models.dagrun import DagRunNote

    stored = due(hook)
    dispatcher.dispatch_due()
    with settings.engine.connect() as connection:
        (note,) = connection.execute(DagRunNote.__table__.select()).all()
    assert note.content == f"Webhook {hook.name}, delivery {stored}"


def test_a_dispatched_delivery_says_when_and_which_run(dispatcher, hook):
    stored = delivery(due(hook))
    dispatcher.dispatch_due()
    after = delivery(stored.id)
    assert (after.state, after.run_id, after.dispatched_at) == ("dispatched", f"webhook__{stored.id}", AT)
    assert (after.attempts, after.next_attempt_at, after.error) == (1, None, None)


def test_a_dispatched_delivery_is_not_dispatched_again(dispatcher, hook):
    due(hook)
    assert [dispatcher.dispatch_due(), dispatcher.dispatch_due()] == [1, 0]
    assert len(runs()) == 1


def test_a_delivery_that_is_not_due_yet_waits(dispatcher, hook, clock):
    store_delivery(hook, next_attempt_at=AT + timedelta(seconds=5))
    assert dispatcher.dispatch_due() == 0
    clock.at += timedelta(seconds=5)
    assert dispatcher.dispatch_due() == 1


def test_a_batch_is_no_larger_than_it_is_set(dispatcher, hook):
    store_deliveries(hook, 7, next_attempt_at=AT)
    assert [dispatcher.dispatch_due() for _ in range(3)] == [5, 2, 0]
    assert len(runs()) == 7


def test_a_paused_dag_gets_its_run_queued(dispatcher, hook):
    change_dag("orders", is_paused=True)
    due(hook)
    dispatcher.dispatch_due()
    assert (states(), [run.state for run in runs()]) == (["dispatched"], ["queued"])


def test_a_run_that_is_there_already_counts_and_gets_no_second(dispatcher, hook):
    from airflow import settings

    from inbound_webhooks.storage import tables

    stored = due(hook)
    dispatcher.dispatch_due()
    with settings.engine.begin() as connection:
        connection.execute(tables.delivery.update().values(state="accepted", next_attempt_at=AT, run_id=None))
    dispatcher.dispatch_due()
    assert (len(runs()), delivery(stored).state) == (1, "dispatched")
    assert delivery(stored).run_id == f"webhook__{stored}"


def test_run_and_mark_are_one_transaction(dispatcher, hook, clock, database):
    """The database refuses the mark, which comes after the run."""
    store_deliveries(hook, 2, next_attempt_at=AT)
    with refused_marks(database.backend):
        dispatcher.dispatch_due()
    assert (runs(), states()) == ([], ["accepted", "accepted"])
    clock.at += timedelta(hours=1)
    dispatcher.dispatch_due()
    assert (len(runs()), states()) == (2, ["dispatched", "dispatched"])


@contextmanager
def refused_marks(backend: str) -> Iterator[None]:
    """For a while no delivery can be marked as dispatched."""
    make, drop = {
        "sqlite": (
            "CREATE TRIGGER refused BEFORE UPDATE ON inbound_webhook_delivery "
            "WHEN NEW.state = 'dispatched' BEGIN SELECT RAISE(ABORT, 'refused'); END",
            "DROP TRIGGER refused",
        ),
        "postgresql": (
            "ALTER TABLE inbound_webhook_delivery ADD CONSTRAINT refused CHECK (state <> 'dispatched')",
            "ALTER TABLE inbound_webhook_delivery DROP CONSTRAINT refused",
        ),
    }[backend]
    execute(make)
    try:
        yield
    finally:
        execute(drop)


def execute(statement: str) -> None:
    from airflow import settings
    from sqlalchemy import text

    with settings.engine.begin() as connection:
        connection.execute(text(statement))


def test_a_run_that_is_rolled_back_leaves_neither_run_nor_claim(hook):
    from inbound_webhooks.airflow_bridge.dag_runs import DagRuns
    from inbound_webhooks.storage import claims
    from inbound_webhooks.storage.database import begin_writing, session_transaction

    due(hook)
    with pytest.raises(ZeroDivisionError), session_transaction() as session:  # noqa: PT012
        begin_writing(session.connection())
        (claimed,) = claims.claim_due(session.connection(), hook.id, AT, limit=1, limit_bytes=100)
        dag_runs = DagRuns()
        state = dag_runs.states(session, {"orders"})["orders"]
        dag_runs.create(session, replace(claimed, checked_dag_hash=state.dag_hash), state, AT)
        claims.mark(session.connection(), claimed.id, {"state": "dispatched"})
        session.flush()
        1 / 0  # noqa: B018
    assert (runs(), states()) == ([], ["accepted"])


# --- what can heal --------------------------------------------------------------------------

HEALING = {
    "the DAG is not there": (lambda: forget_dag("orders"), lambda: store_dag("orders")),
    "the DAG is stale": (
        lambda: change_dag("orders", is_stale=True),
        lambda: change_dag("orders", is_stale=False),
    ),
    "its file has import errors": (
        lambda: change_dag("orders", has_import_errors=True),
        lambda: change_dag("orders", has_import_errors=False),
    ),
    "it is not serialized": (lambda: unserialize_dag("orders"), lambda: store_dag("orders")),
}


@pytest.mark.parametrize("case", HEALING)
def test_what_can_heal_is_tried_again_later_and_then_dispatched(hook, clock, case):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    break_it, heal_it = HEALING[case]
    stored = due(hook)
    break_it()
    Dispatcher(Settings(), now=clock).dispatch_due()
    failed = delivery(stored)
    assert (failed.state, failed.attempts, runs()) == ("accepted", 1, [])
    assert failed.next_attempt_at == AT + timedelta(seconds=2)
    assert "orders" in failed.error
    heal_it()
    clock.at += timedelta(seconds=2)
    Dispatcher(Settings(), now=clock).dispatch_due()
    assert (delivery(stored).state, delivery(stored).error, len(runs())) == ("dispatched", None, 1)


def test_a_dispatcher_notices_by_itself_that_a_dag_has_come(dispatcher, database, clock):
    import time

    stored = due(store_webhook())
    dispatcher.dispatch_due()
    store_dag("orders")
    time.sleep(0.2)
    for _ in range(6):
        clock.at += timedelta(minutes=1)
        dispatcher.dispatch_due()
        time.sleep(0.1)
    assert delivery(stored).state == "dispatched"


def test_a_dag_that_changes_is_run_as_it_is_now(hook, clock):
    from airflow.sdk import Param

    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    dispatcher = Dispatcher(Settings(), now=clock)
    due(hook)
    dispatcher.dispatch_due()
    store_dag("orders", params={"number": Param(type="integer")})
    stored = due(hook)
    dispatcher.dispatch_due()
    assert delivery(stored).state == "undeliverable"


def test_after_the_last_attempt_a_delivery_is_undeliverable(dispatcher, hook, clock):
    from inbound_webhooks.event.retry import RETRY_DELAYS_SECONDS

    forget_dag("orders")
    stored = due(hook, attempts=len(RETRY_DELAYS_SECONDS) - 1)
    dispatcher.dispatch_due()
    assert delivery(stored).state == "accepted"
    clock.at += timedelta(days=1)
    dispatcher.dispatch_due()
    last = delivery(stored)
    assert (last.state, last.next_attempt_at, last.attempts) == (
        "undeliverable",
        None,
        len(RETRY_DELAYS_SECONDS) + 1,
    )
    assert dispatcher.dispatch_due() == 0


# --- what cannot heal -----------------------------------------------------------------------


def test_a_conf_that_breaks_the_params_is_undeliverable_at_once(dispatcher, database):
    from airflow.sdk import Param

    store_dag("orders", params={"number": Param(type="integer")})
    stored = due(store_webhook(), conf='{"number": "many"}')
    dispatcher.dispatch_due()
    failed = delivery(stored)
    assert (failed.state, failed.attempts, failed.next_attempt_at) == ("undeliverable", 1, None)
    assert failed.error == "The DAG refuses the run: parameter number: expected integer, not string"
    assert runs() == []


def test_a_dag_that_forbids_manual_runs_is_undeliverable_at_once(dispatcher, hook):
    change_dag("orders", allowed_run_types=["scheduled"])
    stored = due(hook)
    dispatcher.dispatch_due()
    assert (delivery(stored).state, runs()) == ("undeliverable", [])


def test_a_dag_that_allows_manual_runs_gets_one(dispatcher, hook):
    change_dag("orders", allowed_run_types=["manual"])
    stored = due(hook)
    dispatcher.dispatch_due()
    assert delivery(stored).state == "dispatched"


# --- the rest of a batch --------------------------------------------------------------------


@pytest.mark.parametrize("poison", ["params", "conf", "list", "no dag", "spoilt dag"])
def test_a_delivery_that_breaks_does_not_stop_the_rest_of_its_batch(dispatcher, database, poison):
    from airflow.sdk import Param

    store_dag("orders")
    store_dag("strict", params={"number": Param(type="integer")})
    spoil_dag(store_dag("spoilt"))
    hook = store_webhook()
    columns = {
        "params": {"dag_id": "strict", "conf": '{"number": "many"}'},
        "conf": {"conf": "no JSON"},
        "list": {"conf": "[1]"},
        "no dag": {"dag_id": "of tomorrow"},
        "spoilt dag": {"dag_id": "spoilt"},
    }[poison]
    before, broken, after = due(hook), due(hook, **columns), due(hook)
    dispatcher.dispatch_due()
    assert [delivery(stored).state for stored in (before, after)] == ["dispatched", "dispatched"]
    assert delivery(broken).state in ("accepted", "undeliverable")
    assert delivery(broken).attempts == 1
    assert len(runs()) == 2


def test_a_poison_delivery_is_tried_later_each_time(dispatcher, hook, clock):
    spoil_dag("orders")
    stored = due(hook)
    due_times = []
    for _ in range(3):
        dispatcher.dispatch_due()
        due_times.append(delivery(stored).next_attempt_at)
        clock.at = due_times[-1]
    assert due_times[0] > AT
    assert sorted(due_times) == due_times


def test_what_the_sender_sent_is_not_in_the_error_of_a_poison_delivery(dispatcher, hook, caplog):
    stored = due(hook, conf="no JSON but a canary")
    dispatcher.dispatch_due()
    assert "canary" not in (delivery(stored).error or "") + caplog.text


# --- webhooks that are switched off ---------------------------------------------------------


def test_a_disabled_webhook_holds_its_deliveries_and_enabling_releases_them(dispatcher, hook):
    from inbound_webhooks.webhooks import service

    due(hook)
    service.set_enabled(hook.id, False, actor=ACTOR)
    assert (dispatcher.dispatch_due(), states(), runs()) == (0, ["accepted"], [])
    service.set_enabled(hook.id, True, actor=ACTOR)
    assert (dispatcher.dispatch_due(), states()) == (1, ["dispatched"])


def test_a_disabled_webhook_does_not_hold_others_up(dispatcher, hook):
    from inbound_webhooks.webhooks import service

    store_deliveries(hook, 50, next_attempt_at=AT - timedelta(hours=1))
    service.set_enabled(hook.id, False, actor=ACTOR)
    stored = due(store_webhook("another"))
    dispatcher.dispatch_due()
    assert delivery(stored).state == "dispatched"


def test_a_deleted_webhook_cancels_what_had_not_started(dispatcher, hook):
    from inbound_webhooks.webhooks import service

    started = due(hook)
    dispatcher.dispatch_due()
    waiting = due(hook)
    assert service.delete(hook.id, actor=ACTOR) == 1
    assert dispatcher.dispatch_due() == 0
    assert (delivery(started).state, delivery(waiting).state) == ("dispatched", "cancelled")
    assert len(runs()) == 1


def test_a_rotated_webhook_keeps_what_it_accepted(dispatcher, hook):
    from inbound_webhooks.webhooks import service

    due(hook)
    service.rotate(hook.id, actor=ACTOR)
    assert (dispatcher.dispatch_due(), states()) == (1, ["dispatched"])


def test_what_is_logged_names_the_delivery_and_not_its_conf(dispatcher, hook, caplog):
    import logging

    caplog.set_level(logging.DEBUG, logger="inbound_webhooks")
    stored = due(hook, conf=json.dumps({"number": "a canary"}))
    dispatcher.dispatch_due()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("inbound_webhooks")]
    assert f"delivery={stored} dag=orders" in "".join(ours)
    assert "canary" not in "".join(ours)
