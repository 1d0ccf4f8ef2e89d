"""What the endpoint cannot work with is named in the same words by log, health report, check and pages."""

from __future__ import annotations

import asyncio
import html
import json
import logging
from contextlib import contextmanager

import pytest

from tests.infrastructure.outdated_tables import MISSING_COLUMN, MISSING_TABLE, outdated_tables
from tests.infrastructure.pages import page
from tests.infrastructure.webhooks_builder import store_webhook
from tests.integration.web.conftest import made


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


CAUSES = {
    "server stopped": (stopped_server, "The database cannot be reached."),
    "no table": (altered_tables(MISSING_TABLE), "Tables in the database are missing or outdated."),
    "no column": (altered_tables(MISSING_COLUMN), "Tables in the database are missing or outdated."),
    "no privileges": (
        other_url(username="stranger", statement="CREATE ROLE stranger LOGIN", undo="DROP ROLE stranger"),
        "The database refuses access to a table.",
    ),
    "read-only": (
        other_url(
            username="reader",
            statement="CREATE ROLE reader LOGIN SUPERUSER; "
            "ALTER ROLE reader SET default_transaction_read_only = on",
            undo="DROP ROLE reader",
        ),
        "The database is read-only.",
    ),
    "no privilege to write": (
        other_url(
            username="stranger",
            statement="CREATE ROLE stranger LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO stranger",
            undo="DROP OWNED BY stranger; DROP ROLE stranger",
        ),
        "The database refuses access to a table.",
    ),
    "no free connection": (
        other_url(
            username="crowded",
            statement="CREATE ROLE crowded LOGIN CONNECTION LIMIT 0",
            undo="DROP ROLE crowded",
        ),
        "The database server accepts no more connections.",
    ),
    "no such database": (other_url(database="nowhere"), "The database server has no such database."),
    "login refused": (other_url(username="unknown"), "The database server refuses the login."),
    "no connection of its own": (
        own_connections,
        "The endpoint cannot open connections of its own to PostgreSQL",
    ),
}


class Context:
    """The database of the pages, as its administrator sees it."""

    def __init__(self, cluster):
        from airflow import settings

        self.cluster = cluster
        self._url = settings.engine.url

    def url(self, **parts):
        return self._url.set(**parts).render_as_string(hide_password=False)

    def execute(self, statement):
        if statement:
            connection = self.cluster.connect("airflow")
            connection.cursor().execute(statement)
            connection.close()


@pytest.fixture(scope="module")
def context(pages, postgres_cluster):
    store_webhook("orders of the shop")
    return Context(postgres_cluster)


def health_report():
    from inbound_webhooks.monitoring.health import Health
    from tests.infrastructure.database_status import database_status

    return asyncio.run(Health(database_status).report())


@pytest.mark.parametrize(("cause", "sentence"), CAUSES.values(), ids=CAUSES)
def test_log_health_check_and_pages_say_the_same(context, pages, webhooks, caplog, cause, sentence):
    caplog.set_level(logging.WARNING)
    with cause(context):
        report = health_report()
        shown = pages.client("ann").get("/").text
        checked = webhooks("check")
    health = [problem["message"] for problem in report.document["problems"]]
    (message,) = [problem for problem in health if problem.startswith(sentence)]
    assert sentence in html.unescape(shown)
    assert sentence in checked.out + checked.err
    assert any(
        "action=environment_problem" in line.getMessage() and message in line.getMessage()
        for line in caplog.records
    )
    assert sentence.rstrip(".") in page("docs/troubleshooting.md")


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
