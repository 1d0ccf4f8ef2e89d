"""Tasks that wait for a call, with real workers: parked without a slot, resumed by a POST."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dev.rest import send
from tests.acceptance.database import ask
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.job_server import JobServer

DAG_ID = "train_with_callback"
SECONDS = 60
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def job_server() -> Iterator[JobServer]:
    with JobServer().running() as server:
        yield server


class Training:
    """A run of the example DAG, whose first task has called the job server."""

    def __init__(self, airflow: AirflowProcesses, job_server: JobServer, name: str) -> None:
        self.airflow = airflow
        self.run_id = f"training_{name}"
        airflow.wait_for_dag(DAG_ID)
        conf = json.dumps({"jobs_url": job_server.url, "model": name})
        done = airflow.airflow("dags", "trigger", DAG_ID, "--run-id", self.run_id, "--conf", conf)
        assert done.returncode == 0, done.stdout + done.stderr
        job = airflow.wait_for(
            lambda: next((job for job in job_server.jobs if job["model"] == name), None),
            what="the job",
            seconds=SECONDS,
        )
        self.callback_url = job["callback"]

    def wait_until(self, state: str, task_id: str = "start_training") -> None:
        self.airflow.wait_for(lambda: self.task(task_id)["state"] == state, what=state, seconds=SECONDS)

    def wait_until_listed(self) -> None:
        """Until a dispatcher has noticed the wait."""
        stored = f"SELECT id FROM inbound_webhook_wait WHERE run_id = '{self.run_id}'"
        self.airflow.wait_for(lambda: ask(self.airflow, stored), what="the wait", seconds=SECONDS)

    def task(self, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.airflow.rest.get(self._path(task_id))
        return found

    def result(self) -> Any:
        return self.airflow.rest.get(self._path("start_training") + "/xcomEntries/return_value")["value"]

    def log(self, task_id: str = "start_training") -> str:
        """All that the log says, errors with their messages included."""
        return json.dumps(self.airflow.rest.get(f"{self._path(task_id)}/logs/1?full_content=true"))

    def call(self, **payload: Any) -> Any:
        response = send(self.callback_url, data=json.dumps(payload).encode(), headers=JSON)
        return response.status, response.json()

    def _path(self, task_id: str) -> str:
        return f"dags/{DAG_ID}/dagRuns/{self.run_id}/taskInstances/{task_id}"


def parked_state(airflow: AirflowProcesses) -> str:
    from airflow import __version__

    return "awaiting_input" if tuple(map(int, __version__.split(".")[:2])) >= (3, 3) else "deferred"


def test_a_task_waits_without_a_worker_and_is_resumed_by_a_post(airflow, job_server):
    training = Training(airflow, job_server, "small")
    training.wait_until(parked_state(airflow))
    status, body = training.call(model="small", status="done", accuracy=0.9)
    assert (status, body["status"]) == (202, "accepted")
    airflow.wait_for_run(DAG_ID, training.run_id)
    assert "trained small with accuracy 0.9" in training.log("report")
    assert training.call(status="failed") == (
        202,
        {"status": "duplicate", "delivery_id": body["delivery_id"]},
    )
    stored = f"SELECT state FROM inbound_webhook_delivery WHERE id = '{body['delivery_id']}'"
    assert ask(airflow, stored) == [("succeeded",)]
    assert training.callback_url.rpartition("/")[2] not in training.log()


@pytest.mark.long
def test_a_call_fails_the_task_with_the_payloads_message(airflow, job_server):
    training = Training(airflow, job_server, "broken")
    assert training.call(status="failed", message="out of memory")[0] == 202
    airflow.wait_for_run(DAG_ID, training.run_id, state="failed")
    assert "out of memory" in training.log()
