"""What docs/dags.md says of templates, rendered by Airflow's own task runner in a run of the dispatcher."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.infrastructure.pages import code, page, section, tables
from tests.integration.dispatch.conftest import AT

PAGE = page("docs/dags.md")
UNDEFINED, DEFINED = tables(section(PAGE, "No logical date"))
(OF_SCHEDULED,) = tables(section(PAGE, "A DAG that is scheduled as well"))

REPLACED = [code(row[0]) for row in UNDEFINED]
RENDERED = {code(row[-2]): code(row[-1]) for row in (*UNDEFINED, *OF_SCHEDULED)}
RENDERED |= {code(row[0]): code(row[-1]) for row in DEFINED}

DELIVERY_ID = "01a20a3bf7c07d82b4f3ec594b611fc7"
CREATED_AT = AT.replace(year=2026, month=11, day=24, hour=8, minute=30)
CONF = {"number": 7, "customer": {"name": "Ann"}, "received_at": "2026-11-24T08:29:59+00:00"}


def run_of_a_delivery(clock) -> Any:
    """The task instance of a run that the dispatcher has created."""
    from airflow import settings
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.state import TaskInstanceState
    from sqlalchemy import select

    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings
    from tests.infrastructure.webhooks_builder import store_delivery, store_webhook

    clock.at = CREATED_AT
    store_delivery(store_webhook(), id=DELIVERY_ID, next_attempt_at=CREATED_AT, conf=json.dumps(CONF))
    assert Dispatcher(Settings(), now=clock).dispatch_due() == 1
    with settings.NonScopedSession() as session, session.begin():
        instance = session.scalar(select(TaskInstance))
        # What Airflow's scheduler does before a worker takes it.
        instance.state = TaskInstanceState.QUEUED
        names = ("id", "task_id", "dag_id", "run_id", "try_number", "map_index", "dag_version_id")
        return {name: getattr(instance, name) for name in names}


def rendered(facts: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """What each template becomes inside the task; the name of its error where it fails."""
    from airflow.sdk import DAG, BaseOperator
    from airflow.sdk.api.datamodels._generated import TaskInstance
    from airflow.sdk.execution_time.supervisor import run_task_in_process

    found: dict[str, Any] = {}

    class Renders(BaseOperator):
        def execute(self, context: Any) -> None:
            for template in (*REPLACED, *RENDERED):
                try:
                    found[template] = str(self.render_template(template, context))
                except Exception as error:  # noqa: BLE001 - its name is the result
                    found[template] = type(error).__name__
            found["keys"] = set(context)
            found["dag run"] = (context["dag_run"].logical_date, context["dag_run"].data_interval_start)

    with DAG("orders", schedule=None, params=params):
        task = Renders(task_id="work")
    run_task_in_process(ti=TaskInstance(**facts), task=task)
    return found


@pytest.fixture
def templates(sqlite_database, clock) -> dict[str, Any]:
    from airflow.sdk import Param

    from tests.infrastructure.dags_builder import store_dag

    params = {
        "number": Param(type="integer"),
        "customer": Param({}, type="object"),
        "received_at": Param(None, type=["null", "string"]),
    }
    store_dag("orders", params=params)
    return rendered(run_of_a_delivery(clock), params)


def test_the_page_is_right_about_every_template(templates):
    assert {template: templates[template] for template in REPLACED} == dict.fromkeys(
        REPLACED, "UndefinedError"
    )
    assert {template: templates[template] for template in RENDERED} == RENDERED


def test_the_page_is_right_about_python(templates):
    assert "logical_date" not in templates["keys"]
    assert templates["dag run"] == (None, None)
