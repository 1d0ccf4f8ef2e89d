"""Serialized DAGs in the database, written as the DAG processor writes them, without running one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BUNDLE = "tests"


def store_dag(dag_id: str = "orders", *, params: Mapping[str, Any] | None = None, **options: Any) -> str:
    """Store a DAG of one task, or its next version; returns its id."""
    from airflow import settings
    from airflow.dag_processing.collection import update_dag_parsing_results_in_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    with DAG(dag_id, schedule=None, params=dict(params or {}), **options) as dag:
        EmptyOperator(task_id="work")
    with settings.NonScopedSession() as session, session.begin():
        if session.get(DagBundleModel, BUNDLE) is None:
            session.add(DagBundleModel(name=BUNDLE))
            session.flush()
        stored = LazyDeserializedDAG.from_dag(dag)
        update_dag_parsing_results_in_db(BUNDLE, None, [stored], {}, None, set(), session)
        # The function above leaves a version alone that is younger than half a minute.
        SerializedDagModel.write_dag(stored, BUNDLE, session=session)
    return dag_id


def change_dag(dag_id: str, **columns: Any) -> None:
    """Write columns of the DAG's row: is_paused, is_stale, has_import_errors, allowed_run_types."""
    from airflow.models.dag import DagModel

    _execute(DagModel.__table__.update().where(DagModel.dag_id == dag_id).values(columns))


def unserialize_dag(dag_id: str) -> None:
    """Take every serialized version of a DAG away; its row stays."""
    from airflow.models.dag_version import DagVersion

    _execute(DagVersion.__table__.delete().where(DagVersion.dag_id == dag_id))


def spoil_dag(dag_id: str) -> None:
    """Make a serialized DAG one that no version of Airflow can read."""
    from airflow.models.serialized_dag import SerializedDagModel

    broken = {"data": {"__version": 99}, "data_compressed": None, "dag_hash": "spoilt"}
    _execute(SerializedDagModel.__table__.update().where(SerializedDagModel.dag_id == dag_id).values(broken))


def forget_dag(dag_id: str) -> None:
    """Take a DAG away altogether."""
    from airflow.models.dag import DagModel

    unserialize_dag(dag_id)
    _execute(DagModel.__table__.delete().where(DagModel.dag_id == dag_id))


def _execute(statement: Any) -> None:
    from airflow import settings

    with settings.engine.begin() as connection:
        connection.execute(statement)
