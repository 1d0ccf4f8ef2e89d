"""Groups in a whole Airflow: 500 notifications or seven pushes in one run, and a build that is cancelled."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.infrastructure.airflow_processes import AirflowProcesses

pytestmark = pytest.mark.long

SECONDS = 60
COMMIT = "c" * 40


@pytest.fixture
def create(airflow: AirflowProcesses):
    """A function that makes a webhook for a DAG; returns its URL."""
    made = []

    def create(name: str, dag_id: str, *options: str) -> str:
        airflow.wait_for_dag(dag_id)
        done = airflow.airflow("webhooks", "create", name, "--dag-id", dag_id, *options, "-o", "json")
        assert done.returncode == 0, done.stderr
        made.append(name)
        return str(json.loads(done.stdout)["url"])

    yield create
    for name in made:
        airflow.airflow("webhooks", "delete", name, "--yes")


def post(url: str, body: Any) -> str:
    response = requests.post(url, json=body, timeout=SECONDS)
    assert response.status_code == 202, response.text
    return str(response.json()["delivery_id"])


def shown(airflow: AirflowProcesses, delivery_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        airflow.airflow("webhooks", "delivery", delivery_id, "-o", "json").stdout
    )
    return found


def in_state(airflow: AirflowProcesses, delivery_id: str, state: str) -> dict[str, Any]:
    """A delivery, once it is in a state."""
    return dict(
        airflow.wait_for(
            lambda: (found := shown(airflow, delivery_id))["state"] == state and found,
            what=f"the state {state}",
            seconds=SECONDS,
        )
    )


def test_500_notifications_are_one_run(airflow, create):
    url = create(
        *("s3-notifications", "new_objects", "--batch-size", "500", "--batch-seconds", "120"),
        *("--batch-by", "${Webhook::Body.bucket}"),
        *("--map", "bucket=${Webhook::Body.bucket}", "--map", "key=${Webhook::Body.key}"),
    )
    with ThreadPoolExecutor(8) as senders:
        bodies = [{"bucket": "raw", "key": f"{number}.csv"} for number in range(500)]
        ids = list(senders.map(lambda body: post(url, body), bodies))
    last = in_state(airflow, ids[-1], "succeeded")
    assert last["batch"]["deliveries"] == 500
    assert sorted(last["batch"]["listed"]) == sorted(ids)
    run = airflow.dag_run("new_objects", last["run"]["run_id"])
    assert sorted(event["key"] for event in run["conf"]["events"]) == sorted(body["key"] for body in bodies)


def test_of_seven_pushes_the_last_one_runs(airflow, create):
    url = create(
        *("pushes-to-a-branch", "github_push_build", "--latest-by", "${Webhook::Body.ref}"),
        *("--quiet-seconds", "3", "--at-most-seconds", "60", "--map", "ref=${Webhook::Body.ref}"),
        *("--map", "commit=${Webhook::Body.after}", "--map", "repository=shop/all"),
    )
    ids = []
    for number in range(7):
        ids.append(post(url, {"ref": "refs/heads/main", "after": f"{number}" * 40}))
        time.sleep(0.2)
    last = in_state(airflow, ids[-1], "succeeded")
    assert last["conf"]["commit"] == "6" * 40
    others = [shown(airflow, each) for each in ids[:-1]]
    assert [each["state"] for each in others] == ["superseded"] * 6
    assert {each["superseded_by"] for each in others} == {ids[-1]}


def test_a_closed_pull_request_stops_its_build(airflow, create):
    url = create(
        *("builds", "pull_request_build", "--one-at-a-time", "${Webhook::Body.number}"),
        *("--when-busy", "cancel-running", "--cancel-on", 'body.action == "closed"'),
        *("--map", "number=${Webhook::Body.number}", "--map", "repository=shop/all"),
        *("--map", f"commit={COMMIT}", "--map", "seconds=${Webhook::Body.seconds}"),
    )
    opened = post(url, {"action": "opened", "number": 7, "seconds": 300})
    run_id = f"webhook__{opened}"
    airflow.wait_for(
        lambda: _task_state(airflow, run_id) == "running", what="the running build", seconds=SECONDS
    )
    closed = post(url, {"action": "closed", "number": 7, "seconds": 0})
    assert in_state(airflow, closed, "skipped")["error"].startswith("It started nothing. It cancelled 1 run")
    assert in_state(airflow, opened, "cancelled")["cancelled_by"] == closed
    assert (airflow.dag_run("pull_request_build", run_id)["state"], _task_state(airflow, run_id)) == (
        "failed",
        "failed",
    )


def _task_state(airflow: AirflowProcesses, run_id: str) -> str | None:
    found = airflow.rest.get(f"dags/pull_request_build/dagRuns/{run_id}/taskInstances/build")
    return found and found["state"]
