"""The DAG of the attacks on isolation: a pattern that takes exponential time, and a list of any length."""

from __future__ import annotations

from airflow.sdk import DAG, Param, task

with DAG(
    dag_id="bench_isolation",
    schedule=None,
    catchup=False,
    params={
        "text": Param("a", type="string", pattern=r"^(\w+\s?)*$"),
        "ahead": Param("a", type="string", pattern=r"^(?=a)(\w+\s?)*$"),
        "items": Param([], type="array", items={"type": "integer"}),
    },
):

    @task
    def nothing() -> None:
        """Do nothing; no scheduler runs it anyway."""

    nothing()
