"""Assets in Airflow's database: DAGs that are scheduled on them, events, and the runs that take these."""

from __future__ import annotations

from typing import Any

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import Hook, now, store_delivery

URI, NAME = "s3://shop/orders", "orders_of_the_shop"


def store_subscriber(dag_id: str, uri: str = URI, name: str = NAME, **options: Any) -> str:
    """Store a DAG that is scheduled on an asset; returns its id."""
    from airflow.sdk import Asset

    return store_dag(dag_id, schedule=[Asset(name=name, uri=uri)], **options)


def forget_assets() -> None:
    """As when no DAG file names any asset any more."""
    from airflow import settings
    from airflow.models.asset import AssetActive

    with settings.engine.begin() as connection:
        connection.execute(AssetActive.__table__.delete())


def store_due(hook: Hook, **columns: Any) -> str:
    """Insert an accepted delivery of a webhook of the asset; returns its id."""
    return store_delivery(hook, **{"dag_id": "", "asset": URI, "conf": '{"order": 7}', **columns})


def events() -> list[dict[str, Any]]:
    """All asset events, in the order of their ids."""
    return sorted(_rows("AssetEvent"), key=lambda event: int(event["id"]))


def queued() -> list[str]:
    """The DAGs that wait for the scheduler because of an event."""
    return sorted(row["target_dag_id"] for row in _rows("AssetDagRunQueue"))


def forget_queue() -> None:
    """As when the scheduler has created the runs."""
    from airflow import settings
    from airflow.models.asset import AssetDagRunQueue

    with settings.engine.begin() as connection:
        connection.execute(AssetDagRunQueue.__table__.delete())


def take(event_id: int, dag_id: str, state: str = "success") -> str:
    """Create the run that takes an event, as Airflow's scheduler does; returns its id."""
    from airflow import settings
    from airflow.models.asset import association_table
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    table, run_id = DagRun.__table__, f"asset_triggered__{event_id}"
    values = {"run_id": run_id, "run_type": "asset_triggered", "run_after": now(), "state": state}
    with settings.engine.begin() as connection:
        connection.execute(table.insert().values(dag_id=dag_id, **values))
        key = connection.scalar(select(table.c.id).where(table.c.dag_id == dag_id, table.c.run_id == run_id))
        connection.execute(association_table.insert().values(dag_run_id=key, event_id=event_id))
    return run_id


def _rows(name: str) -> list[dict[str, Any]]:
    from airflow import settings
    from airflow.models import asset as models

    table = getattr(models, name).__table__
    with settings.engine.connect() as connection:
        return [dict(row) for row in connection.execute(table.select()).mappings()]
