"""What the endpoint cannot work with is named in the same words by log, health report, check and pages."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import logging
import re
from contextlib import contextmanager
from pathlib import Path

import pytest

import inbound_webhooks
from inbound_webhooks.monitoring.environment import CODES
from inbound_webhooks.storage import database_causes
from inbound_webhooks.storage.database_causes import Cause
from tests.infrastructure.outdated_tables import MISSING_COLUMN, MISSING_TABLE, outdated_tables
from tests.infrastructure.pages import page
from tests.infrastructure.webhooks_builder import store_webhook
from tests.integration.storage.conftest import use_fernet_key
from tests.integration.web.conftest import made

__all__ = ["use_fernet_key"]


@pytest.fixture(scope="module")
def pages(template_of):
    yield from made("simple", template_of("postgresql"))


@contextmanager
def stopped_server(context):
    context.cluster.stop()
    try:
        yield
    finally:
        context.cluster.start()


def altered_tables(statements):
    @contextmanager
    def altered(_context):
        with outdated_tables(statements):
            yield

    return altered


def other_url(*, statement="", undo="", **parts):
    """Airflow on a URL with other parts; ``statement`` makes what it needs, ``undo`` removes it."""

    @contextmanager
    def connected(context):
        from tests.infrastructure.databases import connect_airflow

        context.execute(statement)
        connect_airflow(context.url(**parts))
        try:
            yield
        finally:
            connect_airflow(context.url())
            context.execute(undo)

    return connected


@contextmanager
def own_connections(context):
    """A listener that opens connections itself."""
    import psycopg2
    from airflow import settings
    from sqlalchemy import event

    def connect(*_arguments):
        return psycopg2.connect(host="127.0.0.1", port=context.cluster.port, user="airflow", dbname="airflow")

    event.listen(settings.engine, "do_connect", connect)
    try:
        yield
    finally:
        event.remove(settings.engine, "do_connect", connect)


@contextmanager
def disk_full(context):
    """PostgreSQL calls a trigger of a statement even where that inserts no row."""
    context.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full'; END $$; "
        "CREATE TRIGGER full_disk BEFORE INSERT ON inbound_webhook_delivery EXECUTE FUNCTION fail()"
    )
    try:
        yield
    finally:
        context.execute("DROP FUNCTION fail CASCADE")


def started_with(name="", value="", *, driver=""):
    """An api-server that starts with a wrong setting, or on a database of another kind."""

    @contextmanager
    def started(context):
        from airflow import settings
        from sqlalchemy import create_engine

        from inbound_webhooks.receiver.instance import forget_receiver
        from inbound_webhooks.rest import app

        async def start_and_stop():
            async with app.lifespan(app.app):
                pass

        forget_receiver()
        if name:
            context.use_fernet_key(value) if "FERNET" in name else context.set(name, value)
        if driver:
            engine = create_engine("sqlite://")
            engine.dialect.name = driver
            context.patch.setattr(settings, "engine", engine)
        asyncio.run(start_and_stop())
        if driver:
            context.patch.undo()
        yield
        forget_receiver()

    return started


@contextmanager
def other_key(context):
    context.use_fernet_key(base64.urlsafe_b64encode(b"another key, of 32 bytes too....").decode())
    yield


@contextmanager
def replaced_address(context):
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    from tests.infrastructure.asgi_endpoint import JSON, AsgiEndpoint

    endpoint = AsgiEndpoint()
    endpoint.app = ProxyHeadersMiddleware(endpoint.app, "*")
    endpoint.post(context.hook.path, b"{}", [*JSON, ("x-forwarded-for", "203.0.113.7")])
    yield


@contextmanager
def unusable_async_url(context):
    from tests.infrastructure.databases import connect_airflow

    url = context.url(drivername="postgresql+asyncpg", query={"colour": "red"})
    context.set("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC", url)
    connect_airflow(context.url())
    try:
        yield
    finally:
        context.patch.undo()
        connect_airflow(context.url())


@contextmanager
def pooler(context):
    from inbound_webhooks.storage.database import in_transaction
    from inbound_webhooks.storage.webhooks import list_webhooks
    from tests.infrastructure.databases import connect_airflow
    from tests.infrastructure.pgbouncer import PgBouncer

    pgbouncer = PgBouncer(context.cluster)
    try:
        pgbouncer.start()
        connect_airflow(pgbouncer.url(context.url()).replace("psycopg2", "psycopg"))
        in_transaction(list_webhooks)
        yield
    finally:
        connect_airflow(context.url())
        pgbouncer.remove()


@contextmanager
def no_slow_checks(_context):
    from inbound_webhooks.airflow_bridge.check_process import CheckProcess
    from inbound_webhooks.errors import TooBusy

    with pytest.raises(TooBusy):
        CheckProcess("/nowhere/python").refusal({"pattern": "^(?=a)"}, "a")
    yield


@contextmanager
def failing_thread(_context):
    from inbound_webhooks.monitoring.loop import FAILING_ROUNDS, Failures

    failures = Failures("dispatcher", seconds=1)
    for _ in range(FAILING_ROUNDS):
        failures.note(ValueError("a bug"))
    yield
    failures.end()


TABLES = ("tables-missing", "Tables in the database are missing or outdated.")
NOT_PERMITTED = ("database-not-permitted", "The database refuses access to a table.")
CAUSES = {
    "server stopped": (stopped_server, "database-unavailable", "The database cannot be reached."),
    "no table": (altered_tables(MISSING_TABLE), *TABLES),
    "no column": (altered_tables(MISSING_COLUMN), *TABLES),
    "no privileges": (
        other_url(username="stranger", statement="CREATE ROLE stranger LOGIN", undo="DROP ROLE stranger"),
        *NOT_PERMITTED,
    ),
    "no privilege to write": (
        other_url(
            username="stranger",
            statement="CREATE ROLE stranger LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO stranger",
            undo="DROP OWNED BY stranger; DROP ROLE stranger",
        ),
        *NOT_PERMITTED,
    ),
    "read-only": (
        other_url(
            username="reader",
            statement="CREATE ROLE reader LOGIN SUPERUSER; "
            "ALTER ROLE reader SET default_transaction_read_only = on",
            undo="DROP ROLE reader",
        ),
        "database-read-only",
        "The database is read-only.",
    ),
    "disk full": (
        disk_full,
        "database-exhausted",
        "The database server has no disk space or memory left.",
    ),
    "no free connection": (
        other_url(
            username="crowded",
            statement="CREATE ROLE crowded LOGIN CONNECTION LIMIT 0",
            undo="DROP ROLE crowded",
        ),
        "database-too-many-connections",
        "The database server accepts no more connections.",
    ),
    "no such database": (
        other_url(database="nowhere"),
        "database-missing",
        "The database server has no such database.",
    ),
    "login refused": (
        other_url(username="unknown"),
        "database-login-refused",
        "The database server refuses the login.",
    ),
    "no TLS": (
        other_url(query={"sslmode": "require"}),
        "database-tls",
        "The TLS connection to the database server cannot be made.",
    ),
    "unknown host": (
        other_url(host="nowhere.invalid"),
        "database-host-unknown",
        "The host name of the database server cannot be resolved.",
    ),
    "empty key": (
        started_with("AIRFLOW__CORE__FERNET_KEY", ""),
        "fernet-key-missing",
        "[core] fernet_key is empty, so tokens cannot be encrypted.",
    ),
    "malformed key": (
        started_with("AIRFLOW__CORE__FERNET_KEY", "no-key"),
        "misconfigured",
        "[core] fernet_key is malformed",
    ),
    "another key": (
        other_key,
        "fernet-key-other",
        "[core] fernet_key is not the one that the webhooks' tokens were encrypted with.",
    ),
    "wrong setting": (
        started_with("AIRFLOW__INBOUND_WEBHOOKS__TRUSTED_PROXIES", "nonsense"),
        "misconfigured",
        "[inbound_webhooks] … is not …",
    ),
    "another database": (
        started_with(driver="mysql"),
        "misconfigured",
        "Inbound webhooks need PostgreSQL or SQLite",
    ),
    "no connection of its own": (
        own_connections,
        "slow-connections",
        "The endpoint cannot open connections of its own to PostgreSQL",
    ),
    "asynchronous URL": (
        unusable_async_url,
        "async-url-unusable",
        "[database] sql_alchemy_conn_async is not used",
    ),
    "pooler": (
        pooler,
        "pooler-loses-statements",
        "The pooler in front of PostgreSQL loses the statements that Airflow's driver, psycopg, prepares",
    ),
    "address replaced": (
        replaced_address,
        "client-address-replaced",
        "The api-server takes senders' addresses from X-Forwarded-For",
    ),
    "no slow checks": (
        no_slow_checks,
        "slow-checks-do-not-start",
        "The process that checks params with patterns that look around or refer back",
    ),
    "failing thread": (
        failing_thread,
        "thread-failing-dispatcher",
        "The background thread … fails in every round",
    ),
}
"""What creates a cause, its code, and its row in docs/troubleshooting.md, where … stands for anything.

