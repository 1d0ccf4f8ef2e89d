"""Tasks that wait in all ways in which Airflow runs tasks, with real workers and a custom XCom backend."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.rest import send
from tests.acceptance.database import ask
from tests.acceptance.xcom_files import FOLDER, XComFiles
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.environment import CHECKOUT
from tests.infrastructure.job_server import JobServer

pytestmark = pytest.mark.long

JOB_SECONDS = 120
JSON = {"Content-Type": "application/json"}


class Jobs:
    """The jobs that waiting tasks have started, and the answers to them."""

    def __init__(self, airflow: AirflowProcesses, server: JobServer) -> None:
        self.airflow = airflow
        self._server = server

    def trigger(self, dag_id: str) -> str:
        """Start a run; returns its id."""
        self.airflow.wait_for_dag(dag_id)
        done = self.airflow.airflow("dags", "trigger", dag_id, "--run-id", dag_id)
        assert done.returncode == 0, done.stdout + done.stderr
        return dag_id

    def of_run(self, run_id: str, *, count: int = 1) -> dict[str, str]:
        """Name of the last jobs of a run -> callback, once there are so many jobs."""
        jobs = self.airflow.wait_for(
            lambda: found if len(found := self._started(run_id)) >= count else None,
            what=f"{count} jobs of {run_id}",
            seconds=JOB_SECONDS,
        )
        return {job["name"]: job["callback"] for job in jobs}

    def _started(self, run_id: str) -> list[dict[str, Any]]:
        return [job for job in self._server.jobs if job["run_id"] == run_id]


def answer(callback_url: str, what: str) -> int:
    """Call back; returns the status of the response."""
    return int(send(callback_url, data=json.dumps({"answer": what}).encode(), headers=JSON).status)


@pytest.fixture(scope="module")
def server() -> Iterator[JobServer]:
    with JobServer().running() as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def jobs(
    request: pytest.FixtureRequest,
    start_airflow: Callable[..., AirflowProcesses],
    server: JobServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Jobs]:
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    env = {
        "AIRFLOW__CORE__XCOM_BACKEND": f"{XComFiles.__module__}.{XComFiles.__qualname__}",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "JOBS_URL": server.url,
        "PYTHONPATH": path,
        FOLDER: str(tmp_path_factory.mktemp("xcoms")),
    }
    folder = Path(__file__).parent / "waiting_dags"
    airflow = start_airflow(request.param, dags_folder=folder, env=env, warm_commands=True)
    server.jobs.clear()
    yield Jobs(airflow, server)
    airflow.stop()


def test_a_retry_waits_for_a_call_of_its_own_url(jobs):
    run_id = jobs.trigger("wait_retried")
    first = jobs.of_run(run_id)["again"]
    assert answer(first, "no") == 202
    second = jobs.of_run(run_id, count=2)["again"]
    assert (answer(first, "yes"), answer(second, "yes")) == (404, 202)
    jobs.airflow.wait_for_run("wait_retried", run_id)
    states = "SELECT try_number, state FROM inbound_webhook_wait WHERE run_id = 'wait_retried' ORDER BY 1"
    assert ask(jobs.airflow, states) == [(1, "resumed"), (2, "resumed")]


def test_each_task_of_a_mapped_one_in_a_group_gets_its_own_answer(jobs):
    run_id = jobs.trigger("wait_mapped")
    callbacks = jobs.of_run(run_id, count=3)
    assert [answer(callbacks[name], name.upper()) for name in "cab"] == [202] * 3
    jobs.airflow.wait_for_run("wait_mapped", run_id)
    assert "answers: A,B,C" in jobs.airflow.task_log("wait_mapped", run_id, "survey.report")
    instances = "dagRuns/wait_mapped/taskInstances/survey.ask"
    kept = jobs.airflow.rest.get(f"dags/wait_mapped/{instances}/xcomEntries/return_value?map_index=1")
    # The result is the backend's business; of the wait, the backend knows nothing.
    assert kept["value"].startswith("file:")


def test_a_soft_failure_skips_the_task(jobs):
    run_id = jobs.trigger("wait_softly")
    assert answer(jobs.of_run(run_id)["softly"], "no") == 202
    jobs.airflow.wait_for_run("wait_softly", run_id)
    task = jobs.airflow.rest.get("dags/wait_softly/dagRuns/wait_softly/taskInstances/ask_softly")
    assert task["state"] == "skipped"


def test_the_runs_of_a_backfill_wait_each_for_its_own_call(jobs):
    jobs.airflow.wait_for_dag("wait_daily")
    days = ("--from-date", "2026-02-01", "--to-date", "2026-02-02")
    done = jobs.airflow.airflow("backfill", "create", "--dag-id", "wait_daily", *days)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = jobs.airflow.wait_for(
        lambda: found if len(found := _backfilled(jobs.airflow)) == 2 else None,
        what="the runs of the backfill",
        seconds=JOB_SECONDS,
    )
    for run_id in runs:
        assert answer(jobs.of_run(run_id)["daily"], "done") == 202
    for run_id in runs:
        jobs.airflow.wait_for_run("wait_daily", run_id)


def _backfilled(airflow: AirflowProcesses) -> list[str]:
    runs = airflow.dag_runs("wait_daily")
    return [run["dag_run_id"] for run in runs if run["run_type"] == "backfill"]
