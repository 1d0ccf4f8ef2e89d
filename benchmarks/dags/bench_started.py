"""A DAG whose runs the scheduler starts and ends by itself, as many at a time as it can."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG(dag_id="bench_started", schedule=None, catchup=False, max_active_runs=1_000):
    EmptyOperator(task_id="nothing")
