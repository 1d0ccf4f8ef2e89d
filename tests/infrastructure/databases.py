"""Migrated Airflow databases: made once for each backend, given to each test as they were then."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

from tests.infrastructure.airflow_command import airflow
from tests.infrastructure.environment import sqlite_url
from tests.infrastructure.postgres import PostgresCluster

TEMPLATE = "airflow_template"
URL_VARIABLE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


@dataclass(frozen=True)
class Database:
    """What the fixture `database` gives: settings.Session, settings.engine and the rest lead to it."""

    backend: str
    """``sqlite`` or ``postgresql``"""
    url: str


class SqliteTemplate:
    """A migrated file, and one to test on: a reset copies the first over the second."""

    backend = "sqlite"

    def __init__(self, template: Path, folder: Path) -> None:
        self._template = template
        self._used = folder / "used.db"

    def fresh(self) -> Database:
        self.copy_to(self._used)
        return Database(self.backend, sqlite_url(self._used))

    def copy_to(self, path: Path) -> str:
        """Put a database where there is none, or in place of one that is not open; returns its URL."""
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(self._template, path)
        return sqlite_url(path)

    def for_airflow(self, home: Path) -> str:
        """Make another database of the template for the Airflow in a folder; returns its URL."""
        return self.copy_to(home / "airflow.db")


class PostgresTemplate:
    """A migrated database, and one to test on: a reset empties it and puts back what the migrations wrote.

    Resets keep their connection: a new one has to read about each of a hundred tables and its indexes first,
    which takes most of a reset.
    """

    backend = "postgresql"

    def __init__(self, cluster: PostgresCluster) -> None:
        self._cluster = cluster
        self._connection: psycopg2.extensions.connection | None = None
        self._used = Database(self.backend, cluster.create_database("airflow", template=TEMPLATE))
        self._execute(_RESET_FUNCTION)
        self._execute("SELECT baseline.remember()")

    def fresh(self) -> Database:
        self._execute(_DISCONNECT_OTHERS, "SELECT baseline.restore()")
        return self._used

    def for_airflow(self, home: Path) -> str:
        """Make another database of the template for the Airflow in a folder; returns its URL."""
        return self._cluster.create_database(home.name, template=TEMPLATE)

    def _execute(self, *statements: str) -> None:
        try:
            self._on_connection(statements)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            # A test has stopped the server meanwhile.
            self._connection = None
            self._on_connection(statements)

    def _on_connection(self, statements: tuple[str, ...]) -> None:
        if self._connection is None:
            self._connection = self._cluster.connect("airflow")
        for statement in statements:
            self._connection.cursor().execute(statement)


def make_migrated_file(path: Path) -> None:
    """A SQLite database for `SqliteTemplate`."""
    with tempfile.TemporaryDirectory() as home:
        migrate(sqlite_url(path), Path(home))
    _settle(path)


def make_migrated_cluster(data: Path) -> None:
    """The data folder of a PostgreSQL server with the database TEMPLATE, for `PostgresTemplate`."""
    cluster = PostgresCluster()
    try:
        cluster.start()
        with tempfile.TemporaryDirectory() as home:
            migrate(cluster.create_database(TEMPLATE), Path(home))
        cluster.stop()
        shutil.move(cluster.data, data)
    finally:
        cluster.remove()


def migrate(url: str, home: Path) -> None:
    """Run `airflow db migrate` as a person would."""
    done = airflow(home, url, "db", "migrate")
    if done.returncode != 0:
        raise RuntimeError(f"airflow db migrate failed on {url}:\n{done.stdout}\n{done.stderr}")


def connect_airflow(url: str) -> None:
    """Point the Airflow of this process to a database.

    An engine remembers the statements that it has compiled, which takes longer than most tests ask of a
    database: one that was made for the same URL with the same settings is used again, with new connections.
    """
    from airflow import settings

    os.environ[URL_VARIABLE] = url
    settings.dispose_orm()
    settings.configure_vars()
    wanted = frozenset(item for item in os.environ.items() if item[0].startswith("AIRFLOW__DATABASE__"))
    if wanted not in _engines:
        settings.configure_orm()
        _engines[wanted] = {name: getattr(settings, name) for name in _ORM}
    vars(settings).update(_engines[wanted])


_ORM = ("engine", "Session", "NonScopedSession", "async_engine", "AsyncSession")
_engines: dict[frozenset[tuple[str, str]], dict[str, Any]] = {}


def disconnect_airflow() -> None:
    """Close its connections; until the next `connect_airflow` it has no database."""
    from airflow import settings

    from inbound_webhooks.receiver.instance import forget_receiver
    from inbound_webhooks.storage.database import close_connections
    from tests.infrastructure.loop import close_receivers

    close_receivers()
    forget_receiver()  # pages make one too, and it belongs to the kind of database that it was made for
    close_connections()
    settings.dispose_orm()


def _settle(path: Path) -> None:
    """Move what is in the write-ahead log into the file itself."""
    import sqlite3

    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


# What a test has left open would keep the rows locked.
_DISCONNECT_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

# Deleting from a hundred mostly empty tables inside the server takes milliseconds, truncating them a second;
# statements written out keep their plans as long as the connection.
_RESET_FUNCTION = """
CREATE SCHEMA baseline;

CREATE FUNCTION baseline.remember() RETURNS void LANGUAGE plpgsql AS $$
DECLARE name text; has_rows boolean; deletes text := ''; inserts text := '';
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
        deletes := deletes || format('DELETE FROM public.%I; ', name);
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM public.%I)', name) INTO has_rows;
        IF has_rows THEN
            EXECUTE format('CREATE TABLE baseline.%I AS TABLE public.%I', name, name);
            inserts := inserts || format('INSERT INTO public.%I SELECT * FROM baseline.%I; ', name, name);
        END IF;
    END LOOP;
    -- No foreign keys, so in any order.
    EXECUTE format(
        'CREATE FUNCTION baseline.restore() RETURNS void LANGUAGE plpgsql AS %L',
        'BEGIN SET LOCAL session_replication_role = replica; ' || deletes || inserts || 'END'
    );
END $$;
"""
