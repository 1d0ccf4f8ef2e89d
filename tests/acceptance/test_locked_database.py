"""Senders while the database is locked: their responses ask for a retry, and Airflow's own requests go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests

from tests.acceptance.database import count_accepted, is_sqlite, locked_deliveries
from tests.acceptance.webhooks import create, deliver, post

# SQLite is long: Airflow's own scheduler, which ends when it meets the lock, is stopped and started again.
pytestmark = pytest.mark.parametrize(
    "airflow", ["postgresql", pytest.param("sqlite", marks=pytest.mark.long)], indirect=True
)

SENDERS = 40
LOCKED_SECONDS = 7.0
HEALTH_SECONDS = 5.0


@pytest.fixture(scope="module")
def storm(airflow):
    """A webhook whose deliveries start nothing that would keep the scheduler busy afterwards."""
    return create(airflow, "storm", "--dag-id", "a_dag_of_tomorrow")


@pytest.fixture(scope="module")
def stormy(airflow, storm):
    """What the senders were answered, how long each look at Airflow's health took, what was stored."""
    before = count_accepted(airflow)
    with ThreadPoolExecutor(SENDERS) as senders:
        with without_what_a_lock_ends(airflow), locked_deliveries(airflow):
            waiting = [senders.submit(post, storm, b"{}") for _ in range(SENDERS)]
            looks = watch_health(airflow, LOCKED_SECONDS)
        responses = [sent.result() for sent in waiting]
    return responses, looks, count_accepted(airflow) - before


@contextmanager
def without_what_a_lock_ends(airflow) -> Iterator[None]:
    """On SQLite: Airflow's scheduler ends by itself when what it writes meets a lock for five seconds."""
    fragile = ("scheduler", "dag-processor") if is_sqlite(airflow) else ()
    if fragile:
        airflow.stop(*fragile)
    try:
        yield
    finally:
        if fragile:
            airflow.start(*fragile)


def watch_health(airflow, seconds: float) -> list[tuple[int, float]]:
    """Status and duration of each look."""
    looks, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.monotonic()
        response = requests.get(f"{airflow.url}/api/v2/monitor/health", timeout=60)
        looks.append((response.status_code, time.monotonic() - started))
        time.sleep(0.5)
    return looks


def test_airflow_itself_keeps_answering(stormy):
    _, looks, _ = stormy
    assert {status for status, _ in looks} == {200}
    assert max(seconds for _, seconds in looks) < HEALTH_SECONDS


def test_a_sender_is_asked_to_come_again(stormy):
    responses, _, _ = stormy
    refused = [response for response in responses if response.status_code != 202]
    assert refused
    assert {response.status_code for response in refused} == {503}
    assert all(int(response.headers["Retry-After"]) > 0 for response in refused)


def test_what_is_stored_is_what_was_answered_202(stormy):
    responses, _, stored = stormy
    assert stored == sum(response.status_code == 202 for response in responses)


def test_after_the_lock_a_request_becomes_a_run_without_a_restart(airflow, webhooks, stormy):
    delivery_id = deliver(webhooks["events"], b"{}")
    airflow.wait_for_run("event_log", f"webhook__{delivery_id}")