A file of SQLite that is read-only has the same sentence: see test_causes.py."""


class Context:
    """The database of the pages, as its administrator sees it."""

    def __init__(self, cluster, hook):
        from airflow import settings

        self.cluster = cluster
        self.hook = hook
        self._url = settings.engine.url

    def url(self, **parts):
        return self._url.set(**parts).render_as_string(hide_password=False)

    def execute(self, statement):
        if statement:
            connection = self.cluster.connect("airflow")
            connection.cursor().execute(statement)
            connection.close()


@pytest.fixture(scope="module")
def stored(pages, postgres_cluster):
    return Context(postgres_cluster, store_webhook("orders of the shop"))


@pytest.fixture
def context(stored, monkeypatch, use_fernet_key):
    stored.patch, stored.set, stored.use_fernet_key = monkeypatch, monkeypatch.setenv, use_fernet_key
    return stored


def health_report():
    from inbound_webhooks.monitoring.health import Health
    from tests.infrastructure.database_status import database_status

    return asyncio.run(Health(database_status).report())


@pytest.mark.parametrize(("cause", "code", "row"), CAUSES.values(), ids=CAUSES)
def test_log_health_check_and_pages_say_the_same(context, pages, webhooks, caplog, cause, code, row):
    caplog.set_level(logging.WARNING)
    with cause(context):
        report = health_report()
        shown = pages.client("ann").get("/").text
        checked = webhooks("check")
    messages = {problem["code"]: problem["message"] for problem in report.document["problems"]}
    message = messages[code]
    assert re.match(re.escape(row).replace("…", ".+"), message)
    assert f"| {row}" in page("docs/troubleshooting.md")
    assert message.replace("DAG", "Dag") in html.unescape(shown)  # as Airflow's pages write it
    assert message in checked.out + checked.err
    assert any(
        f"action=environment_problem code={code}: {message}" in line.getMessage() for line in caplog.records
    )


def test_each_problem_of_an_environment_is_created_by_a_test():
    created = {code for _, code, _ in CAUSES.values()} - {"thread-failing-dispatcher"}
    assert created | {"thread-failing"} == CODES


def test_each_code_in_the_source_is_known():
    """Of problems that are reported, and of a database's causes; readiness has codes of its own."""
    found = {cause.code for cause in vars(database_causes).values() if isinstance(cause, Cause)} - {""}
    for path in Path(inbound_webhooks.__file__).parent.rglob("*.py"):
        text = path.read_text()
        if re.search(r"ENVIRONMENT|client-address", text) and path.name != "readiness.py":
            found |= set(re.findall(r'code=f?"([a-z-]+[a-z])', text))
            found |= set(re.findall(r'^[A-Z_]+ = "([a-z]+(?:-[a-z]+)+)"', text, re.MULTILINE))
            found |= set(re.findall(r'_code = f"([a-z-]+)-\{', text))
    assert found == CODES


