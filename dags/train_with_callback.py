"""Starts a training job elsewhere, and waits without a worker slot until the job calls back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
from airflow.sdk import DAG, Param, task

from inbound_webhooks.operators import wait_for_webhook

with DAG(
    dag_id="train_with_callback",
    description="Trains a model on another machine",
    schedule=None,
    catchup=False,
    params={
        "jobs_url": Param(
            "https://gpu.example.com/jobs", type="string", description="Where jobs are started"
        ),
        "model": Param("large", type="string", description="The model to train"),
    },
    tags=["webhook"],
):

    @wait_for_webhook(
        timeout=timedelta(hours=6),
        result="${Webhook::Body}",
        fail_when="body.status == 'failed'",
    )
    def start_training(jobs_url: str, model: str, callback_url: str) -> None:
        """Start the job; it sends a POST to ``callback_url`` when it is done."""
        job = {"model": model, "callback": callback_url}
        httpx.post(jobs_url, json=job).raise_for_status()

    @task
    def report(trained: dict[str, Any]) -> None:
        """Say what was trained."""
        print("trained", trained["model"], "with accuracy", trained["accuracy"])

    report(start_training("{{ params.jobs_url }}", "{{ params.model }}"))
