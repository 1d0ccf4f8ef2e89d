"""Databases that cannot be used: commands, pages, REST and log name the cause, senders do not learn it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import event, make_url

from inbound_webhooks.monitoring.health import Health
from inbound_webhooks.receiver.self_report import SelfReport
from tests.infrastructure.asgi_endpoint import AsgiEndpoint
from tests.infrastructure.database_status import database_status
from tests.infrastructure.outdated_tables import MISSING_COLUMN, MISSING_TABLE, RUN_MIGRATE, outdated_tables
from tests.infrastructure.webhooks_builder import store_webhook


@pytest.fixture(params=[MISSING_TABLE, MISSING_COLUMN], ids=["no table", "no column"])
def outdated(request: pytest.FixtureRequest, database) -> Iterator[None]:
    with outdated_tables(request.param):
        yield


def read() -> None:
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.webhooks import list_webhooks

    with transaction() as connection:
        list_webhooks(connection)


def write() -> None:
    store_webhook("another one")


def health_codes() -> list[str]:
    """The codes of the problems in the health report."""
    document = asyncio.run(Health(database_status).report()).document
    return [problem["code"] for problem in document.get("problems", ())]


def message_of(work: Callable[[], None]) -> str:
    from inbound_webhooks.errors import DatabaseUnavailable

    with pytest.raises(DatabaseUnavailable) as raised:
        work()
    return raised.value.message


# --- outdated tables ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call", [("list",), ("create", "a", "--dag-id", "b"), ("check",), ("disable", "a")], ids=lambda it: it[0]
)
def test_a_command_says_to_migrate_in_one_line(webhooks, outdated, call):
    done = webhooks(*call)
    assert (done.status, done.out, done.err) == (1, "", f"{RUN_MIGRATE}\n")


@pytest.mark.parametrize("work", [read, write], ids=["reading", "writing"])
def test_error_log_and_environment_say_to_migrate(outdated, environment_problems, caplog, work):
    assert message_of(work) == RUN_MIGRATE
    assert environment_problems() == {"tables-missing": RUN_MIGRATE}
    assert any(
        "action=database_error" in record.getMessage() and RUN_MIGRATE in record.getMessage()
        for record in caplog.records
        if record.levelno == logging.ERROR
    )


def test_a_sender_does_not_learn_the_cause(database):
    hook = store_webhook()
    with outdated_tables():
        reply = AsgiEndpoint().post(hook.path)
    assert (reply.status, reply.header("retry-after")) == (503, "10")
    assert reply.json == {"status": "rejected", "error": "The database cannot be reached."}


# --- other causes, on PostgreSQL ------------------------------------------------------------


@pytest.fixture
def connect(postgres_cluster, postgres_database) -> Iterator[Callable[..., None]]:
    """A function that connects Airflow with other parts of its URL: connect(database="nowhere")."""
    from tests.infrastructure.databases import connect_airflow

    def connect_with(**parts: str) -> None:
        url = make_url(postgres_database.url).set(**parts)
        connect_airflow(url.render_as_string(hide_password=False))

    yield connect_with
    connect_airflow(postgres_database.url)


@pytest.fixture
def administer(postgres_cluster) -> Iterator[Callable[[str, str], None]]:
    """A function that runs a statement as the superuser now, and another one at the end of the test."""
    with ExitStack() as undo:

        def execute(statement: str) -> None:
            connection = postgres_cluster.connect("airflow")
            try:
                connection.cursor().execute(statement)
            finally:
                connection.close()

        def run(statement: str, undoing: str) -> None:
            execute(statement)
            undo.callback(execute, undoing)

        yield run


def test_a_user_without_privileges_is_to_be_granted_them(administer, connect, environment_problems):
    administer("CREATE ROLE stranger LOGIN", "DROP ROLE stranger")
    connect(username="stranger")
    assert "Grant the user" in message_of(read)
    assert list(environment_problems()) == ["database-not-permitted"]


def test_a_read_only_server_is_named_and_can_still_be_read(administer, connect, environment_problems):
    administer("CREATE ROLE reader LOGIN SUPERUSER", "DROP ROLE reader")
    administer(
        "ALTER ROLE reader SET default_transaction_read_only = on",
        "ALTER ROLE reader RESET default_transaction_read_only",
    )
    connect(username="reader")
    assert health_codes() == ["database-read-only"]
    SelfReport().save()  # which cannot be stored either
    assert list(environment_problems()) == ["database-read-only"]
    read()
    assert "read-only. Point [database] sql_alchemy_conn to the primary" in message_of(write)
    assert list(environment_problems()) == ["database-read-only"]


def test_a_database_that_does_not_exist_is_named(connect, environment_problems):
    connect(database="nowhere")
    assert "no such database" in message_of(read)
    assert list(environment_problems()) == ["database-missing"]


def test_a_login_that_the_server_refuses_is_named(connect, environment_problems):
    connect(username="nobody_here")
    assert "refuses the login" in message_of(read)
    assert list(environment_problems()) == ["database-login-refused"]


def test_a_server_without_a_free_connection_is_named(administer, connect, environment_problems):
    administer("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0", "DROP ROLE crowded")
    connect(username="crowded")
    assert "no more connections" in message_of(read)
    assert list(environment_problems()) == ["database-too-many-connections"]


def test_a_server_that_is_away_is_unreachable_and_no_problem_to_fix(
    postgres_cluster, connect, environment_problems
):
    postgres_cluster.stop()
    try:
        assert message_of(read) == "The database cannot be reached."
        assert environment_problems() == {}
    finally:
        postgres_cluster.start()


# --- other causes, on SQLite ----------------------------------------------------------------


def test_a_file_that_is_read_only_is_named(sqlite_database, environment_problems):
    from airflow import settings

    # Not by the file's mode, which does not bind a superuser.
    settings.engine.dispose()
    event.listen(settings.engine, "connect", refuse_writes)
    try:
        assert health_codes() == ["database-read-only"]
        read()
        assert "make the file writable" in message_of(write)
        assert list(environment_problems()) == ["database-read-only"]
    finally:
        event.remove(settings.engine, "connect", refuse_writes)
        settings.engine.dispose()


def refuse_writes(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA query_only = ON")
