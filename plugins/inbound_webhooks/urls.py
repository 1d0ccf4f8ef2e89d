"""URLs of Airflow's pages and ours."""

from __future__ import annotations

from urllib.parse import quote

from inbound_webhooks.records.failed_task import FailedTask
from inbound_webhooks.settings import BLUEPRINT_PREFIX

DELIVERY_PATH = f"{BLUEPRINT_PREFIX}/webhooks/delivery"
"""Path of a delivery's page; its id follows."""


def delivery_url(base_url: str, delivery_id: str) -> str:
    """URL of a delivery's page."""
    return f"{base_url}{DELIVERY_PATH}/{delivery_id}"


def webhook_url(base_url: str, webhook_id: str) -> str:
    """URL of a webhook's page."""
    return f"{base_url}{BLUEPRINT_PREFIX}/webhooks/hook/{webhook_id}"


def dag_url(base_url: str, dag_id: str) -> str:
    """URL of Airflow's page of a DAG."""
    return f"{base_url}/dags/{quote(dag_id, safe='')}"


def run_url(base_url: str, dag_id: str, run_id: str) -> str:
    """URL of Airflow's page of a DAG run."""
    return f"{dag_url(base_url, dag_id)}/runs/{quote(run_id, safe='')}"


def log_url(base_url: str, dag_id: str, run_id: str, task: FailedTask) -> str:
    """URL of Airflow's page of a task's last try, which opens on its log."""
    # -1 stands for a task that is not mapped.
    mapped = f"/mapped/{task.map_index}" if task.map_index >= 0 else ""
    tried = f"?try_number={task.try_number}" if task.try_number > 0 else ""
    return f"{run_url(base_url, dag_id, run_id)}/tasks/{quote(task.task_id, safe='')}{mapped}{tried}"
