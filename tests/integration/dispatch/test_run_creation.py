"""A run that the dispatcher creates is the one that Airflow's trigger_dag would have created.

The dispatcher leaves out Airflow's check of params, and nothing else.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import Param
from sqlalchemy import MetaData

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import delivery, runs, store_delivery, store_webhook

CONF = {"number": 8, "unknown": [1, {"a": None}]}

OWN = {"id", "dag_run_id", "dagrun_id", "callback_id", "run_id", "task_instance_id", "ti_id"}
"""Columns that name the run itself."""

TIMES = ("_at", "_date", "run_after", "queued_dttm", "scheduled_dttm", "deadline_time", "context_carrier")


@pytest.fixture
def made(database):
    """The rows that two runs of a DAG with params and a deadline left: ours, and Airflow's."""
    store_dag("orders", params={"number": Param(7, type="integer")}, **_with_deadline())
    hook = store_webhook("hook")
    stored = store_delivery(hook, conf=json.dumps(CONF))
    _dispatch()
    _trigger(delivery(stored))
    ours, airflows = sorted((run.run_id for run in runs()), key=lambda run_id: run_id == "by_airflow")
    return rows_of(ours), rows_of(airflows)


def test_both_leave_the_same_rows_in_every_table_but_for_ids_and_times(made):
    ours, airflows = made
    # Our note says which delivery it was.
    assert ours.pop("dag_run_note")[0]["content"].startswith("Webhook hook, delivery ")
    assert airflows.pop("dag_run_note", []) == []
    assert ours == airflows
    assert {"dag_run", "task_instance", "deadline"} <= set(ours)


def test_the_conf_is_the_deliverys_and_the_version_the_latest(made):
    ours, _ = made
    assert _decoded(ours["dag_run"][0]["conf"]) == CONF
    assert ours["dag_run"][0]["created_dag_version_id"] is not None


def _with_deadline() -> dict[str, Any]:
    from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference

    alert = DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=1),
        callback=AsyncCallback("asyncio.sleep"),
    )
    return {"deadline": alert}


def _dispatch() -> None:
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    Dispatcher(Settings()).dispatch_due()


def _trigger(stored: Any) -> None:
    from airflow import settings
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.utils.types import DagRunTriggeredByType

    with settings.NonScopedSession() as session, session.begin():
        trigger_dag(
            "orders",
            run_id="by_airflow",
            conf=CONF,
            triggered_by=DagRunTriggeredByType.REST_API,
            triggering_user_name=f"webhook {stored.webhook_name}",
            session=session,
        )


def rows_of(run_id: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of Airflow's that belongs to a run, without its ids and times."""
    from airflow import settings

    metadata = MetaData()
    metadata.reflect(settings.engine)
    with settings.engine.connect() as connection:
        (key,) = [run.id for run in runs() if run.run_id == run_id]
        found = {}
        for table in metadata.sorted_tables:
            if table.name.startswith("inbound_webhook"):
                continue
            owners = {"dag_run_id": key, "dagrun_id": key, "run_id": run_id}
            columns = [name for name in owners if name in table.columns]
            if columns:
                query = table.select().where(table.columns[columns[0]] == owners[columns[0]])
                rows = [_comparable(row._asdict()) for row in connection.execute(query)]
                if rows:
                    found[table.name] = rows
    return found


def _comparable(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: (value is None) if name in OWN or name.endswith(TIMES) else value for name, value in row.items()
    }


def _decoded(value: Any) -> Any:
    return json.loads(value) if isinstance(value, (str, bytes)) else value
