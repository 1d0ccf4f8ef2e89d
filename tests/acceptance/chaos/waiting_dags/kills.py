"""DAGs of one task that waits, for a call or for an event; a try that was killed is tried again."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import httpx
from airflow.sdk import DAG, get_current_context

from inbound_webhooks.operators import wait_for_webhook

TIMEOUT = timedelta(minutes=20)
RETRIED = {"retries": 20, "retry_delay": timedelta(seconds=1)}


def start_job(**job: Any) -> Any:
    """Start the job of this try; returns its number, once the other system gives it."""
    context = get_current_context()
    task = context["ti"]
    job |= {"run_id": context["run_id"], "wait_id": task.id.hex, "try_number": task.try_number}
    return httpx.post(os.environ["JOBS_URL"], json=job, timeout=120).raise_for_status().json()["job"]


with DAG("wait_for_call", schedule=None, max_active_runs=100, default_args=RETRIED):

    @wait_for_webhook(timeout=TIMEOUT, result="${Webhook::Body.answer}")
    def call(callback_url: str) -> None:
        """Wait for a call of the job."""
        start_job(callback=callback_url)

    call()

with DAG("wait_for_event", schedule=None, max_active_runs=100, default_args=RETRIED):

    @wait_for_webhook(webhook="jobs", timeout=TIMEOUT, result="${Webhook::Body.answer}")
    def event() -> dict[str, Any]:
        """Wait for an event about the job."""
        return {"body.job": start_job()}

    event()
