"""Rows of this process's Airflow database, by plain SQL over reflected tables."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Connection, MetaData, Table, delete, insert, select, update

from tests.recording import changes
from tests.recording.adapter import TABLES

OTHER_KEY = b"b3RoZXIga2V5IG9mIDMyIGJ5dGVzLCBub3Qgb3Vycy4="
"""A Fernet key that this Airflow does not have."""

Row = dict[str, Any]


def connect() -> Any:
    from airflow import settings

    return settings.engine.begin()


@cache
def table(name: str) -> Table:
    from airflow import settings

    return Table(TABLES.get(name, name), MetaData(), autoload_with=settings.engine)


def columns(name: str) -> list[str]:
    """The columns of a table by their recorded names."""
    return sorted(changes.recorded_columns(name, [column.name for column in table(name).columns]).values())


def rows(name: str) -> list[Row]:
    """All rows in the order of their ids, by the recorded names of their columns, binary ones as bytes."""
    return [_of_record(name, row) for row in _rows(name)]


def _rows(name: str) -> list[Row]:
    """The same by the names of now."""
    found = table(name)
    with connect() as connection:
        return [_plain(row) for row in connection.execute(select(found).order_by(found.c.id)).mappings()]


def _of_record(name: str, row: Row) -> Row:
    return {recorded: row[column] for column, recorded in changes.recorded_columns(name, row).items()}


def rows_by_webhook(name: str) -> dict[str, list[Row]]:
    return _grouped(rows(name))


def _grouped(rows: Iterable[Row]) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row["webhook_id"]].append(row)
    return grouped


def encrypted(text: str, *, key: bytes | None = None) -> str:
    """As Airflow encrypts it; with another key nothing of this Airflow can decrypt it."""
    return Fernet(key or os.environ["AIRFLOW__CORE__FERNET_KEY"].encode()).encrypt(text.encode()).decode()


def decrypted(text: str) -> str:
    return Fernet(os.environ["AIRFLOW__CORE__FERNET_KEY"].encode()).decrypt(text.encode()).decode()


def copy_webhooks(copies: Iterable[tuple[str, str, str]]) -> None:
    """Copy stored webhooks, each with its secrets: (id of the original, id and token of the copy)."""
    webhooks = {row["id"]: row for row in _rows("webhook")}
    secrets, tokens = _grouped(_rows("secret")), _grouped(_rows("token"))
    new: dict[str, list[Row]] = {"webhook": [], "token": [], "secret": []}
    for original, webhook_id, token in copies:
        own = {"webhook_id": webhook_id}
        new["webhook"].append(webhooks[original] | {"id": webhook_id, "name": f"hook {webhook_id}"})
        new["token"].append(_without_id(tokens[original][0]) | own | {"encrypted": encrypted(token)})
        new["secret"] += [_without_id(secret) | own for secret in secrets[original]]
    with connect() as connection:
        for name, of_table in new.items():
            connection.execute(insert(table(name)), of_table)


def set_newest_token(webhook_id: str, token: str) -> None:
    """Give a webhook a known token in place of the one that was made at random."""
    newest = rows_by_webhook("token")[webhook_id][-1]
    with connect() as connection:
        _update(connection, "token", {"id": newest["id"]}, encrypted=encrypted(token))


def damage(webhook_id: str, name: str, *, column: str = "", value: Any = None, **values: Any) -> None:
    """Write columns of a webhook's rows that the product would not write: "token", "secret" or "webhook".

    As with every change the webhook has another version afterwards.
    """
    if column:
        values[column] = value
    if values.pop("unreadable", False):
        values["encrypted"] = encrypted("unreadable", key=OTHER_KEY)
    key = "id" if name == "webhook" else "webhook_id"
    with connect() as connection:
        _update(connection, name, {key: webhook_id}, **values)
        _update(connection, "webhook", {"id": webhook_id}, version=table("webhook").c.version + 1)


def change_dag(dag_id: str, **values: Any) -> None:
    with connect() as connection:
        _update(connection, "dag", {"dag_id": dag_id}, **values)


def unserialize_dag(dag_id: str) -> None:
    with connect() as connection:
        found = table("dag_version")
        connection.execute(delete(found).where(found.c.dag_id == dag_id))


def runs_by_run_id() -> dict[str, Row]:
    """All DAG runs, each with its note."""
    notes = table("dag_run_note")
    with connect() as connection:
        of_runs = {row.dag_run_id: row.content for row in connection.execute(select(notes))}
    return {row["run_id"]: row | {"note": of_runs.get(row["id"])} for row in rows("dag_run")}


def _update(connection: Connection, name: str, where: Mapping[str, Any], **values: Any) -> None:
    found = table(name)
    conditions = [found.c[column] == value for column, value in where.items()]
    renamed = {changes.COLUMNS.get(name, {}).get(column, column): value for column, value in values.items()}
    connection.execute(update(found).where(*conditions).values(renamed))


def _plain(row: Mapping[str, Any]) -> Row:
    return {name: bytes(it) if isinstance(it, memoryview) else it for name, it in row.items()}


def _without_id(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "id"}
