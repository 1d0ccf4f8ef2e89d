"""Do the servers and databases that all other tests stand on come up as promised, and go without a trace?"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

import psycopg2
import pytest
from airflow.sdk import Param

from tests.infrastructure.dags_builder import forget_dag, store_dag
from tests.infrastructure.postgres import PostgresCluster


@pytest.fixture
def cluster():
    cluster = PostgresCluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


def ask(cluster: PostgresCluster, statement: str, database: str = "postgres") -> str:
    connection = cluster.connect(database)
    try:
        cursor = connection.cursor()
        cursor.execute(statement)
        return str(cursor.fetchone()[0]) if cursor.description else ""
    finally:
        connection.close()


def family_of(pid: int) -> list[str]:
    """What lives of a process, its children and its session, as lines of /proc."""
    stats = [path.read_text() for path in Path("/proc").glob("[0-9]*/stat")]
    return [stat for stat in stats if _belongs_to(pid, stat)]


def _belongs_to(pid: int, stat: str) -> bool:
    state, *parents = stat.rpartition(")")[2].split()[:4]
    return state != "Z" and str(pid) in (stat.split()[0], *parents)


def test_a_cluster_leaves_neither_process_nor_file(cluster: PostgresCluster):
    members = [int(stat.split()[0]) for stat in family_of(cluster.pid)]
    assert len(members) > 1
    cluster.remove()
    assert [pid for pid in members if family_of(pid)] == []
    assert not cluster.folder.exists()


def test_a_cluster_keeps_its_port_and_its_rows_over_a_restart(cluster: PostgresCluster):
    cluster.create_database("kept")
    ask(cluster, "CREATE TABLE fact AS SELECT 42 AS answer", "kept")
    cluster.restart()
    assert ask(cluster, "SELECT answer FROM fact", "kept") == "42"


def test_a_stopped_cluster_refuses_connections(cluster: PostgresCluster):
    cluster.stop()
    with pytest.raises(psycopg2.OperationalError):
        cluster.connect()


def test_a_database_is_dropped_although_a_client_is_connected(cluster: PostgresCluster):
    cluster.create_database("busy")
    connection = cluster.connect("busy")
    cluster.drop_database("busy")
    assert ask(cluster, "SELECT count(*) FROM pg_database WHERE datname = 'busy'") == "0"
    connection.close()


def test_only_benchmarks_wait_for_the_disk(cluster: PostgresCluster):
    assert ask(cluster, "SHOW fsync") == "off"
    durable = PostgresCluster(fsync=True)
    try:
        durable.start()
        assert ask(durable, "SHOW fsync") == "on"
    finally:
        durable.remove()


def test_airflow_does_not_touch_the_persons_own_home(airflow_home: Path):
    from airflow.configuration import AIRFLOW_HOME

    assert str(airflow_home) == AIRFLOW_HOME
    assert os.environ["AIRFLOW_HOME"] == str(airflow_home)


def test_a_database_has_airflows_tables_and_ours(database):
    from airflow import settings
    from sqlalchemy import inspect

    assert settings.engine.dialect.name == database.backend
    tables = set(inspect(settings.engine).get_table_names())
    assert {"dag_run", "inbound_webhook", "ab_user"} <= tables


@pytest.mark.parametrize("attempt", ["first", "second"])
def test_what_one_test_writes_the_next_does_not_see(database, attempt):
    from airflow.models import Pool, Variable

    assert Variable.get("seen", None) is None
    assert Pool.get_default_pool() is not None
    Variable.set("seen", attempt)


def rows_of_the_dag() -> dict[str, list[dict[str, object]]]:
    """The rows that there are of DAGs, by table."""
    from airflow import settings
    from airflow.models.dag import DagModel
    from airflow.models.dag_version import DagVersion
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.dagcode import DagCode
    from airflow.models.serialized_dag import SerializedDagModel

    models = (DagBundleModel, DagModel, DagVersion, DagCode, SerializedDagModel)
    with settings.engine.connect() as connection:
        return {
            model.__tablename__: [
                dict(row) for row in connection.execute(model.__table__.select()).mappings()
            ]
            for model in models
        }


def without_what_varies(tables: dict[str, list[dict[str, object]]]) -> dict[str, list[dict[str, object]]]:
    """Rows without ids and times."""
    return {
        name: [{key: it for key, it in row.items() if not isinstance(it, UUID | datetime)} for row in rows]
        for name, rows in tables.items()
    }


def test_a_dag_is_stored_again_as_airflow_stores_it_with_other_ids(database):
    params = {"number": Param(7, type="integer", description=str(uuid4()))}  # stored by no test before
    store_dag("repeated", params=params)
    by_airflow = rows_of_the_dag()
    forget_dag("repeated")
    store_dag("repeated", params=params)
    repeated = rows_of_the_dag()
    assert all(by_airflow.values())
    assert without_what_varies(repeated) == without_what_varies(by_airflow)
    (first,), (second,) = by_airflow["dag_version"], repeated["dag_version"]
    assert (first["created_at"], first["id"] == second["id"]) == (second["created_at"], False)
    assert {row["dag_version_id"] for row in (*repeated["dag_code"], *repeated["serialized_dag"])} == {
        second["id"]
    }


def test_what_a_test_left_locked_does_not_hold_the_next_one_up(postgres_cluster, postgres_template):
    forgotten = postgres_cluster.connect("airflow")
    forgotten.autocommit = False
    forgotten.cursor().execute("LOCK TABLE dag IN ACCESS EXCLUSIVE MODE")
    postgres_template.fresh()
    with pytest.raises(psycopg2.OperationalError):
        forgotten.cursor().execute("SELECT 1")


@pytest.mark.airflow_server
@pytest.mark.long
def test_an_airflow_is_healthy_answers_and_ends(start_airflow):
    airflow = start_airflow("postgresql", processes=("api-server", "scheduler"))
    pids = airflow.running().values()
    assert airflow.rest.get("version")["version"]
    airflow.kill("scheduler")
    airflow.stop()
    assert [family_of(pid) for pid in pids] == [[], []]
