"""A pooler that gives each transaction another connection to the server: nothing has to be set."""

from __future__ import annotations

import asyncio

import pytest

from tests.infrastructure.pgbouncer import PgBouncer
from tests.integration.connections.conftest import ORDER, connected, problems


@pytest.fixture(scope="module")
def cluster(migrated_cluster):
    from tests.infrastructure.postgres import running_cluster

    with running_cluster(copy_of=migrated_cluster) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def hook(cluster, stored_hook):
    from tests.infrastructure.databases import TEMPLATE

    return stored_hook(cluster.url(TEMPLATE))


@pytest.fixture
def pgbouncer(cluster, hook):
    from tests.infrastructure.databases import TEMPLATE

    pooler = PgBouncer(cluster)
    try:
        pooler.start()
        with connected(pooler.url(cluster.url(TEMPLATE))):
            yield pooler
    finally:
        pooler.remove()


def endpoints(count):
    """As many endpoints, each with connections of its own, as gateways on several machines have."""
    from tests.infrastructure.asgi_endpoint import AsgiEndpoint
    from tests.infrastructure.loop import new_receiver

    receivers = [new_receiver() for _ in range(count)]
    return [AsgiEndpoint(receiver=lambda receiver=receiver: receiver) for receiver in receivers]


def post_at_all(endpoints, hook, times):
    """The statuses of as many requests to each, all at the same time."""
    from tests.infrastructure.asgi_endpoint import JSON
    from tests.infrastructure.loop import on_the_loop

    headers = [*JSON, ("content-length", str(len(ORDER)))]

    async def post():
        requests = [
            endpoint.send("POST", hook.path, headers=headers, chunks=[ORDER])
            for _ in range(times)
            for endpoint in endpoints
        ]
        return await asyncio.gather(*requests)

    return [reply.status for reply in on_the_loop(post())]


def test_two_endpoints_share_the_connections_of_the_pooler(pgbouncer, hook):
    both = endpoints(2)
    for _ in range(10):
        assert post_at_all(both, hook, times=5) == [202] * 10
    assert problems() == []


def test_an_endpoint_that_starts_anew_meets_no_statement_of_the_last_one(pgbouncer, hook):
    for _ in range(3):
        assert post_at_all(endpoints(1), hook, times=3) == [202] * 3


def test_a_restart_of_the_pooler_costs_no_sender_anything(pgbouncer, hook):
    both = endpoints(2)
    assert post_at_all(both, hook, times=2) == [202] * 4
    pgbouncer.stop()
    pgbouncer.start()
    assert post_at_all(both, hook, times=2) == [202] * 4


def test_a_pooler_that_passes_for_a_server_is_found_out_by_its_errors(pgbouncer, hook):
    """Where process ids give nothing away, the first lost statement does."""
    from tests.infrastructure.loop import on_the_loop

    async def unnoticed():
        from airflow import settings

        from inbound_webhooks.storage import connect_arguments, postgres_connection

        connection = await postgres_connection.connect(connect_arguments.conninfo_of(settings.engine))
        assert not connection.prepares
        connection.prepares = True
        return connection

    first, second = endpoints(2)
    for endpoint in (first, second):
        connections = _pool_of(endpoint)
        for _ in range(connections._free.qsize()):
            connections._free.get_nowait()
        for _ in range(2):
            connections._free.put_nowait(on_the_loop(unnoticed()))
    for _ in range(10):
        assert post_at_all([first, second], hook, times=3) == [202] * 6


def test_the_engine_itself_prepares_nothing_either(cluster, pgbouncer, hook):
    """For transactions of ours on Airflow's engine, with the driver that prepares statements by itself."""
    from concurrent.futures import ThreadPoolExecutor

    from inbound_webhooks.storage.database import autocommit, in_transaction, session_transaction
    from inbound_webhooks.storage.webhooks import list_webhooks
    from tests.infrastructure.databases import TEMPLATE

    def read_often(work):
        for _ in range(30):
            work()

    def read_in_session():
        with session_transaction() as session:
            list_webhooks(session.connection())

    url = pgbouncer.url(cluster.url(TEMPLATE)).replace("psycopg2", "psycopg")
    kinds = (lambda: in_transaction(list_webhooks), lambda: autocommit(list_webhooks), read_in_session)
    with connected(url), ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(read_often, kind) for kind in kinds * 2]:
            done.result()
    assert problems() == ["pooler-loses-statements"]


def test_without_a_pooler_statements_are_prepared(cluster, hook):
    from airflow import settings

    from inbound_webhooks.storage import connect_arguments, postgres_connection
    from tests.infrastructure.databases import TEMPLATE
    from tests.infrastructure.loop import on_the_loop

    async def prepares():
        connection = await postgres_connection.connect(connect_arguments.conninfo_of(settings.engine))
        try:
            return connection.prepares
        finally:
            connection.terminate()

    with connected(cluster.url(TEMPLATE)):
        assert on_the_loop(prepares()) is True


def _pool_of(endpoint):
    for middleware in endpoint.app.user_middleware:
        if "receiver" in middleware.kwargs:
            return middleware.kwargs["receiver"]().store._backend._connections
    raise AssertionError("no guard")
