"""The promise that a delivery answered 202 becomes exactly one run, while processes die and are replaced."""

from __future__ import annotations

import time

import pytest

from tests.acceptance.database import ask, locked_runs, states, wait_until_a_run_waits_to_be_written
from tests.acceptance.webhooks import deliver

pytestmark = pytest.mark.parametrize("airflow", ["postgresql"], indirect=True)

SWITCH = "AIRFLOW__INBOUND_WEBHOOKS__DISPATCHER_ENABLED"
STOP_SECONDS = 8.0


@pytest.fixture(scope="module")
def crashed(airflow, webhooks):
    """Deliveries whose runs were being written when kill -9 came, and how many runs there were before.

    The new api-server accepts, and leaves the rest to other dispatchers.
    """
    before = count_runs(airflow)
    with locked_runs(airflow):
        delivered = [deliver(webhooks["events"], b"{}") for _ in range(3)]
        wait_until_a_run_waits_to_be_written(airflow)
        airflow.kill("api-server")
    start_api_server(airflow, dispatcher_enabled=False)
    yield delivered, before
    if airflow.environment[SWITCH] == "False":
        airflow.kill("api-server")
        start_api_server(airflow, dispatcher_enabled=True)


def start_api_server(airflow, *, dispatcher_enabled: bool) -> None:
    airflow.environment[SWITCH] = str(dispatcher_enabled)
    airflow.start("api-server")


def count_runs(airflow) -> int:
    return int(ask(airflow, "SELECT count(*) FROM dag_run WHERE dag_id = 'event_log'")[0][0])


def wait_for_runs(airflow, delivery_ids: list[str]) -> None:
    for delivery_id in delivery_ids:
        airflow.wait_for_run("event_log", f"webhook__{delivery_id}")


# In `make test`, rounds of kills have dispatchers of their own, and a command's test asks one to stop.
@pytest.mark.long
def test_a_dispatcher_of_its_own_makes_one_run_of_each_delivery_and_stops_when_asked(airflow, crashed):
    delivered, runs_before = crashed
    assert states(airflow, delivered) == {"accepted"}
    airflow.launch("dispatcher", "webhooks", "dispatcher")
    wait_for_runs(airflow, delivered)
    assert states(airflow, delivered) <= {"dispatched", "succeeded"}
    assert count_runs(airflow) == runs_before + len(delivered)
    started = time.monotonic()
    airflow.stop("dispatcher")
    assert time.monotonic() - started < STOP_SECONDS
    assert "action=dispatcher_stopped" in airflow.log("dispatcher").read_text()


def test_an_api_server_that_starts_makes_the_runs_that_are_missing(airflow, webhooks, crashed):
    unwritten, runs_before = crashed
    delivered = [deliver(webhooks["events"], b"{}") for _ in range(2)]
    time.sleep(2)
    assert states(airflow, delivered) == {"accepted"}
    airflow.kill("api-server")
    start_api_server(airflow, dispatcher_enabled=True)
    wait_for_runs(airflow, unwritten + delivered)
    assert count_runs(airflow) == runs_before + len(unwritten) + len(delivered)
