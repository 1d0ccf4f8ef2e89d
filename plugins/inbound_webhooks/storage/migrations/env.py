"""Alembic's entry: runs our migrations on Airflow's database, with a version table of our own."""

from __future__ import annotations

from typing import Any

from airflow import settings
from alembic import context

from inbound_webhooks.storage.database_manager import WebhookDBManager

metadata = WebhookDBManager.metadata


def include_object(_object: Any, name: str | None, type_: str, _reflected: bool, _compare_to: Any) -> bool:
    """Keep Airflow's own tables out of autogenerate."""
    return type_ != "table" or name in metadata.tables


OPTIONS: dict[str, Any] = {
    "target_metadata": metadata,
    "version_table": WebhookDBManager.version_table_name,
    "include_object": include_object,
    "compare_type": True,
    "compare_server_default": True,
    "render_as_batch": True,
}


def run_offline() -> None:
    """Print the SQL instead of running it."""
    context.configure(url=settings.SQL_ALCHEMY_CONN, literal_binds=True, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    """Run on Airflow's engine."""
    with settings.engine.connect() as connection:
        context.configure(connection=connection, transaction_per_migration=True, **OPTIONS)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
