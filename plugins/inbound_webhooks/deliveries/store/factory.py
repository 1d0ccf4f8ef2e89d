"""Opens the delivery store for Airflow's database."""

from __future__ import annotations

from airflow import settings as airflow_settings

from inbound_webhooks.deliveries.store.base import Backend, DeliveryStore
from inbound_webhooks.deliveries.store.postgres import PostgresBackend
from inbound_webhooks.deliveries.store.sqlite import SqliteBackend
from inbound_webhooks.errors import DatabaseUnsupported


def open_store() -> DeliveryStore:
    """A store for one event loop.

    :raises DatabaseUnsupported: Airflow uses neither PostgreSQL nor SQLite
    """
    return DeliveryStore(backend_for(airflow_settings.engine.dialect.name))


def backend_for(dialect_name: str) -> Backend:
    """The backend of a SQLAlchemy dialect; raises DatabaseUnsupported."""
    if dialect_name == "postgresql":
        return PostgresBackend()
    if dialect_name == "sqlite":
        return SqliteBackend()
    raise DatabaseUnsupported(dialect_name)
