"""Alembic's entry: runs our migrations on Airflow's database, with a version table of our own."""

from __future__ import annotations

from typing import Any

from airflow import settings
from alembic import context
from sqlalchemy import Connection, event, func, select

from inbound_webhooks.storage.database_manager import WebhookDBManager

metadata = WebhookDBManager.metadata
table_names = {table.name for table in metadata.tables.values()}


def include_object(_object: Any, name: str | None, type_: str, _reflected: bool, _compare_to: Any) -> bool:
    """Keep Airflow's own tables out of autogenerate."""
    return type_ != "table" or name in table_names


OPTIONS: dict[str, Any] = {
    "target_metadata": metadata,
    "version_table": WebhookDBManager.version_table_name,
    "version_table_schema": metadata.schema,
    "include_object": include_object,
    "compare_type": True,
    "compare_server_default": True,
    "render_as_batch": True,
}


def run_offline() -> None:
    """Print the SQL instead of running it."""
    context.configure(url=settings.SQL_ALCHEMY_CONN, literal_binds=True, **OPTIONS)
    with context.begin_transaction():
        dialect = context.get_context().dialect
        if metadata.schema and dialect.name == "postgresql":
            schema = dialect.identifier_preparer.quote_identifier(metadata.schema)
            context.execute(f"SET LOCAL search_path TO {schema}")
        context.run_migrations()


def run_online() -> None:
    """Run on Airflow's engine."""
    with settings.engine.connect() as connection:
        if metadata.schema and connection.dialect.name == "postgresql":
            event.listen(connection, "begin", use_schema)
        context.configure(connection=connection, transaction_per_migration=True, **OPTIONS)
        with context.begin_transaction():
            context.run_migrations()


def use_schema(connection: Connection) -> None:
    """Make the schema the only one in which the migrations see and create tables: they name none.

    For one transaction, since a pooler may give the session to another client after it.
    """
    path = func.quote_ident(metadata.schema)
    connection.execute(select(func.set_config("search_path", path, True)))


if context.is_offline_mode():
    run_offline()
else:
    run_online()
