"""Responses that wait: the quality gate of docs/results.md, in which lakeFS gets the verdict of a run in the
response to its hook, and the end of the server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.acceptance.shell import Shell, commands
from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.pages import page

ANSWER_SECONDS = 70
STOP_SECONDS = 10
DAG_ID = "lakefs_quality_gate"

COMMIT = {
    "event_type": "pre-commit",
    "repository_id": "sales",
    "branch_id": "main",
    "commit_message": "Load the orders of Monday",
    "committer": "ada",
    "commit_metadata": {"ticket": "DATA-7"},
}
"""https://docs.lakefs.io/howto/hooks/webhooks/#request-body-schema"""


@pytest.fixture(scope="module")
def url(airflow: AirflowProcesses, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The webhook that the page makes."""
    airflow.wait_for_dag(DAG_ID)
    folder: Path = tmp_path_factory.mktemp("results")
    Shell(airflow, folder)(commands(page("docs/results.md"), "create lakefs-gate"))
    done = airflow.airflow("webhooks", "url", "lakefs-gate")
    return done.stdout.strip()


def hook(url: str, **fields: object) -> requests.Response:
    """What lakeFS sends before a commit."""
    return requests.post(url, json=COMMIT | fields, timeout=ANSWER_SECONDS)


def test_a_commit_that_passes_gets_2xx_before_its_run_has_ended(airflow, url):
    started = time.monotonic()
    response = hook(url)
    waited = time.monotonic() - started
    assert (response.status_code, response.json()) == (200, {"problems": []})
    (run,) = airflow.dag_runs(DAG_ID)
    assert run["state"] == "running", f"the response took {waited:.1f} s"
    airflow.wait_for_run(DAG_ID, run["dag_run_id"])


def test_a_commit_that_does_not_is_aborted_with_the_reason(airflow, url):
    response = hook(url, commit_metadata={})
    assert response.status_code == 422
    assert response.json() == {"problems": ["A commit to main needs a ticket in its metadata."]}


def test_the_delivery_shows_the_response_that_was_sent(airflow, url):
    response = hook(url, commit_message=" ", commit_metadata={})
    newest = _deliveries(airflow, "lakefs-gate")[0]
    shown = airflow.wait_for(
        lambda: _kept(airflow, newest["id"]), what="the response that is kept", seconds=10
    )
    assert (shown["status"], json.loads(shown["body"])) == (422, response.json())


@pytest.mark.long
@pytest.mark.parametrize("airflow", ["postgresql"], indirect=True)
def test_a_response_that_waits_is_sent_when_the_api_server_stops(airflow, wait_for_nothing):
    with ThreadPoolExecutor() as senders:
        waiting = senders.submit(hook, wait_for_nothing)
        accepted = airflow.wait_for(
            lambda: _deliveries(airflow, "wait-for-nothing"), what="the delivery", seconds=30
        )
        assert not waiting.done()
        started = time.monotonic()
        airflow.stop("api-server")
        stopped_after = time.monotonic() - started
        airflow.start("api-server")
        response = waiting.result()
    assert (response.status_code, response.json()["delivery_id"]) == (202, accepted[0]["id"])
    assert stopped_after < STOP_SECONDS
    assert requests.get(response.headers["Location"], timeout=ANSWER_SECONDS).status_code == 202


@pytest.fixture
def wait_for_nothing(airflow: AirflowProcesses) -> Iterator[str]:
    """A webhook whose responses wait as long as they may: the DAG does not exist yet."""
    options = ("--dag-id", "not_yet", "--wait", "60", "--result-task", "check")
    done = airflow.airflow("webhooks", "create", "wait-for-nothing", *options, "-o", "json")
    yield json.loads(done.stdout)["url"]
    airflow.airflow("webhooks", "delete", "wait-for-nothing", "--yes")


def _deliveries(airflow: AirflowProcesses, name: str) -> list[dict]:
    found: list[dict] = json.loads(airflow.airflow("webhooks", "deliveries", name, "-o", "json").stdout)
    return found


def _kept(airflow: AirflowProcesses, delivery_id: str) -> dict | None:
    shown = json.loads(airflow.airflow("webhooks", "delivery", delivery_id, "-o", "json").stdout)
    found: dict = shown["response"]
    return found if found["body"] else None
