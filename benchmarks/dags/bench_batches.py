"""The DAG of batches: a list of events, nothing to do."""

from __future__ import annotations

from airflow.sdk import DAG, Param, task

with DAG(dag_id="bench_batches", schedule=None, catchup=False, params={"events": Param([], type="array")}):

    @task
    def nothing() -> None:
        """Do nothing; no scheduler runs it anyway."""

    nothing()
