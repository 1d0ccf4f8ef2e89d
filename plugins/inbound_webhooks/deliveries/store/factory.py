"""Opens the delivery store for Airflow's database."""

from __future__ import annotations

from airflow import settings as airflow_settings

from inbound_webhooks.deliveries.store.backend import Backend
from inbound_webhooks.deliveries.store.base import DeliveryStore
from inbound_webhooks.deliveries.store.postgres import PostgresBackend
from inbound_webhooks.deliveries.store.sqlite import SqliteBackend
from inbound_webhooks.errors import DatabaseUnsupported
from inbound_webhooks.settings import Settings


def open_store(settings: Settings | None = None) -> DeliveryStore:
    """A store for one event loop, with the default settings unless others are given.

    :raises DatabaseUnsupported: Airflow uses neither PostgreSQL nor SQLite
    """
    backend = backend_for(airflow_settings.engine.dialect.name)
    return DeliveryStore(backend, max_waiting_requests=(settings or Settings()).max_waiting_requests)


def backend_for(dialect_name: str) -> Backend:
    """The backend of a SQLAlchemy dialect; raises DatabaseUnsupported."""
    if dialect_name == "postgresql":
        return PostgresBackend()
    if dialect_name == "sqlite":
        return SqliteBackend()
    raise DatabaseUnsupported(dialect_name)