def test_a_problem_that_stops_the_endpoint_is_503_and_exit_1(context, webhooks):
    with outdated_tables():
        report, checked = health_report(), webhooks("check")
    assert (report.status, report.document["status"]) == (503, "database_unavailable")
    assert checked.status == 1


def test_a_problem_that_only_slows_the_endpoint_is_a_note(context, webhooks):
    with own_connections(context):
        checked = webhooks("check", "-o", "json")
    (found,) = [one for one in json.loads(checked.out) if one["message"].startswith("The endpoint")]
    assert (found["severity"], found["webhook"]) == ("note", "")


def test_the_report_of_another_process_is_shown_until_it_is_outdated(context, pages, webhooks):
    from datetime import datetime, timedelta, timezone

    from inbound_webhooks.errors import Problem
    from inbound_webhooks.monitoring.environment import Environment
    from inbound_webhooks.receiver.self_report import SelfReport
    from inbound_webhooks.webhooks.readiness import ENDPOINT_SILENT

    gateway = Environment()
    gateway.report(Problem("The gateway is misplaced. Place it.", code="misplaced"))
    seen_at = [datetime.now(timezone.utc)]
    report = SelfReport(gateway, now=lambda: seen_at[0])
    report.save()
    assert "The gateway is misplaced. Place it." in pages.client("ann").get("/").text
    assert "The gateway is misplaced. Place it." in webhooks("check").out
    seen_at[0] -= ENDPOINT_SILENT + timedelta(seconds=1)
    report.save()
    assert "misplaced" not in pages.client("ann").get("/").text
    seen_at[0] = datetime.now(timezone.utc)
    report.save()
    gateway.resolve("misplaced")
    report.save()
    assert "misplaced" not in pages.client("ann").get("/").text
