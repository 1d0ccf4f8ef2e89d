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
HEAD = "0009"
DELIVERED = {"status": 202, "backlog": 1, "state": "dispatched", "conf": [{"number": 7}]}
TABLES_OF_OURS = """
SELECT DISTINCT schemaname FROM pg_tables
WHERE tablename LIKE 'inbound_webhook%' OR tablename = 'alembic_version_inbound_webhooks'
"""


@pytest.fixture
def url(postgres_cluster) -> Iterator[str]:
    """A database with the empty schema."""
    postgres_cluster.drop_database("other_schema")
    made = postgres_cluster.create_database("other_schema")
    connection = postgres_cluster.connect("other_schema")
    connection.cursor().execute(f'CREATE SCHEMA "{SCHEMA}"')
    connection.close()
    yield made
    postgres_cluster.drop_database("other_schema")


@pytest.fixture
def story(url, tmp_path) -> Callable[..., list[Any]]:
    """A function that runs steps of `schema_story`; returns their results."""

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
def schemas(postgres_cluster, url) -> Callable[[], list[str]]:
    """A function that returns the schemas in which tables of ours are."""

    def find() -> list[str]:
        connection = postgres_cluster.connect("other_schema")
        try:
            cursor = connection.cursor()
            cursor.execute(TABLES_OF_OURS)
            return [name for (name,) in cursor.fetchall()]
        finally:
            connection.close()

    return find


def test_a_new_installation_delivers(story, schemas):
    *_, version, delivered = story("make_airflows_tables", "install", "install", "version", "deliver")
    assert (version, delivered) == (HEAD, DELIVERED)
    assert schemas() == [SCHEMA]


def test_the_migrations_make_the_same_tables_and_keep_every_row(story, schemas):
    steps = ("install", "schema", "drop", "install_by_migrations", "schema", "upgrade_the_first_release")
    _, made, _, _, migrated, counts, after, version = story(*steps, "schema", "version")
    assert migrated == made == after
    assert version == HEAD
    assert counts
    assert all(counts.values())
    assert schemas() == [SCHEMA]


def test_dropping_the_tables_leaves_none_in_the_schema(story, schemas):
    story("install", "drop")
    assert schemas() == []


def test_the_printed_migrations_name_the_schema(story):
    printed = "\n".join(map(str, story("sql")))
    assert f'SET LOCAL search_path TO "{SCHEMA}";' in printed
    assert f'CREATE TABLE "{SCHEMA}".alembic_version_inbound_webhooks' in printed


@pytest.mark.long
def test_airflow_db_migrate_works_twice_and_a_delivery_starts_a_run(url, story, schemas, tmp_path):
    for _ in range(2):
        done = airflow(tmp_path, url, "db", "migrate", **VARIABLES)
        assert done.returncode == 0, done.stderr
    assert story("version", "deliver") == [HEAD, DELIVERED]
    assert schemas() == [SCHEMA]
