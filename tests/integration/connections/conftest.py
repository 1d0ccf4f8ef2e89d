"""Servers as deployments have them: TLS, passwords, poolers, standbys."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from tests.infrastructure.receiver_fixtures import asgi, configure

__all__ = ["asgi", "configure"]

ORDER = b'{"number": 1}'


@pytest.fixture(scope="session")
def stored_hook():
    """A function that stores DAG and webhook in a database once, and returns the webhook."""
    stored = {}

    def stored_hook(url):
        from tests.infrastructure.dags_builder import store_dag
        from tests.infrastructure.databases import TEMPLATE
        from tests.infrastructure.webhooks_builder import store_webhook

        assert TEMPLATE in url
        if url not in stored:
            with connected(url):
                store_dag("orders")
                stored[url] = store_webhook()
        return stored[url]

    return stored_hook


@contextmanager
def connected(url, monkeypatch=None, **settings):
    """This process's Airflow on a database, with these settings of the section [database]."""
    from tests.infrastructure.databases import connect_airflow, disconnect_airflow

    for name, value in settings.items():
        monkeypatch.setenv(f"AIRFLOW__DATABASE__{name.upper()}", value)
    connect_airflow(url)
    try:
        yield
    finally:
        disconnect_airflow()


def problems():
    """The codes of this process's problems."""
    from inbound_webhooks.monitoring.environment import ENVIRONMENT

    return [problem.code for problem in ENVIRONMENT.problems()]


def open_connections(receiver):
    """The idle connections of an endpoint."""
    return [held for held in receiver.store._backend._connections._free._queue if held is not None]


@pytest.fixture(scope="session")
def secured(migrated_cluster, tmp_path_factory, stored_hook):
    """A server with TLS and several logins, in whose database a webhook is stored."""
    from tests.infrastructure.secured_postgres import running_secured

    with running_secured(migrated_cluster, tmp_path_factory.mktemp("client")) as server:
        server.hook = stored_hook(server.url("airflow@{here}/{db}"))
        yield server
