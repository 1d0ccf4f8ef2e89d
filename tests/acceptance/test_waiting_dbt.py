"""The example of docs/waiting.md for dbt Cloud, with a real worker: one webhook for all runs of dbt."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.rest import send
from tests.acceptance.database import ask
from tests.acceptance.payloads import FOLDER
from tests.acceptance.shell import Shell, commands
from tests.acceptance.test_waiting import parked_state
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.job_server import JobServer
from tests.infrastructure.pages import page

DAG_ID = "dbt_cloud_refresh"
SECRET = "of dbt's webhook"
SECONDS = 90
STARTED, COMPLETED = "job.run.started__running.body", "job.run.completed__success.body"
TASK = f"dags/{DAG_ID}/dagRuns/refresh/taskInstances/dbt_done"


@pytest.fixture(scope="module")
def dbt() -> Iterator[JobServer]:
    """dbt Cloud's API: each job that is started becomes the run of the recorded payloads."""
    with JobServer({"data": {"id": 12345}}).running() as server:
        yield server


@pytest.fixture(scope="module")
def url(airflow: AirflowProcesses, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The webhook that the page makes."""
    airflow.wait_for_dag(DAG_ID)
    folder: Path = tmp_path_factory.mktemp("dbt")
    (folder / "dbt.secret").write_text(SECRET)
    Shell(airflow, folder)(commands(page("docs/waiting.md"), "create dbt"))
    return airflow.airflow("webhooks", "url", "dbt").stdout.strip()


def post(url: str, name: str) -> str:
    """Send a recorded event as dbt signs it; returns the delivery's id."""
    body = (FOLDER / "dbt_cloud" / name).read_bytes()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    response = send(url, data=body, headers={"Content-Type": "application/json", "Authorization": signature})
    assert response.status == 200
    return str(response.json()["delivery_id"])


def state_of(airflow: AirflowProcesses, delivery_id: str) -> str:
    return str(ask(airflow, f"SELECT state FROM inbound_webhook_delivery WHERE id = '{delivery_id}'")[0][0])


@pytest.mark.long
def test_a_task_waits_for_the_event_of_its_own_run_of_dbt(airflow, dbt, url):
    before = post(url, STARTED)
    conf = json.dumps({"jobs_url": dbt.url})
    done = airflow.airflow("dags", "trigger", DAG_ID, "--run-id", "refresh", "--conf", conf)
    assert done.returncode == 0, done.stdout + done.stderr
    airflow.wait_for(
        lambda: airflow.rest.get(TASK)["state"] == parked_state(airflow), what="the wait", seconds=SECONDS
    )
    completed = post(url, COMPLETED)
    airflow.wait_for_run(DAG_ID, "refresh")
    assert "dbt run 12345 of Daily Job (dbt build) ended with Success" in airflow.task_log(
        DAG_ID, "refresh", "report"
    )
    assert (state_of(airflow, before), state_of(airflow, completed)) == ("unmatched", "succeeded")
