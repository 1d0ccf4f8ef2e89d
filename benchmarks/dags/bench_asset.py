"""The DAG of the asset events: scheduled on an asset, nothing to do."""

from __future__ import annotations

from airflow.sdk import DAG, Asset, task

with DAG(dag_id="bench_asset", schedule=[Asset("bench_asset")], catchup=False):

    @task
    def nothing() -> None:
        """Do nothing; no scheduler runs it anyway."""

    nothing()
