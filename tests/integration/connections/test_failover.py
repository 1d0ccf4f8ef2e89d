"""The primary fails, a standby takes its place: the endpoint goes on without a restart."""

from __future__ import annotations

import time
from contextlib import contextmanager

import pytest

from tests.infrastructure.database_proxy import DatabaseProxy
from tests.integration.connections.conftest import ORDER, connected, open_connections


@contextmanager
def replicated(copy_of):
    """A primary and its standby."""
    from tests.infrastructure.postgres import running_cluster

    options = ("wal_level=replica", "max_wal_senders=4")
    with (
        running_cluster(copy_of=copy_of, options=options) as primary,
        running_cluster(standby_of=primary) as standby,
    ):
        yield primary, standby


@pytest.fixture(scope="module")
def servers(migrated_cluster):
    with replicated(migrated_cluster) as both:
        yield both


@pytest.fixture
def primary(servers):
    return servers[0]


@pytest.fixture
def standby(servers):
    return servers[1]


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


@pytest.fixture
def on_standby(hook, primary, standby, proxy):
    """Airflow on a standby, behind an address that can lead to the primary; its connections are kept."""
    from tests.infrastructure.databases import TEMPLATE

    standby.wait_until_applied(primary)
    proxy.lead_to(standby.port)
    with connected(proxy.url(primary.url(TEMPLATE))):
        yield


def test_the_first_post_after_a_failover_is_accepted(hook, primary, proxy, on_standby, asgi):
    """Whichever connections lead to the standby, which stays one."""
    assert asgi.request("GET", hook.path).status == 200
    proxy.lead_to(primary.port)
    assert asgi.post(hook.path, ORDER).status == 202


def test_a_statement_of_its_own_commits_after_a_failover(primary, proxy, on_standby):
    from inbound_webhooks.storage.database import autocommit

    read_together(autocommit)
    proxy.lead_to(primary.port)
    autocommit(write)


def test_the_first_transaction_after_a_failover_writes(primary, proxy, on_standby):
    from inbound_webhooks.storage.database import LOOK_AGAIN_SECONDS, in_transaction

    read_together(in_transaction)
    time.sleep(LOOK_AGAIN_SECONDS)
    proxy.lead_to(primary.port)
    for _ in range(3):
        in_transaction(write)


def test_reads_of_a_server_that_stays_a_standby_open_no_connection_each(standby, on_standby):
    from inbound_webhooks.storage.database import in_transaction

    in_transaction(backend_pid)
    assert len({in_transaction(backend_pid) for _ in range(5)}) == 1


def backend_pid(connection) -> int:
    return connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()


def test_a_dispatcher_creates_the_run_in_its_first_round_after_a_failover(
    hook, primary, standby, proxy, on_standby, asgi
):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings
    from inbound_webhooks.storage.database import in_transaction

    proxy.lead_to(primary.port)
    assert asgi.post(hook.path, ORDER).status == 202
    proxy.lose()
    standby.wait_until_applied(primary)
    proxy.lead_to(standby.port)
    read_together(in_transaction)
    proxy.lead_to(primary.port)
    assert Dispatcher(Settings()).dispatch_due() >= 1


def test_the_run_tracker_leaves_no_connection_to_the_standby_behind(primary, proxy, on_standby):
    from inbound_webhooks.errors import DatabaseUnavailable
    from inbound_webhooks.storage.database import in_transaction, session_transaction

    def write_in_session():
        with session_transaction() as session:
            write(session.connection())

    read_together(in_transaction)
    proxy.lead_to(primary.port)
    with pytest.raises(DatabaseUnavailable):
        write_in_session()
    write_in_session()


def read_together(run):
    """Read on several connections at the same time, so that the pool keeps as many."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    from sqlalchemy import text

    together = Barrier(3, timeout=10)

    def read(connection):
        connection.execute(text("SELECT 1"))
        together.wait()

    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(run, read) for _ in range(3)]:
            done.result()


def write(connection):
    """A write that changes nothing; a standby refuses it."""
    from sqlalchemy import text

    connection.execute(text("UPDATE inbound_webhook SET version = version"))


class TestPromotion:
    """The standby takes the place of a primary that is gone, so each test needs servers of its own."""

    @pytest.fixture
    def servers(self, migrated_cluster):
        with replicated(migrated_cluster) as both:
            yield both

    def test_a_new_primary_is_found_behind_the_old_address(self, hook, primary, standby, proxy, asgi):
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
