"""A webhook's logical date, start and hold in a whole Airflow: `{{ ds }}` works, and the scheduler waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.infrastructure.airflow_processes import AirflowProcesses

pytestmark = pytest.mark.long

DAG = """
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("daily", schedule=None):
    BashOperator(task_id="show", bash_command="echo the day is {{ ds }}")
"""
DELAY_SECONDS = 20


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, template_of: Callable[[str], Any]
) -> Iterator[AirflowProcesses]:
    """An Airflow with one DAG, which needs a logical date."""
    home: Path = tmp_path_factory.mktemp("schedules")
    dags = home / "daily-dags"
    dags.mkdir()
    (dags / "daily.py").write_text(DAG)
    url = template_of("sqlite").for_airflow(home)
    made = AirflowProcesses(home, url, dags_folder=dags, warm_commands=True)
    try:
        made.start()
        made.wait_for_dag("daily")
        yield made
    finally:
        made.stop()


def created(site: AirflowProcesses, name: str, *options: str) -> str:
    """The URL of a new webhook for the DAG."""
    site.airflow("webhooks", "create", name, "--dag-id", "daily", *options)
    return site.airflow("webhooks", "url", name).stdout.strip()


def called(url: str, **body: Any) -> str:
    """The id of the run of an accepted request."""
    response = requests.post(url, json=body, timeout=30)
    assert response.status_code == 202, response.text
    return f"webhook__{response.json()['delivery_id']}"


def test_a_dag_that_uses_ds_runs_for_the_day_of_the_request(site):
    url = created(site, "by day", "--logical-date", "${Webhook::Body.day}")
    run_id = called(url, day="2026-02-28")
    run = site.wait_for_run("daily", run_id)
    assert run["logical_date"].startswith("2026-02-28T00:00:00")
    assert "the day is 2026-02-28" in site.task_log("daily", run_id, "show")


def test_the_scheduler_starts_a_run_no_earlier_than_the_request_says(site):
    url = created(site, "later", "--run-after", str(DELAY_SECONDS), "--logical-date", "received")
    sent = time.time()
    run = site.wait_for_run("daily", called(url))
    started = datetime.fromisoformat(run["start_date"].replace("Z", "+00:00")).astimezone(timezone.utc)
    assert started.timestamp() >= sent + DELAY_SECONDS


def test_what_came_during_a_hold_runs_after_it(site):
    url = created(site, "on hold", "--logical-date", "received")
    site.airflow("webhooks", "hold", "--all")
    run_id = called(url)
    time.sleep(3)
    assert site.dag_run("daily", run_id) is None
    site.airflow("webhooks", "release", "--all")
    site.wait_for_run("daily", run_id)
