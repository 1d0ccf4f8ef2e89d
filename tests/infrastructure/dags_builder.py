"""Serialized DAGs in the database, written as the DAG processor writes them, without running one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from tests.infrastructure.repeated_statements import Statement, recorded_changes, repeat

BUNDLE = "tests"


def store_dag(
    dag_id: str = "orders",
    *,
    params: Mapping[str, Any] | None = None,
    bundle: str = BUNDLE,
    schedule: Any = None,
    outlets: Sequence[Any] = (),
    **options: Any,
) -> str:
    """Store a DAG of one task, or its next version; returns its id."""
    from airflow import settings
    from airflow.dag_processing.collection import update_dag_parsing_results_in_db
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    with DAG(dag_id, schedule=schedule, params=dict(params or {}), **options) as dag:
        EmptyOperator(task_id="work", outlets=list(outlets))
    stored = LazyDeserializedDAG.from_dag(dag)
    with settings.NonScopedSession() as session, session.begin():
        if session.get(DagBundleModel, bundle) is None:
            session.add(DagBundleModel(name=bundle))
            session.flush()
        is_new = session.scalar(select(DagModel.dag_id).where(DagModel.dag_id == dag_id)) is None
        key = (settings.engine.dialect.name, bundle, dag_id, stored.hash)
        connection = session.connection()
        is_new = is_new and schedule is None and not outlets  # assets have ids of their own
        if is_new and key in _stored:
            repeat(connection, *_stored[key])
            return dag_id
        with recorded_changes(connection) as statements:
            update_dag_parsing_results_in_db(bundle, None, [stored], {}, None, set(), session)
            # The function above leaves a version alone that is younger than half a minute.
            SerializedDagModel.write_dag(stored, bundle, session=session)
            session.flush()
        if is_new and not options:
            _stored[key] = statements, _ids_of(session, dag_id)
    return dag_id


_stored: dict[tuple[Any, ...], tuple[list[Statement], list[UUID]]] = {}
"""What was written for a DAG that was not there, and the ids in it; Airflow takes longer than most tests."""


def _ids_of(session: Any, dag_id: str) -> list[UUID]:
    from airflow.models.dag_version import DagVersion
    from airflow.models.dagcode import DagCode
    from airflow.models.serialized_dag import SerializedDagModel

    models = (DagVersion, DagCode, SerializedDagModel)
    return [id for model in models for id in session.scalars(select(model.id).where(model.dag_id == dag_id))]


def store_team(name: str) -> str:
    """Store a team with a bundle of the same name, as `airflow teams create` and a bundle's setting do."""
    from airflow import settings
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.team import Team

    with settings.NonScopedSession() as session, session.begin():
        bundle = DagBundleModel(name=name)
        bundle.teams = [Team(name=name)]
        session.add(bundle)
    return name


def change_dag(dag_id: str, **columns: Any) -> None:
    """Write columns of the DAG's row: is_paused, is_stale, has_import_errors, bundle_name and so on."""
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
