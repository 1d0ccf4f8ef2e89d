"""A database that is away costs a sender a 503, never a 2xx for what was not stored, and nothing for ever."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.infrastructure.webhooks_builder import rows, states

ORDER = b'{"number": 1}'


@contextmanager
def stopped(cluster) -> Iterator[None]:
    cluster.stop()
    try:
        yield
    finally:
        cluster.start()


@contextmanager
def locked(database) -> Iterator[None]:
    """Another connection holds SQLite's only write lock."""
    connection = sqlite3.connect(database.url.removeprefix("sqlite:///"))
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


@pytest.fixture
def postgres_orders(postgres_database):
    from tests.infrastructure.dags_builder import store_dag
    from tests.infrastructure.webhooks_builder import store_webhook

    store_dag("orders")
    return store_webhook(mapping={"number": "${Webhook::Body.number}"})


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_without_its_server_a_request_is_put_off_and_later_taken(
    asgi, postgres_cluster, postgres_orders, method
):
    assert asgi.request(method, postgres_orders.path, chunks=[ORDER]).status // 100 == 2
    with stopped(postgres_cluster):
        reply = asgi.request(method, postgres_orders.path, chunks=[ORDER])
        assert (reply.status, reply.header("retry-after")) == (503, "10")
    assert asgi.request(method, postgres_orders.path, chunks=[ORDER]).status // 100 == 2


def test_an_unknown_url_is_put_off_too(asgi, postgres_cluster, postgres_orders):
    with stopped(postgres_cluster):
        reply = asgi.post(postgres_orders.path.replace(postgres_orders.id, "AAAAAAAAAA"), ORDER)
    assert reply.status == 503


def test_a_server_that_goes_while_the_body_arrives_costs_no_2xx(asgi, postgres_cluster, postgres_orders):
    import asyncio

    async def once_the_server_has_gone():
        await asyncio.to_thread(postgres_cluster.stop)

    try:
        reply = asgi.post(postgres_orders.path, ORDER, before_each_chunk=once_the_server_has_gone)
    finally:
        postgres_cluster.start()
    assert (reply.status, rows("delivery")) == (503, [])


def test_a_server_that_goes_between_insert_and_commit_costs_no_2xx(asgi, postgres_cluster, postgres_orders):
    """The webhook's row is locked, so the request waits with its row inserted and not committed."""
    import threading

    replies = []
    request = threading.Thread(target=lambda: replies.append(asgi.post(postgres_orders.path, ORDER)))
    holder = postgres_cluster.connect("airflow")
    holder.autocommit = False
    holder.cursor().execute("SELECT 1 FROM inbound_webhook FOR UPDATE")
    request.start()
    postgres_cluster.wait_until_blocked()
    with stopped(postgres_cluster):
        request.join(20)
    assert [reply.status for reply in replies] == [503]
    assert rows("delivery") == []


def test_a_locked_database_is_put_off_and_later_taken(asgi, sqlite_database, sqlite_orders):
    with locked(sqlite_database):
        reply = asgi.post(sqlite_orders.path, ORDER)
        assert (reply.status, reply.header("retry-after")) == (503, "10")
    assert asgi.post(sqlite_orders.path, ORDER).status == 202
    assert states() == ["accepted"]


def test_a_broken_file_is_put_off_and_later_taken(asgi, sqlite_database, sqlite_orders):
    from airflow import settings

    settings.engine.dispose()
    path = Path(sqlite_database.url.removeprefix("sqlite:///"))
    whole = path.read_bytes()
    path.write_bytes(b"not a database" * 1000)
    assert asgi.post(sqlite_orders.path, ORDER).status == 503
    settings.engine.dispose()
    path.write_bytes(whole)
    assert asgi.post(sqlite_orders.path, ORDER).status == 202


def test_what_a_database_says_does_not_reach_the_sender(asgi, postgres_cluster, postgres_orders):
    with stopped(postgres_cluster):
        reply = asgi.post(postgres_orders.path, ORDER)
    assert reply.json == {"status": "rejected", "error": "The database cannot be reached."}


def test_rejections_are_dropped_while_the_database_is_away(asgi, postgres_cluster, postgres_orders):
    from inbound_webhooks.receiver.instance import get_receiver

    asgi.request("PUT", postgres_orders.path)
    with stopped(postgres_cluster):
        get_receiver().rejections.flush()
    get_receiver().rejections.flush()
    assert rows("rejection") == []


def test_a_token_that_cannot_be_decrypted_is_our_problem(asgi, sqlite_orders):
    from airflow import settings

    from inbound_webhooks.storage import tables

    with settings.engine.begin() as connection:
        connection.execute(tables.token.update().values(encrypted="gAAAAA"))
    reply = asgi.post(sqlite_orders.path, ORDER)
    assert (reply.status, reply.header("retry-after")) == (503, "10")


def test_a_definition_that_does_not_compile_any_more_is_our_problem(asgi, sqlite_orders):
    from tests.infrastructure.webhooks_builder import change_webhook

    change_webhook(sqlite_orders.id, mapping={"number": "${Webhook::"})
    assert asgi.post(sqlite_orders.path, ORDER).status == 503
