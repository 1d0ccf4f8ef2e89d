"""What an operator has to do about a database, and how long a process calls it a problem."""

from __future__ import annotations

import pytest

from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.monitoring.environment import Environment
from inbound_webhooks.receiver.self_report import REPORT_SECONDS
from inbound_webhooks.storage import database_causes
from inbound_webhooks.storage.database_causes import RECOVERY_SECONDS, DatabaseProblems, cause_of

CAUSES = [found for found in vars(database_causes).values() if isinstance(found, database_causes.Cause)]
MISSING = DatabaseUnavailable("Run `airflow db migrate`.", code="tables-missing")


@pytest.mark.parametrize(
    ("sqlstate", "code"),
    [
        ("42P01", "tables-missing"),
        ("42703", "tables-missing"),
        ("3F000", "tables-missing"),
        ("42501", "database-not-permitted"),
        ("25006", "database-read-only"),
        ("53300", "database-too-many-connections"),
        ("53100", "database-exhausted"),
        ("53200", "database-exhausted"),
        ("3D000", "database-missing"),
        ("28P01", "database-login-refused"),
        ("28000", "database-login-refused"),
        ("55P03", ""),
        ("40P01", ""),
    ],
)
def test_a_sqlstate_has_a_cause(sqlstate, code):
    assert cause_of(sqlstate).code == code


@pytest.mark.parametrize("sqlstate", ["08006", "57P01", "XX000", "22001", ""])
def test_a_lost_connection_has_no_cause_that_an_operator_removes(sqlstate):
    assert cause_of(sqlstate, "server closed the connection unexpectedly") is None


# PostgreSQL's and PgBouncer's words where they refuse a connection, and SQLite's.
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ('FATAL:  database "airflow2" does not exist', "database-missing"),
        ("FATAL:  no such database: airflow2", "database-missing"),
        ('FATAL:  password authentication failed for user "airflow"', "database-login-refused"),
        ('FATAL:  role "nobody" does not exist', "database-login-refused"),
        ('FATAL:  no pg_hba.conf entry for host "::1", user "a", database "b"', "database-login-refused"),
        ("fe_sendauth: no password supplied", "database-login-refused"),
        ('FATAL:  permission denied for database "airflow"', "database-login-refused"),
        ("FATAL:  sorry, too many clients already", "database-too-many-connections"),
        ('FATAL:  too many connections for role "airflow"', "database-too-many-connections"),
        ("FATAL:  remaining connection slots are reserved", "database-too-many-connections"),
        ("FATAL:  no more connections allowed (max_client_conn)", "database-too-many-connections"),
        ("no such table: inbound_webhook", "tables-missing"),
        ("no such column: inbound_webhook.description", "tables-missing"),
        ("table inbound_webhook has no column named description", "tables-missing"),
        ("attempt to write a readonly database", "database-read-only"),
        ("database or disk is full", "database-exhausted"),
        ("database is locked", ""),
        ("SSL error: certificate verify failed", "database-tls"),
        ("server does not support SSL, but SSL was required", "database-tls"),
        ('root certificate file "/nowhere.pem" does not exist', "database-tls"),
        ('certificate file "/nowhere.pem" does not exist', "database-tls"),
        ('server certificate for "localhost" does not match host name "127.0.0.1"', "database-tls"),
        ("SSL error: tlsv1 alert unknown ca", "database-tls"),
        ('could not translate host name "db" to address: Name or service not known', "database-host-unknown"),
        ("failed to resolve host 'db': [Errno -2] Name or service not known", "database-host-unknown"),
        ("session is read-only", "database-read-only"),
    ],
)
def test_words_of_a_driver_without_a_sqlstate_have_a_cause(words, code):
    assert cause_of(None, words).code == code


@pytest.mark.parametrize(
    "words",
    [
        "SSL connection has been closed unexpectedly",
        "SSL SYSCALL error: EOF detected",
        "SSL error: unexpected eof while reading",
        "Connection refused",
    ],
)
def test_words_of_a_lost_connection_have_none(words):
    assert cause_of(None, words) is None


def test_a_sqlstate_counts_more_than_words():
    assert cause_of("42501", "no such table: x").code == "database-not-permitted"


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.code)
def test_each_cause_says_in_one_line_what_to_do(cause):
    wrong, _, to_do = cause.message.partition(". ")
    assert wrong
    assert to_do.endswith(".")
    assert "\n" not in cause.message


def test_the_causes_have_codes_of_their_own():
    codes = [cause.code for cause in CAUSES if cause.code]
    assert len(set(codes)) == len(codes) == 9


# --- problems of a process ------------------------------------------------------------------


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def environment():
    return Environment()


@pytest.fixture
def problems(environment, clock):
    return DatabaseProblems(environment, clock=lambda: clock[0])


def codes(environment) -> list[str]:
    return [problem.code for problem in environment.problems()]


def test_a_cause_is_a_problem_until_no_transaction_has_met_it_for_a_while(problems, environment, clock):
    problems.failed(MISSING)
    (problem,) = environment.problems()
    assert (problem.message, problem.stops) == (MISSING.message, True)
    clock[0] = RECOVERY_SECONDS - 1
    problems.succeeded()
    assert codes(environment) == ["tables-missing"]
    clock[0] = RECOVERY_SECONDS + 1
    problems.succeeded()
    assert codes(environment) == []


def test_a_transaction_on_other_tables_does_not_end_the_problem(problems, environment, clock):
    for clock[0] in range(0, 100, 10):
        problems.failed(MISSING)
        problems.succeeded()
        assert codes(environment) == ["tables-missing"]


def test_only_a_write_ends_the_problems_of_a_process_that_tries_one(problems, environment, clock):
    problems.proved_usable()
    problems.failed(MISSING)
    clock[0] = RECOVERY_SECONDS + 1
    problems.succeeded()
    assert codes(environment) == ["tables-missing"]
    problems.proved_usable()
    assert codes(environment) == []


def test_a_process_reports_again_before_a_cause_counts_as_removed():
    """The report is a write that needs disk space, which nothing else tries while no request arrives."""
    assert RECOVERY_SECONDS > REPORT_SECONDS


def test_an_outage_is_no_problem_of_the_environment(problems, environment):
    problems.failed(DatabaseUnavailable())
    assert codes(environment) == []
