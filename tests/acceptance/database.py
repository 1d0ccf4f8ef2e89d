"""A second connection to the database of a running Airflow: what it holds, and locks in its way."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2

from tests.infrastructure.airflow_processes import AirflowProcesses

LOCK_SECONDS = 30
LOCK_DELIVERIES = "BEGIN; LOCK TABLE inbound_webhook_delivery IN ACCESS EXCLUSIVE MODE"


def is_sqlite(airflow: AirflowProcesses) -> bool:
    return _url(airflow).startswith("sqlite")


def ask(airflow: AirflowProcesses, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a SELECT."""
    with _connected(airflow) as connection:
        cursor = connection.cursor()
        cursor.execute(statement)
        return list(cursor.fetchall())


def execute(airflow: AirflowProcesses, statement: str) -> None:
    """A statement that changes something, committed at once."""
    with _connected(airflow) as connection:
        connection.cursor().execute(statement)


def count_accepted(airflow: AirflowProcesses) -> int:
    """How many deliveries there are that were answered 2xx."""
    statement = "SELECT count(*) FROM inbound_webhook_delivery WHERE state <> 'refused'"
    return int(ask(airflow, statement)[0][0])


def states(airflow: AirflowProcesses, delivery_ids: list[str]) -> set[str]:
    """The states that these deliveries are in."""
    listed = ", ".join(f"'{delivery_id}'" for delivery_id in delivery_ids)
    rows = ask(airflow, f"SELECT state FROM inbound_webhook_delivery WHERE id IN ({listed})")
    assert len(rows) == len(delivery_ids)
    return {state for (state,) in rows}


def everything(airflow: AirflowProcesses) -> str:
    """All that the database holds, as text; binary columns once as text and once as they are written."""
    if is_sqlite(airflow):
        files = [path for path in _sqlite_path(airflow).parent.glob("airflow.db*") if path.is_file()]
        return "".join(path.read_bytes().decode("latin-1") for path in files)
    tables = ask(airflow, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return "\n".join(row[0] for (name,) in tables for row in ask(airflow, _rows_as_text(name)))


@contextlib.contextmanager
def locked_deliveries(airflow: AirflowProcesses) -> Iterator[None]:
    """No other connection can write deliveries; on SQLite, none can write anything."""
    lock = "BEGIN EXCLUSIVE" if is_sqlite(airflow) else LOCK_DELIVERIES
    with holding(airflow, lock):
        yield


@contextlib.contextmanager
def locked_runs(airflow: AirflowProcesses) -> Iterator[None]:
    """On PostgreSQL: no other connection can write DAG runs."""
    with holding(airflow, "BEGIN; LOCK TABLE dag_run IN SHARE ROW EXCLUSIVE MODE"):
        yield


@contextlib.contextmanager
def holding(airflow: AirflowProcesses, lock: str) -> Iterator[None]:
    with _connected(airflow) as connection:
        cursor = connection.cursor()
        cursor.execute(lock)
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


def wait_until_a_run_waits_to_be_written(airflow: AirflowProcesses) -> None:
    """On PostgreSQL: return when an INSERT of a DAG run waits for a lock."""
    waiting = """
        SELECT 1 FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()
        AND query ILIKE 'INSERT INTO dag_run %'
    """
    give_up_at = time.monotonic() + LOCK_SECONDS
    while not ask(airflow, waiting):
        assert time.monotonic() < give_up_at, "no connection waits to write a DAG run"
        time.sleep(0.05)


def _rows_as_text(table: str) -> str:
    return f'SELECT t::text FROM public."{table}" t'


def _url(airflow: AirflowProcesses) -> str:
    return airflow.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]


def _sqlite_path(airflow: AirflowProcesses) -> Path:
    return Path(_url(airflow).removeprefix("sqlite:///"))


@contextlib.contextmanager
def _connected(airflow: AirflowProcesses) -> Iterator[Any]:
    """A connection that begins no transactions by itself."""
    if is_sqlite(airflow):
        connection: Any = sqlite3.connect(_sqlite_path(airflow), timeout=LOCK_SECONDS, isolation_level=None)
    else:
        connection = psycopg2.connect(_url(airflow).replace("+psycopg2", ""))
        connection.autocommit = True
    with contextlib.closing(connection):
        yield connection
