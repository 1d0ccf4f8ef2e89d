"""Several dispatchers at once, one that is killed, one that loses its database, one that meets a lock."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import (
    ACTOR,
    change_run,
    delivery,
    now,
    rows,
    runs,
    states,
    store_deliveries,
    store_delivery,
    store_webhook,
)

SECONDS = 15


def dispatcher(**options):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    return Dispatcher(Settings(**options))


@contextmanager
def running(*dispatchers) -> Iterator[None]:
    """These dispatchers, each in a thread of its own."""
    threads = [threading.Thread(target=each.run) for each in dispatchers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for each in dispatchers:
            each.stop()
        for thread in threads:
            thread.join(SECONDS)
            assert not thread.is_alive()


def wait_until(happened: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.02)


def done() -> bool:
    return set(states()) <= {"dispatched", "undeliverable"}


@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.long), 4])
def test_many_dispatchers_make_one_run_for_each_delivery(postgres_database, count):
    store_dag("orders")
    hooks = [store_webhook(f"webhook {number}") for number in range(3)]
    ids = [stored for hook in hooks for stored in store_deliveries(hook, 70)]
    with running(*[dispatcher(dispatcher_batch_size=7) for _ in range(count)]):
        wait_until(done)
    assert sorted(run.run_id for run in runs()) == sorted(f"webhook__{stored}" for stored in ids)
    assert states() == ["dispatched"] * len(ids)


@pytest.mark.parametrize(("limit", "taken"), [(None, 2), (2, 0)], ids=["no limit", "limit of active runs"])
def test_a_second_dispatcher_goes_on_where_a_first_one_is_at_work_unless_runs_are_limited(
    postgres_cluster, postgres_database, limit, taken
):
    """The first one has made a run and waits in the middle of its batch, before its commit."""
    store_dag("orders")
    ids = sorted(store_deliveries(store_webhook(max_active_runs=limit), 4, next_attempt_at=now()))
    first = threading.Thread(target=dispatcher(dispatcher_batch_size=2).dispatch_due)
    with uncommitted_run(f"webhook__{ids[1]}"):
        first.start()
        postgres_cluster.wait_until_blocked()
        assert dispatcher(dispatcher_batch_size=2).dispatch_due() == taken
    first.join(SECONDS)
    assert len(runs()) == 2 + taken
    assert [delivery(stored).state for stored in ids[:2]] == ["dispatched"] * 2


@pytest.mark.parametrize("limit", [1, 3])
def test_a_limit_of_active_runs_holds_with_many_dispatchers_at_once(postgres_database, limit):
    store_dag("orders")
    hook = store_webhook(max_active_runs=limit)
    store_deliveries(hook, 30)
    store_deliveries(store_webhook("another"), 30)
    seen = []

    def ended_at_the_limit() -> bool:
        """Their runs end only once there are as many as may be, however slow the dispatchers are."""
        seen.append(active_runs(hook))
        if seen[-1] >= limit:
            end_runs(hook)
        return states().count("accepted") == 0

    with running(*[dispatcher(dispatcher_poll_seconds=0.05) for _ in range(3)]):
        wait_until(ended_at_the_limit)
    assert max(seen) == limit


def test_the_end_of_a_run_makes_room_for_the_next_at_once(database):
    """The outcome is noticed by another thread than the dispatcher's, which looks by itself once a minute."""
    from inbound_webhooks.dispatch.service import DispatchService
    from inbound_webhooks.settings import Settings

    store_dag("orders")
    first, second = sorted(store_deliveries(store_webhook(max_active_runs=1), 2, next_attempt_at=now()))
    with running(DispatchService(Settings(dispatcher_poll_seconds=60, outcome_poll_seconds=0.1))):
        wait_until(lambda: delivery(first).state == "dispatched")
        change_run(f"webhook__{first}", state="success", end_date=now())
        wait_until(lambda: delivery(second).state == "dispatched")


def active_runs(hook) -> int:
    return [row.state for row in rows("delivery") if row.webhook_id == hook.id].count("dispatched")


def end_runs(hook) -> None:
    """Let all active runs of a webhook end."""
    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.database import transaction

    table = tables.delivery
    active = (table.c.webhook_id == hook.id) & (table.c.state == "dispatched")
    with transaction() as connection:
        connection.execute(table.update().where(active).values(state="succeeded"))


def test_two_dispatchers_on_sqlite_make_one_run_for_each_delivery(sqlite_database, caplog):
    """And none of them is cut off by the other one's lock."""
    store_dag("orders")
    ids = store_deliveries(store_webhook(), 30)
    with running(dispatcher(dispatcher_batch_size=4), dispatcher(dispatcher_batch_size=4)):
        wait_until(done)
    assert sorted(run.run_id for run in runs()) == sorted(f"webhook__{stored}" for stored in ids)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_deliveries_that_arrive_while_it_runs_are_dispatched_too(database):
    store_dag("orders")
    hook = store_webhook()
    with running(dispatcher(dispatcher_poll_seconds=0.05)):
        for _ in range(5):
            store_delivery(hook)
            time.sleep(0.03)
        wait_until(done)
    assert len(runs()) == 5


def test_a_wake_up_is_followed_at_once(database):
    store_dag("orders")
    hook = store_webhook()
    slow = dispatcher(dispatcher_poll_seconds=60)
    with running(slow):
        time.sleep(0.2)
        store_delivery(hook)
        slow.wake()
        wait_until(lambda: states() == ["dispatched"])


