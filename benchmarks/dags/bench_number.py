"""The DAG of the request path: one integer param, nothing to do."""

from __future__ import annotations

from airflow.sdk import DAG, Param, task

with DAG(dag_id="bench_number", schedule=None, catchup=False, params={"number": Param(7, type="integer")}):

    @task
    def nothing() -> None:
        """Do nothing; no scheduler runs it anyway."""

    nothing()
