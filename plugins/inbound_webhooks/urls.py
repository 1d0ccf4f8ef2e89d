"""Every URL: of the endpoint, of our pages and of Airflow's."""

from __future__ import annotations

import re
from urllib.parse import quote

from inbound_webhooks.records.failed_task import FailedTask

SHELL_PATH = "/plugin/webhooks"
"""Path of our pages inside Airflow's own frame; it opens the list, or what its query names."""

WEBHOOK_ID_CHARS = 10
TOKEN_BYTES = 32
"""A token is that many random bytes, written as hex digits."""

WEBHOOK_PATH = re.compile(rf"([A-Za-z0-9_-]{{{WEBHOOK_ID_CHARS}}})/([0-9a-f]{{{2 * TOKEN_BYTES}}})")
"""What follows ``/webhook/`` in the URL that a sender calls: id and token."""

RESULT_PATH = re.compile(rf"result/([0-9a-f]{{32}})/([0-9a-f]{{{2 * TOKEN_BYTES}}})")
"""The same for the URL of a result: id of the delivery and a token of its own."""

WAIT_PATH = re.compile(rf"wait/([0-9a-f]{{32}})/([0-9a-f]{{{2 * TOKEN_BYTES}}})")
"""The same for the URL that a waiting task hands out: the wait's id and token."""


def endpoint_url(public_url: str, webhook_id: str, token: str) -> str:
    """The URL that a sender calls."""
    return f"{public_url}/webhook/{webhook_id}/{token}"


def result_url(public_url: str, delivery_id: str, token: str) -> str:
    """The URL at which a sender finds the result of a run that its response did not wait for."""
    return f"{public_url}/webhook/result/{delivery_id}/{token}"


def wait_url(public_url: str, wait_id: str, token: str) -> str:
    """The URL by which an external system resumes a waiting task."""
    return f"{public_url}/webhook/wait/{wait_id}/{token}"


def delivery_url(base_url: str, delivery_id: str) -> str:
    """URL of a delivery's page inside Airflow's frame; ``static/mail_links.js`` opens it there."""
    return f"{base_url}{SHELL_PATH}?delivery={delivery_id}"


def webhook_url(base_url: str, webhook_id: str) -> str:
    """URL of a webhook's page inside Airflow's frame."""
    return f"{base_url}{SHELL_PATH}?webhook={webhook_id}"


def dag_url(base_url: str, dag_id: str) -> str:
    """URL of Airflow's page of a DAG."""
    return f"{base_url}/dags/{quote(dag_id, safe='')}"


def run_url(base_url: str, dag_id: str, run_id: str) -> str:
    """URL of Airflow's page of a DAG run."""
    return f"{dag_url(base_url, dag_id)}/runs/{quote(run_id, safe='')}"


def log_url(base_url: str, dag_id: str, run_id: str, task: FailedTask) -> str:
    """URL of Airflow's page of a task's last try, which opens on its log."""
    tried = f"?try_number={task.try_number}" if task.try_number > 0 else ""
    return task_url(base_url, dag_id, run_id, task.task_id, task.map_index) + tried


def task_url(base_url: str, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """URL of Airflow's page of a task instance."""
    # -1 stands for a task that is not mapped.
    mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
    return f"{run_url(base_url, dag_id, run_id)}/tasks/{quote(task_id, safe='')}{mapped}"
