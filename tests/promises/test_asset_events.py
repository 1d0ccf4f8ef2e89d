"""Each delivery to an asset becomes exactly one event, whichever dispatcher dies when."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import (
    change_delivery,
    now,
    rows,
    states,
    store_deliveries,
    store_webhook,
)

ASSETS = ("s3://shop/orders", "s3://shop/returns")
SECONDS = 20

KILLED = """
import os, signal
from airflow.assets.manager import AssetManager
from inbound_webhooks.dispatch.dispatcher import Dispatcher
from inbound_webhooks.settings import Settings

queue = AssetManager._queue_dagruns
made = []

def queue_and_die(**options):
    queue(**options)
    made.append(options)
    if len(made) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

AssetManager._queue_dagruns = staticmethod(queue_and_die)
Dispatcher(Settings()).dispatch_due()
"""
"""A dispatcher that dies in the middle of its batch, before its commit."""


@pytest.fixture
def due(database):
    """The ids of deliveries of two webhooks of each of two assets."""
    from airflow.sdk import Asset

    store_dag("packing", schedule=[Asset(ASSETS[0])])
    store_dag("books", schedule=[Asset(ASSETS[0]) | Asset(ASSETS[1])][0])
    found = []
    for number, asset in enumerate(ASSETS * 2):
        hook = store_webhook(f"webhook {number}", dag_id="", asset=asset)
        found += store_deliveries(hook, 15, dag_id="", asset=asset)
    return sorted(found)


def dispatcher(**options):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    return Dispatcher(Settings(dispatcher_poll_seconds=0.05, **options))


def recorded() -> list[str]:
    """The deliveries of all events."""
    from airflow import settings
    from airflow.models.asset import AssetEvent
    from sqlalchemy import select

    with settings.engine.connect() as connection:
        return sorted(extra["delivery_id"] for extra in connection.scalars(select(AssetEvent.extra)))


def until_done(*dispatchers) -> None:
    threads = [threading.Thread(target=each.run) for each in dispatchers]
    for thread in threads:
        thread.start()
    try:
        give_up_at = time.monotonic() + SECONDS
        while "accepted" in states():
            assert time.monotonic() < give_up_at, "they did not end"
            time.sleep(0.05)
    finally:
        for each in dispatchers:
            each.stop()
        for thread in threads:
            thread.join(SECONDS)


def test_many_dispatchers_create_one_event_for_each_delivery(due, database):
    until_done(*[dispatcher(dispatcher_batch_size=7) for _ in range(4 if database == "postgresql" else 2)])
    assert recorded() == due
    assert states() == ["succeeded"] * len(due)
    events = [row.asset_event_id for row in rows("delivery")]
    assert len(set(events)) == len(due)


def test_what_a_killed_dispatcher_had_begun_is_done_once_by_another(due):
    died = subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.DEVNULL, timeout=60)
    assert died.returncode == -9
    assert (recorded(), set(states())) == ([], {"accepted"})
    until_done(dispatcher())
    assert recorded() == due


def test_an_event_of_a_delivery_that_is_tried_again_is_its_only_one(due):
    """Its asset appears between the attempts."""
    change_delivery(due[0], asset="s3://shop/late")
    until = dispatcher()
    while until.dispatch_due():
        pass
    assert recorded() == due[1:]
    change_delivery(due[0], asset=ASSETS[0], next_attempt_at=now())
    until.dispatch_due()
    assert recorded() == due
