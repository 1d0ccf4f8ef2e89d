"""Restored databases: `airflow db migrate` finds the revision of tables that no version table describes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_mock_engine, inspect, text
from sqlalchemy.dialects import mysql  # noqa: F401 - the dialect of a MySQL that nothing connects to
from sqlalchemy.orm import Session

from tests.integration.storage.old_rows import Rows, make_tables_of, migrate_to, read_rows, write_rows
from tests.integration.storage.test_schema import reflected_schema

FOLDER = Path(__file__).parent
FIRST: dict[str, Rows] = json.loads((FOLDER / "rows_of_the_first_release.json").read_text())
LATER: dict[str, Rows] = json.loads((FOLDER / "rows_before_the_renames.json").read_text())["rows"]

REVISIONS = [f"{number:04}" for number in range(1, 29)]
HEAD = REVISIONS[-1]
VERSION_TABLE = "alembic_version_inbound_webhooks"
SHORT = {"0001", "0007", "0008", HEAD}
"""Revisions in `make test`: the first one, those around the renames, and the latest ones."""

WAYS = ["initdb", "upgradedb"]
"""Airflow calls the first where its own tables are new, the second where they are not."""


def fill(revision: str) -> None:
    """Tables of a revision, with the rows that an installation of that time had."""
    written, of = (FIRST, "0001") if revision < "0007" else (LATER, "0007")
    make_tables_of(of)
    write_rows(written)
    if revision != of:
        migrate_to(revision)


def execute(*statements: str) -> None:
    from airflow import settings

    with settings.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def lose_version_table() -> None:
    execute(f"DROP TABLE {VERSION_TABLE}")


def migrate(way: str = "upgradedb") -> None:
    """What `airflow db migrate` does with our database manager."""
    from airflow import settings

    from inbound_webhooks.storage.database_manager import WebhookDBManager

    with settings.NonScopedSession() as session:
        getattr(WebhookDBManager(session), way)()


def recorded() -> str | None:
    """The revision in the version table."""
    from airflow import settings

    from inbound_webhooks.storage.database_manager import WebhookDBManager

    with settings.NonScopedSession() as session:
        return WebhookDBManager(session).get_current_revision()


def all_rows() -> dict[str, Rows]:
    from inbound_webhooks.storage.tables import metadata

    return {name: read_rows(name) for name in metadata.tables}


def state() -> tuple[Any, ...]:
    """Everything that a refused migration must leave alone: the columns and rows of each table."""
    from airflow import settings

    looking = inspect(settings.engine)
    tables = sorted(looking.get_table_names())
    columns = {name: [column["name"] for column in looking.get_columns(name)] for name in tables}
    with settings.engine.connect() as connection:
        rows = {name: list(connection.execute(text(f'SELECT * FROM "{name}"'))) for name in tables}
    return columns, rows


@pytest.fixture
def database_of(empty_database) -> Callable[[str], None]:
    """A function that connects Airflow to a database with the tables and rows of a revision."""

    def connect(revision: str, name: str = "restored") -> None:
        empty_database(name)
        fill(revision)

    return connect


# --- without the version table --------------------------------------------------------------


@pytest.mark.parametrize(
    "revision", [pytest.param(it, marks=[] if it in SHORT else pytest.mark.long) for it in REVISIONS]
)
def test_tables_of_each_revision_are_migrated_with_every_row(database_of, revision):
    database_of(revision, "expected")
    migrate()
    expected = all_rows()
    database_of(revision, "restored")
    lose_version_table()
    migrate(WAYS[int(revision) % 2])
    assert (recorded(), all_rows()) == (HEAD, expected)


@pytest.mark.parametrize("revision", ["0001", "0008", HEAD])
def test_restored_tables_get_the_schema_of_new_ones(empty_database, database_of, revision):
    empty_database("fresh")
    migrate()
    fresh = reflected_schema()
    database_of(revision)
    lose_version_table()
    migrate()
    assert reflected_schema() == fresh


def test_each_revision_differs_from_all_others():
    from inbound_webhooks.storage.database_manager import WebhookDBManager
    from inbound_webhooks.storage.revisions import shapes

    manager = WebhookDBManager(session=None)
    found = shapes(manager.get_script_object(offline_config()))
    assert list(found) == REVISIONS
    assert len(set(found.values())) == len(REVISIONS)


def offline_config() -> Any:
    from alembic.config import Config

    from inbound_webhooks.storage.database_manager import WebhookDBManager

    config = Config(WebhookDBManager.alembic_file)
    config.set_main_option("script_location", WebhookDBManager.migration_dir)
    return config


@pytest.mark.parametrize("way", WAYS)
def test_a_database_of_airflow_alone_gets_our_tables(empty_database, way):
    empty_database("new")
    execute(
        "CREATE TABLE alembic_version (version_num VARCHAR(32))", "CREATE TABLE dag (dag_id VARCHAR(250))"
    )
    migrate(way)
    assert recorded() == HEAD
    assert all_rows()["inbound_webhook"] == []


@pytest.mark.parametrize("way", WAYS)
def test_an_empty_version_table_is_as_good_as_none(database_of, way):
    database_of("0005")
    execute(f"DELETE FROM {VERSION_TABLE}")
    migrate(way)
    assert recorded() == HEAD


def test_an_index_and_a_copied_table_of_an_operator_do_not_matter(database_of):
    database_of("0007")
    lose_version_table()
    execute(
        "CREATE INDEX of_an_operator ON inbound_webhook_delivery (dag_id)",
        "CREATE TABLE inbound_webhook_delivery_of_may AS SELECT * FROM inbound_webhook_delivery",
    )
    migrate()
    assert recorded() == HEAD


# --- with a version table that says something else ------------------------------------------


@pytest.mark.parametrize(
    ("way", "revision", "claimed"),
    [("upgradedb", "0005", HEAD), ("initdb", HEAD, "0002"), ("upgradedb", "0008", "0001")],
)
def test_tables_that_were_restored_beside_another_version_table_are_migrated(
    database_of, way, revision, claimed
):
    database_of(revision, "expected")
    migrate()
    expected = all_rows()
    database_of(revision, "restored")
    execute(f"UPDATE {VERSION_TABLE} SET version_num = '{claimed}'")
    migrate(way)
    assert (recorded(), all_rows()) == (HEAD, expected)


def test_tables_that_the_version_table_misdescribes_do_not_count_as_migrated(database_of):
    from airflow import settings

    from inbound_webhooks.storage.database_manager import WebhookDBManager

    database_of("0005")
    execute(f"UPDATE {VERSION_TABLE} SET version_num = '{HEAD}'")
    with settings.NonScopedSession() as session:
        assert not WebhookDBManager(session).check_migration()
    migrate()
    with settings.NonScopedSession() as session:
        assert WebhookDBManager(session).check_migration()


def test_two_versions_in_the_version_table_become_the_right_one(database_of):
    database_of("0005")
    execute(f"INSERT INTO {VERSION_TABLE} VALUES ('{HEAD}')")
    migrate()
    assert recorded() == HEAD


@pytest.mark.parametrize("way", WAYS)
def test_a_version_table_without_tables_gets_new_ones(empty_database, way):
    from inbound_webhooks.storage.tables import metadata

    empty_database("dropped")
    migrate()
    expected = reflected_schema()
    for table in reversed(metadata.sorted_tables):
        execute(f"DROP TABLE {table.name}")
    migrate(way)
    assert (recorded(), reflected_schema()) == (HEAD, expected)


def test_a_column_of_an_operator_does_not_stop_tables_with_a_version(database_of):
    database_of("0007")
    execute("ALTER TABLE inbound_webhook ADD COLUMN of_an_operator TEXT")
    migrate()
    assert recorded() == HEAD


# --- refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "statement"),
    [
        ("initdb", "ALTER TABLE inbound_webhook ADD COLUMN of_tomorrow TEXT"),
        ("upgradedb", "ALTER TABLE inbound_webhook DROP COLUMN preset"),
        ("initdb", "DROP TABLE inbound_webhook_rejection"),
        ("upgradedb", "DROP INDEX idx_inbound_webhook_delivery_history"),
    ],
)
def test_tables_of_no_revision_are_left_alone_and_one_sentence_says_what_to_do(database_of, way, statement):
    database_of("0006")
    lose_version_table()
    execute(statement)
    before = state()
    with pytest.raises(SystemExit) as ended:
        migrate(way)
    assert str(ended.value) == (
        "The tables of inbound webhooks match no revision of the plugin: restore inbound_webhook* and "
        "alembic_version_inbound_webhooks from one backup, or drop all of them to start anew, and run "
        "`airflow db migrate` again."
    )
    assert state() == before


@pytest.mark.parametrize("way", WAYS)
def test_tables_of_a_newer_version_are_left_alone(database_of, way):
    from inbound_webhooks import __version__

    database_of(HEAD)
    execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    before = state()
    with pytest.raises(SystemExit) as ended:
        migrate(way)
    assert f"at revision 9999, which version {__version__} of the plugin does not know" in str(ended.value)
    assert state() == before


@pytest.mark.parametrize("way", WAYS)
def test_mysql_is_refused_before_any_statement(way):
    from inbound_webhooks.storage.database_manager import WebhookDBManager

    executed: list[Any] = []
    engine = create_mock_engine("mysql+mysqldb://user@host/airflow", lambda *args: executed.append(args))
    with pytest.raises(SystemExit) as ended:
        getattr(WebhookDBManager(Session(bind=engine)), way)()
    assert str(ended.value) == (
        "Inbound webhooks need PostgreSQL or SQLite, not mysql. Change [database] sql_alchemy_conn, or "
        "uninstall airflow-inbound-webhooks."
    )
    assert executed == []


# --- the commands ---------------------------------------------------------------------------


@pytest.fixture
def airflow_db(template_of, tmp_path):
    """A function that runs `airflow db COMMAND` on a database of Airflow's tables and ours."""
    from tests.infrastructure.airflow_command import airflow
    from tests.infrastructure.databases import connect_airflow

    url = template_of("postgresql").for_airflow(tmp_path)
    connect_airflow(url)
    return lambda *command: airflow(tmp_path, url, "db", *command)


@pytest.mark.long
def test_airflow_db_migrate_repairs_a_restored_database(airflow_db):
    fill("0007")
    lose_version_table()
    done = airflow_db("migrate")
    assert done.returncode == 0, done.stderr
    assert recorded() == HEAD
    assert len(read_rows("inbound_webhook")) == len(LATER["inbound_webhook"])


@pytest.mark.long
def test_airflow_db_migrate_ends_with_1_and_one_line_where_tables_match_no_revision(airflow_db):
    lose_version_table()
    execute("ALTER TABLE inbound_webhook ADD COLUMN of_tomorrow TEXT")
    done = airflow_db("migrate")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("The tables of inbound webhooks match no revision")
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.long
def test_airflow_db_reset_drops_and_makes_our_tables_and_the_version_table(airflow_db):
    fill("0007")
    done = airflow_db("reset", "--yes")
    assert done.returncode == 0, done.stderr
    assert (recorded(), read_rows("inbound_webhook")) == (HEAD, [])
