"""One request starts every DAG of an asset, from the sender's request to the logs of the tasks."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.webhooks import create, deliver

pytestmark = pytest.mark.long

DAGS = ["book_orders", "count_orders", "pack_orders"]
SECONDS = 90


def runs_of(airflow, delivery_id: str) -> list[dict]:
    """The runs that took a delivery's event, as the command shows them."""
    done = airflow.airflow("webhooks", "delivery", delivery_id, "-o", "json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    return (shown["asset_event"] or {"runs": []})["runs"]


def ended(airflow, delivery_id: str) -> list[dict]:
    found = runs_of(airflow, delivery_id)
    return found if [run["state"] for run in found] == ["success"] * len(DAGS) else []


def test_an_order_runs_every_dag_that_is_scheduled_on_the_asset(airflow):
    for dag_id in DAGS:
        airflow.wait_for_dag(dag_id)
    hook = create(
        airflow, "orders of an asset", "--asset", "shop_orders", "--map", "order=${Webhook::Body.id}"
    )
    delivery_id = deliver(hook, b'{"id": 4711}')
    runs = airflow.wait_for(lambda: ended(airflow, delivery_id), what="three runs", seconds=SECONDS)
    assert [run["dag_id"] for run in runs] == DAGS
    logs = [airflow.task_log(run["dag_id"], run["run_id"], "work") for run in runs]
    assert ["orders: [4711]" in log for log in logs] == [True] * len(DAGS)