def test_an_accepted_request_wakes_the_dispatcher_of_its_process(database):
    """As the api-server runs them: started and ended by the application's lifespan."""
    import asyncio

    from inbound_webhooks.receiver.instance import forget_receiver
    from inbound_webhooks.rest import app
    from tests.infrastructure.asgi_endpoint import AsgiEndpoint

    store_dag("orders")
    hook = store_webhook(mapping={})
    os.environ["AIRFLOW__INBOUND_WEBHOOKS__DISPATCHER_POLL_SECONDS"] = "60"
    forget_receiver()

    async def serve() -> None:
        async with app.lifespan(app.app):
            await asyncio.sleep(0.2)
            reply = await AsgiEndpoint().send("POST", hook.path, chunks=[b"{}"])
            assert reply.status == 202
            await asyncio.to_thread(wait_until, lambda: states() == ["dispatched"])

    try:
        asyncio.run(serve())
    finally:
        del os.environ["AIRFLOW__INBOUND_WEBHOOKS__DISPATCHER_POLL_SECONDS"]
        forget_receiver()
    assert [thread.name for thread in threading.enumerate() if "inbound" in thread.name] == []


def test_what_other_processes_accepted_is_found_by_polling(database):
    store_dag("orders")
    hook = store_webhook()
    with running(dispatcher(dispatcher_poll_seconds=0.05)):
        time.sleep(0.1)
        store_delivery(hook)
        wait_until(lambda: states() == ["dispatched"])


def test_a_dispatcher_stops_on_request_while_it_waits(database):
    started = time.monotonic()
    with running(dispatcher(dispatcher_poll_seconds=60)):
        time.sleep(0.1)
    assert time.monotonic() - started < 2


def test_a_dispatcher_outlives_a_database_that_goes_and_comes_back(postgres_cluster, postgres_database):
    store_dag("orders")
    hook = store_webhook()
    with running(dispatcher(dispatcher_poll_seconds=0.05)):
        store_delivery(hook)
        wait_until(lambda: states() == ["dispatched"])
        postgres_cluster.stop()
        try:
            time.sleep(0.2)
        finally:
            postgres_cluster.start()
        store_delivery(hook)
        wait_until(lambda: states() == ["dispatched", "dispatched"])
    assert len(runs()) == 2


@pytest.mark.parametrize("waiting", [1, 50], ids=["one delivery", "more than a batch"])
def test_a_locked_webhook_does_not_stop_the_others(postgres_cluster, postgres_database, waiting, caplog):
    store_dag("orders")
    locked, free = store_webhook("locked"), store_webhook("free")
    store_deliveries(locked, waiting, next_attempt_at=now() - timedelta(hours=1))
    stored = store_delivery(free)
    holder = postgres_cluster.connect("airflow")
    holder.autocommit = False
    holder.cursor().execute("SELECT 1 FROM inbound_webhook WHERE id = %s FOR UPDATE", (locked.id,))
    one = dispatcher(dispatcher_batch_size=20)
    with caplog.at_level(logging.INFO, logger="inbound_webhooks"):
        for _ in range(3):
            one.dispatch_due()
    during = delivery(stored).state
    holder.rollback()  # a close alone lets the server give the lock back when it comes to it
    holder.close()
    assert during == "dispatched"
    assert "fail" not in caplog.text
    while one.dispatch_due():
        pass
    assert done()


def test_nothing_is_started_after_disable_returned(postgres_database):
    from inbound_webhooks.webhooks import service

    store_dag("orders")
    hook = store_webhook()
    store_deliveries(hook, 200)
    with running(*[dispatcher(dispatcher_batch_size=3) for _ in range(3)]):
        wait_until(lambda: len(runs()) > 10)
        service.set_enabled(hook.id, False, actor=ACTOR)
        at_return = len(runs())
        assert at_return < 200
        assert dispatcher().dispatch_due() == 0
        time.sleep(0.2)
        assert len(runs()) == at_return
        service.set_enabled(hook.id, True, actor=ACTOR)
        wait_until(done)
    assert len(runs()) == 200


KILLED = """
from inbound_webhooks.dispatch.dispatcher import Dispatcher
from inbound_webhooks.settings import Settings

Dispatcher(Settings()).dispatch_due()
"""


def test_what_a_killed_dispatcher_had_claimed_gets_its_run_from_another(postgres_cluster, postgres_database):
    """An uncommitted run with the id of the last delivery's stops it behind the runs of the others."""
    store_dag("orders")
    ids = sorted(store_deliveries(store_webhook(), 3, next_attempt_at=now()))
    with uncommitted_run(f"webhook__{ids[-1]}"):
        victim = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.DEVNULL)
        try:
            postgres_cluster.wait_until_blocked()
            assert dispatcher().dispatch_due() == 0, "the victim holds all of them"
        finally:
            victim.send_signal(signal.SIGKILL)
            victim.wait()
    assert (states(), runs()) == (["accepted"] * 3, [])
    other = dispatcher()
    wait_until(lambda: other.dispatch_due() == 0 and done())
    assert sorted(run.run_id for run in runs()) == [f"webhook__{stored}" for stored in ids]


@contextmanager
def uncommitted_run(run_id: str) -> Iterator[None]:
    """A run of this id that is never committed: another that makes it waits until this ends."""
    from airflow import settings
    from airflow.models.dagrun import DagRun

    values = {
        "dag_id": "orders",
        "run_id": run_id,
        "run_type": "manual",
        "run_after": now(),
        "state": "queued",
    }
    with settings.engine.connect() as connection:
        connection.execute(DagRun.__table__.insert().values(values))
        try:
            yield
        finally:
            connection.rollback()
