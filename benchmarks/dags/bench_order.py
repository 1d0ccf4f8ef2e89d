"""The DAG of the benchmarks: three params, one task, nothing to do."""

from __future__ import annotations

from airflow.sdk import DAG, Param, task

with DAG(
    dag_id="bench_order",
    schedule=None,
    catchup=False,
    params={
        "order_id": Param(type="integer"),
        "customer": Param(type="string"),
        "lines": Param(type="array"),
    },
):

    @task
    def nothing() -> None:
        """Do nothing; no scheduler runs it anyway."""

    nothing()
