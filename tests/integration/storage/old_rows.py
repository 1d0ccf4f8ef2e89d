"""Rows that an earlier revision wrote, in JSON files: put into tables of that revision, and read back."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, DateTime, Integer, LargeBinary, MetaData, Table, func, select

Rows = list[dict[str, Any]]

SINCE_THE_RENAMES = (
    *("endpoint", "role_grant", "replay_job", "replay_item", "captured"),
    *("activity", "activity_hour", "response", "result_token", "wait", "hold"),
)
"""Tables of which no file has rows: they are newer."""


def migrate_to(revision: str) -> None:
    """Take the tables of this process's Airflow up or down to a revision."""
    from airflow import settings
    from alembic import command

    from inbound_webhooks.storage.database_manager import WebhookDBManager

    with settings.NonScopedSession() as session:
        manager = WebhookDBManager(session)
        config, current = manager.get_alembic_config(), manager.get_current_revision()
    command.downgrade(config, revision) if revision < (current or "") else command.upgrade(config, revision)


def make_tables_of(revision: str) -> None:
    """Empty tables as a revision had them."""
    migrate_to("base")
    migrate_to(revision)


def write_rows(written: Mapping[str, Rows]) -> None:
    """Insert the rows of some tables."""
    from airflow import settings

    with settings.engine.begin() as connection:
        for name, found in written.items():
            table = _reflected(name, connection)
            connection.execute(table.insert(), [_converted(table, row, _to_database) for row in found])
            has_sequence = "id" in table.c and isinstance(table.c.id.type, Integer)
            if connection.dialect.name == "postgresql" and has_sequence:
                # The ids were given, so the sequence has not counted them.
                last = connection.scalar(select(func.max(table.c.id)))
                quoted = connection.dialect.identifier_preparer.format_table(table)
                sequence = func.pg_get_serial_sequence(quoted, "id")
                connection.execute(select(func.setval(sequence, last)))


def read_rows(name: str) -> Rows:
    """All rows of a table by primary key, as a JSON file has them."""
    from airflow import settings

    with settings.engine.connect() as connection:
        table = _reflected(name, connection)
        found = connection.execute(table.select().order_by(*table.primary_key.columns)).mappings().all()
    return [_converted(table, dict(row), _from_database) for row in found]


def _reflected(name: str, connection: Connection) -> Table:
    """A table as the database has it, in the schema of ours."""
    from inbound_webhooks.storage.tables import metadata

    return Table(name, MetaData(schema=metadata.schema), autoload_with=connection)


def _converted(table: Table, row: dict[str, Any], convert: Callable[..., Any]) -> dict[str, Any]:
    return {key: None if value is None else convert(table.c[key].type, value) for key, value in row.items()}


def _to_database(kind: Any, value: Any) -> Any:
    if isinstance(kind, DateTime):
        return datetime.fromisoformat(value)
    return base64.b64decode(value) if isinstance(kind, LargeBinary) else value


def _from_database(kind: Any, value: Any) -> Any:
    if isinstance(kind, DateTime):
        return value.isoformat().removesuffix("+00:00") + "+00:00"
    return base64.b64encode(value).decode() if isinstance(kind, LargeBinary) else value
