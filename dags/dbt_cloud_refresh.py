"""Starts a job of dbt Cloud, and waits without a worker slot for its webhook to say that this run is over."""

from __future__ import annotations

from datetime import timedelta

import httpx
from airflow.sdk import DAG, Param, Variable, task

from inbound_webhooks.operators import WaitForWebhook

with DAG(
    dag_id="dbt_cloud_refresh",
    description="Refreshes the models of dbt Cloud",
    schedule=None,
    catchup=False,
    params={
        "jobs_url": Param(
            "https://cloud.getdbt.com/api/v2/accounts/1/jobs/123/run/",
            type="string",
            description="Where the job is started",
        ),
    },
    tags=["webhook"],
):

    @task
    def start_job(jobs_url: str) -> int:
        """Start the job; returns the id of its run."""
        headers = {"Authorization": f"Token {Variable.get('dbt_token', default='unset')}"}
        response = httpx.post(jobs_url, json={"cause": "Airflow"}, headers=headers)
        run_id: int = response.raise_for_status().json()["data"]["id"]
        return run_id

    dbt_done = WaitForWebhook(
        task_id="dbt_done",
        webhook="dbt",
        match={"body.data.runId": "{{ ti.xcom_pull('start_job') }}"},
        # It says that the run has started, too.
        match_expression="body.eventType in ['job.run.completed', 'job.run.errored']",
        timeout=timedelta(hours=2),
        result="${Webhook::Body.data}",
        fail_when="body.data.runStatus != 'Success'",
    )

    @task
    def report(run: dict[str, object]) -> None:
        """Say what was refreshed."""
        print("dbt run", run["runId"], "of", run["jobName"], "ended with", run["runStatus"])

    start_job("{{ params.jobs_url }}") >> dbt_done
    report(dbt_done.output)
