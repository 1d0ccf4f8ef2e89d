"""The primary fails, a standby takes its place: the endpoint goes on without a restart."""

from __future__ import annotations

import pytest

from tests.infrastructure.database_proxy import DatabaseProxy
from tests.integration.connections.conftest import ORDER, connected, open_connections


@pytest.fixture
def primary(migrated_cluster):
    from tests.infrastructure.postgres import running_cluster

    with running_cluster(
        copy_of=migrated_cluster, options=("wal_level=replica", "max_wal_senders=4")
    ) as cluster:
        yield cluster


@pytest.fixture
def standby(primary):
    from tests.infrastructure.postgres import running_cluster

    with running_cluster(standby_of=primary) as cluster:
        yield cluster


@pytest.fixture
def hook(primary, stored_hook):
    from tests.infrastructure.databases import TEMPLATE

    return stored_hook(primary.url(TEMPLATE))


@pytest.fixture
def proxy(primary):
    """The address that clients know; where it leads changes."""
    proxy = DatabaseProxy(primary.port)
    proxy.start()
    yield proxy
    proxy.stop()


def test_a_connection_to_a_standby_is_replaced_once_there_is_a_primary(hook, primary, standby, proxy, asgi):
    from tests.infrastructure.databases import TEMPLATE

    standby.wait_until_applied(primary)
    proxy.lead_to(standby.port)
    with connected(proxy.url(primary.url(TEMPLATE))):
        # A standby reads, so the connection opens and the webhook is found; only the commit fails.
        assert asgi.post(hook.path, ORDER).status == 503
        standby.promote()
        assert [asgi.post(hook.path, ORDER).status for _ in range(2)] == [202, 202]


def test_a_new_primary_is_found_behind_the_old_address(hook, primary, standby, proxy, asgi):
    from tests.infrastructure.databases import TEMPLATE

    with connected(proxy.url(primary.url(TEMPLATE))):
        assert asgi.post(hook.path, ORDER).status == 202
        standby.wait_until_applied(primary)
        primary.crash()
        assert asgi.post(hook.path, ORDER).status == 503
        standby.promote()
        proxy.lead_to(standby.port)
        proxy.lose()
        assert [asgi.post(hook.path, ORDER).status for _ in range(2)] == [202, 202]


def test_a_connection_is_replaced_when_it_is_old(postgres_database, monkeypatch):
    from tests.infrastructure.asgi_endpoint import AsgiEndpoint
    from tests.infrastructure.dags_builder import store_dag
    from tests.infrastructure.loop import new_receiver
    from tests.infrastructure.webhooks_builder import store_webhook

    store_dag("orders")
    hook = store_webhook()
    with connected(postgres_database.url, monkeypatch, sql_alchemy_pool_recycle="600"):
        receiver = new_receiver()
        endpoint = AsgiEndpoint(receiver=lambda: receiver)
        assert endpoint.post(hook.path, ORDER).status == 202
        before = backend_pids()
        assert endpoint.post(hook.path, ORDER).status == 202
        assert backend_pids() == before
        for connection in open_connections(receiver):
            connection.opened_at -= 601
        assert endpoint.post(hook.path, ORDER).status == 202
        assert not backend_pids() & before


def backend_pids():
    """The server's processes of the endpoint's own connections, which prepare their statements."""
    from sqlalchemy import text

    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        ours = "query LIKE '%json_to_recordset%' AND pid <> pg_backend_pid()"
        return set(connection.scalars(text(f"SELECT pid FROM pg_stat_activity WHERE {ours}")))
