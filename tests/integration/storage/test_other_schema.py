"""`[database] sql_alchemy_schema`: our tables are in the schema of Airflow's, outside the search path."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.infrastructure.airflow_command import airflow
from tests.infrastructure.environment import CHECKOUT, process_environment

SCHEMA = "Meta data"
"""A name that needs quotes."""

VARIABLES = {"AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA": SCHEMA}
HEAD = "0028"
DELIVERED = {"status": 202, "backlog": 1, "state": "dispatched", "error": None, "conf": [{"number": 7}]}
TABLES_OF_OURS = """
SELECT DISTINCT schemaname FROM pg_tables
WHERE tablename LIKE 'inbound_webhook%' OR tablename = 'alembic_version_inbound_webhooks'
"""


@pytest.fixture
def url(postgres_cluster) -> Iterator[str]:
    """A database."""
    postgres_cluster.drop_database("other_schema")
    yield postgres_cluster.create_database("other_schema")
    postgres_cluster.drop_database("other_schema")


@pytest.fixture
def execute(postgres_cluster, url) -> Callable[[str], list[Any]]:
    """A function that runs a statement in the database; returns the first column of its rows."""

    def run(statement: str) -> list[Any]:
        connection = postgres_cluster.connect("other_schema")
        try:
            cursor = connection.cursor()
            cursor.execute(statement)
            return [row[0] for row in cursor.fetchall()] if cursor.description else []
        finally:
            connection.close()

    return run


@pytest.fixture
def story(url, execute, tmp_path) -> Callable[..., list[Any]]:
    """A function that runs steps of `schema_story`, in a database with the empty schema; returns their
    results."""
    execute(f'CREATE SCHEMA "{SCHEMA}"')

    def run(*steps: str) -> list[Any]:
        done = subprocess.run(
            [sys.executable, "-m", "tests.integration.storage.schema_story", *steps],
            cwd=CHECKOUT,
            env=process_environment(tmp_path, url, **VARIABLES),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        *printed, last = done.stdout.splitlines()
        return [*printed, *json.loads(last)] if "sql" in steps else json.loads(last)

    return run


@pytest.fixture
def schemas(execute) -> Callable[[], list[str]]:
    """A function that returns the schemas in which tables of ours are."""
    return lambda: execute(TABLES_OF_OURS)


def test_a_new_installation_delivers(story, schemas):
    *_, version, delivered = story("make_airflows_tables", "install", "install", "version", "deliver")
    assert (version, delivered) == (HEAD, DELIVERED)
    assert schemas() == [SCHEMA]


@pytest.mark.long
def test_the_migrations_make_the_same_tables_and_keep_every_row(story, schemas):
    steps = ("install", "schema", "drop", "install_by_migrations", "schema", "upgrade_the_first_release")
    _, made, _, _, migrated, counts, after, version = story(*steps, "schema", "version")
    assert migrated == made == after
    assert version == HEAD
    assert counts
    assert all(counts.values())
    assert schemas() == [SCHEMA]


@pytest.mark.long
def test_printed_migrations_name_the_schema_and_dropped_tables_leave_it_empty(story, schemas):
    printed = "\n".join(map(str, story("sql", "install", "drop")))
    assert f'SET LOCAL search_path TO "{SCHEMA}";' in printed
    assert f'CREATE TABLE "{SCHEMA}".alembic_version_inbound_webhooks' in printed
    assert schemas() == []


@pytest.mark.long
@pytest.mark.parametrize(
    "search_path", ["public", f'"{SCHEMA}"'], ids=["outside", "first in the search path"]
)
def test_airflow_db_migrate_works_twice_and_a_delivery_starts_a_run(
    url, story, schemas, execute, tmp_path, search_path
):
    execute(f"ALTER DATABASE other_schema SET search_path = {search_path}")
    for _ in range(2):
        done = airflow(tmp_path, url, "db", "migrate", **VARIABLES)
        assert done.returncode == 0, done.stderr
    assert story("version", "deliver") == [HEAD, DELIVERED]
    assert schemas() == [SCHEMA]
