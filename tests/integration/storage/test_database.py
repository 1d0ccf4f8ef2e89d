"""Transactions: what they say when the database does not play along, and how SQLite's lock is taken."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.infrastructure.webhooks_builder import rows, store_webhook


def rename(connection, name: str) -> None:
    connection.execute(text("UPDATE inbound_webhook SET name = :name"), {"name": name})


def move(dag_id: str) -> None:
    """Another connection's transaction."""
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        connection.execute(text("UPDATE inbound_webhook SET dag_id = :dag_id"), {"dag_id": dag_id})


def test_a_transaction_that_writes_after_it_has_read_is_not_cut_off_by_another_writer(sqlite_database):
    from inbound_webhooks.storage.database import begin_writing, session_transaction

    store_webhook()
    other = threading.Thread(target=move, args=("another",))
    with session_transaction() as session:
        connection = session.connection()
        begin_writing(connection)
        reading = connection.execute(text("SELECT name FROM inbound_webhook UNION SELECT 'more'"))
        reading.fetchone()
        other.start()
        other.join(0.2)
        rename(connection, "renamed")
        reading.close()
    other.join()
    (webhook,) = rows("webhook")
    assert (webhook.name, webhook.dag_id) == ("renamed", "another")


def test_begin_writing_keeps_other_writers_out_until_the_end(sqlite_database):
    from inbound_webhooks.storage.database import begin_writing, transaction

    store_webhook()
    with transaction() as connection:
        begin_writing(connection)
        other = threading.Thread(target=move, args=("another",))
        other.start()
        other.join(0.2)
        assert other.is_alive()
    other.join(5)
    assert rows("webhook")[0].dag_id == "another"


def test_begin_writing_writes_nothing(database):
    from inbound_webhooks.storage.database import begin_writing, transaction

    store_webhook()
    before = rows("webhook")
    with transaction() as connection:
        begin_writing(connection)
    assert rows("webhook") == before


def test_a_transaction_that_ends_with_an_error_leaves_nothing(database):
    from inbound_webhooks.storage.database import transaction

    hook = store_webhook()
    with pytest.raises(ZeroDivisionError), transaction() as connection:  # noqa: PT012
        rename(connection, "changed")
        1 / 0  # noqa: B018
    assert rows("webhook")[0].name == hook.name


@pytest.mark.parametrize("opened", ["transaction", "session_transaction"])
def test_a_database_that_is_away_is_unavailable_until_it_is_back(postgres_cluster, postgres_database, opened):
    from inbound_webhooks.errors import DatabaseUnavailable

    ask(opened)
    with stopped(postgres_cluster), pytest.raises(DatabaseUnavailable):
        ask(opened)
    ask(opened)


def test_a_file_that_is_no_database_is_unavailable(sqlite_database):
    from airflow import settings

    from inbound_webhooks.errors import DatabaseUnavailable
    from inbound_webhooks.storage.database import transaction

    settings.engine.dispose()
    Path(sqlite_database.url.removeprefix("sqlite:///")).write_bytes(b"not a database" * 100)
    with pytest.raises(DatabaseUnavailable), transaction() as connection:
        connection.execute(text("SELECT * FROM inbound_webhook"))


def test_a_database_without_our_tables_is_unavailable(database):
    from inbound_webhooks.errors import DatabaseUnavailable
    from inbound_webhooks.storage.database import transaction

    with pytest.raises(DatabaseUnavailable), transaction() as connection:
        connection.execute(text("SELECT * FROM inbound_webhook_of_tomorrow"))


def test_neither_the_error_nor_the_log_quotes_a_statement(database, caplog):
    from inbound_webhooks.errors import DatabaseUnavailable
    from inbound_webhooks.storage.database import transaction

    statement = text("SELECT * FROM nowhere WHERE secret = :secret")
    with caplog.at_level(logging.DEBUG), pytest.raises(DatabaseUnavailable) as raised:  # noqa: SIM117
        with transaction() as connection:
            connection.execute(statement, {"secret": "a canary"})
    assert "action=database_error" in caplog.text
    assert "canary" not in caplog.text + str(raised.value)
    assert raised.value.__cause__ is None


def test_a_transaction_is_never_airflows_scoped_session(database):
    from airflow import settings

    from inbound_webhooks.storage.database import session_transaction, transaction

    with transaction() as connection, session_transaction() as session:
        assert session is not settings.Session()
        assert connection is not settings.Session().connection()
    settings.Session.remove()


def test_a_lock_is_waited_for_no_longer_than_its_time_out(postgres_database):
    from inbound_webhooks.storage.database import LOCK_TIMEOUT_SECONDS, transaction

    with transaction() as connection:
        assert connection.scalar(text("SHOW lock_timeout")) == f"{LOCK_TIMEOUT_SECONDS}s"


def test_the_time_out_of_a_lock_is_only_ours(postgres_database):
    from airflow import settings

    from inbound_webhooks.storage.database import transaction

    with transaction():
        pass
    with settings.engine.connect() as connection:
        assert connection.scalar(text("SHOW lock_timeout")) == "0"


def ask(opened: str) -> None:
    """One statement in a transaction of either kind."""
    from inbound_webhooks.storage import database

    with getattr(database, opened)() as connection:
        connection.execute(text("SELECT 1"))


@contextmanager
def stopped(cluster) -> Iterator[None]:
    """PostgreSQL away for a while."""
    cluster.stop()
    try:
        yield
    finally:
        cluster.start()
