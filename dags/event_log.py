"""Logs any event: a DAG without params, whose conf has the whole event under "webhook"."""

from __future__ import annotations

import json

from airflow.sdk import DAG, get_current_context, task

with DAG(
    dag_id="event_log",
    description="Logs whatever a webhook receives",
    schedule=None,
    catchup=False,
    tags=["webhook"],
):

    @task
    def log_event() -> None:
        """Print body, query and headers of the request, or the item where the webhook splits a list."""
        conf = get_current_context()["dag_run"].conf
        print("conf:", json.dumps(conf, sort_keys=True))
        for source, value in conf.get("webhook", {}).items():
            print(f"{source}:", json.dumps(value))

    log_event()
