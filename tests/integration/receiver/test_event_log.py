"""The example DAG that prints its request."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.execution_time.context import set_current_context

from tests.infrastructure.environment import CHECKOUT


@pytest.mark.parametrize(
    ("request_data", "last_line"),
    [
        ({"body": {"id": 1}, "query": {}, "headers": {}}, "headers: {}"),
        ({"item": {"id": 2}}, 'item: {"id": 2}'),
    ],
)
def test_the_event_log_prints_whole_requests_and_items_of_lists(
    sqlite_database, capsys, request_data, last_line
):
    task = DagBag(str(CHECKOUT / "dags" / "event_log.py")).dags["event_log"].get_task("log_event")
    with set_current_context({"dag_run": SimpleNamespace(conf={"webhook": request_data})}):
        task.python_callable()
    assert capsys.readouterr().out.splitlines()[-1] == last_line
