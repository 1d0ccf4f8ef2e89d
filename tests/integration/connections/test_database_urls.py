"""The endpoint reaches PostgreSQL by every URL by which Airflow does, at both endpoints."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from urllib.parse import quote

import pytest
from sqlalchemy import event

from tests.infrastructure.secured_postgres import PASSWORD
from tests.integration.connections.conftest import ORDER, connected, problems

SECRET = f"secret:{quote(PASSWORD, safe='')}"

# Each is the part of a URL behind the scheme.
URLS = {
    "plain": "airflow@{here}/{db}",
    "password with every awkward character": SECRET + "@{here}/{db}",
    "password in a file": "secret@{here}/{db}?passfile={passfile}",
    "unix socket": "airflow@/{db}?host={socket}&port={port}",
    "TLS only": "tls_only@localhost:{port}/{db}",
    "plain text only": "plain_only@{here}/{db}",
    "sslmode=disable": "plain_only@{here}/{db}?sslmode=disable",
    "sslmode=allow": "tls_only@{here}/{db}?sslmode=allow",
    "sslmode=prefer": "tls_only@{here}/{db}?sslmode=prefer",
    "sslmode=require": "tls_only@{here}/{db}?sslmode=require",
    "sslmode=verify-ca": "tls_only@{here}/{db}?sslmode=verify-ca&sslrootcert={ca}",
    "sslmode=verify-full": "tls_only@localhost:{port}/{db}?sslmode=verify-full&sslrootcert={ca}",
    "TLS 1.3": "tls_only@{here}/{db}?sslmode=require&ssl_min_protocol_version=TLSv1.3",
    "channel binding": SECRET + "@{here}/{db}?sslmode=require&channel_binding=require",
    "connect_timeout": "airflow@{here}/{db}?connect_timeout=10",
    "application_name": "airflow@{here}/{db}?application_name=my%20airflow",
    "options": "airflow@{here}/{db}?options=-c%20statement_timeout%3D20s%20-c%20DateStyle%3DGerman",
    "time zone": "airflow@{here}/{db}?options=-c%20TimeZone%3DAsia/Kathmandu",
    "keepalives": "airflow@{here}/{db}?keepalives=1&keepalives_idle=30&keepalives_count=3",
    "tcp_user_timeout": "airflow@{here}/{db}?tcp_user_timeout=10000",
    "no GSSAPI": "airflow@{here}/{db}?gssencmode=disable",
    "client_encoding": "airflow@{here}/{db}?client_encoding=utf8",
    "several hosts": "airflow@/{db}?host=127.0.0.1:1&host={here}",
    "the primary of several": "airflow@/{db}?host=127.0.0.1:1&host={here}&target_session_attrs=read-write",
    "any of several": "airflow@/{db}?host={here}&host={here}&load_balance_hosts=random",
    "what Helm's chart writes": SECRET + "@localhost:{port}/{db}?sslmode=prefer",
}

REFUSED, TLS, UNKNOWN = "database-login-refused", "database-tls", "database-host-unknown"
UNREACHABLE = {
    "wrong password": ("secret:wrong@{here}/{db}", [REFUSED]),
    "TLS refused": ("plain_only@{here}/{db}?sslmode=require", [REFUSED]),
    "TLS demanded": ("tls_only@{here}/{db}?sslmode=disable", [REFUSED]),
    "another authority": ("tls_only@localhost:{port}/{db}?sslmode=verify-full&sslrootcert={other_ca}", [TLS]),
    "another host's certificate": ("tls_only@{here}/{db}?sslmode=verify-full&sslrootcert={ca}", [TLS]),
    "no such authority": ("tls_only@{here}/{db}?sslmode=verify-ca&sslrootcert=/nowhere.pem", [TLS]),
    "no such host": ("airflow@nowhere.invalid:{port}/{db}", [UNKNOWN]),
    "only a standby will do": ("airflow@{here}/{db}?target_session_attrs=standby", []),
}
"""URL, and the causes that are reported."""


@pytest.fixture(params=["blueprint", pytest.param("gateway", marks=pytest.mark.long)])
def asgi(request):
    """Both endpoints open their connections with the same code, so the other one has time."""
    from tests.infrastructure.asgi_endpoint import AsgiEndpoint
    from tests.infrastructure.gateway_endpoint import GatewayEndpoint

    return AsgiEndpoint() if request.param == "blueprint" else GatewayEndpoint()


@pytest.mark.parametrize("rest", URLS.values(), ids=URLS)
def test_a_request_is_accepted_on_a_connection_of_the_endpoints_own(secured, asgi, rest):
    with connected(secured.url(rest)):
        reply = asgi.post(secured.hook.path, ORDER)
    assert (reply.status, problems()) == (202, [])


@pytest.mark.parametrize(("rest", "causes"), UNREACHABLE.values(), ids=UNREACHABLE)
def test_what_the_url_forbids_is_not_done_another_way(secured, asgi, rest, causes):
    """The engine, which is tried in a thread, refuses as well, and says why."""
    with connected(secured.url(rest)):
        reply = asgi.post(secured.hook.path, ORDER)
    assert (reply.status, reply.header("retry-after"), problems()) == (503, "10", causes)


CONNECT_ARGUMENTS: dict[str, str] = {}
"""Airflow imports them by this name."""


@pytest.mark.parametrize(
    ("trusts", "status", "causes"),
    [("ca_file", 202, []), ("other_ca_file", 503, [TLS])],
    ids=["own", "other"],
)
def test_arguments_of_the_engine_count(secured, asgi, monkeypatch, trusts, status, causes):
    """TLS is required in sql_alchemy_connect_args alone."""
    arguments = {"sslmode": "verify-full", "sslrootcert": str(getattr(secured, trusts))}
    monkeypatch.setattr(f"{__name__}.CONNECT_ARGUMENTS", arguments)
    url = secured.url("tls_only@localhost:{port}/{db}?application_name=" + trusts)
    with connected(url, monkeypatch, sql_alchemy_connect_args=f"{__name__}.CONNECT_ARGUMENTS"):
        reply = asgi.post(secured.hook.path, ORDER)
    assert (reply.status, problems()) == (status, causes)


def test_a_login_token_is_created_for_each_connection(secured, asgi):
    from airflow import settings

    with connected(secured.url("secret@{here}/{db}")):
        asked = []

        def log_in(_dialect, _record, _positional, named):
            asked.append(1)
            named["password"] = PASSWORD

        event.listen(settings.engine, "do_connect", log_in)
        try:
            reply = asgi.post(secured.hook.path, ORDER)
        finally:
            event.remove(settings.engine, "do_connect", log_in)
    assert (reply.status, problems()) == (202, [])
    assert asked


def test_the_engine_connects_while_the_endpoint_reads_its_arguments(secured):
    """A listener that waits for a token must not be disturbed from another thread."""
    from airflow import settings

    from inbound_webhooks.storage.connect_arguments import conninfo_of

    both_are_connecting = Barrier(2, timeout=10)

    def ask_for_token(*_arguments):
        both_are_connecting.wait()

    def change_nothing(*_arguments):
        """The engine's thread has this one still before it."""

    with (
        connected(secured.url("airflow@{here}/{db}")),
        listening(settings.engine, ask_for_token, change_nothing),
        ThreadPoolExecutor(1) as thread,
    ):
        opened = thread.submit(lambda: settings.engine.pool.recreate().connect())
        assert "user=airflow" in conninfo_of(settings.engine)
        opened.result().invalidate()


@contextmanager
def listening(engine, *listeners):
    for listener in listeners:
        event.listen(engine, "do_connect", listener)
    try:
        yield
    finally:
        for listener in listeners:
            event.remove(engine, "do_connect", listener)


def test_a_token_that_cannot_be_created_is_503(secured, asgi, caplog):
    from airflow import settings

    with connected(secured.url("secret@{here}/{db}?application_name=expired")):

        def log_in(*_arguments):
            raise LookupError("token 1234 has expired")

        event.listen(settings.engine, "do_connect", log_in)
        try:
            reply = asgi.post(secured.hook.path, ORDER)
        finally:
            event.remove(settings.engine, "do_connect", log_in)
    assert (reply.status, reply.header("retry-after")) == (503, "10")
    assert "1234" not in caplog.text


# --- an explicit sql_alchemy_conn_async -----------------------------------------------------


EXPLICIT = {
    "empty": "",
    "asyncpg": "postgresql+asyncpg://airflow@{here}/{db}?ssl=prefer",
    "psycopg": "postgresql+psycopg_async://airflow@{here}/{db}?sslmode=prefer",
}


@pytest.mark.parametrize("explicit", EXPLICIT.values(), ids=EXPLICIT)
@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg2", "postgresql+psycopg"])
def test_other_drivers_and_an_empty_asynchronous_url_will_do(secured, asgi, monkeypatch, driver, explicit):
    url = secured.filled(driver + "://airflow@{here}/{db}?sslmode=prefer")
    with connected(url, monkeypatch, sql_alchemy_conn_async=secured.filled(explicit)):
        reply = asgi.post(secured.hook.path, ORDER)
    assert (reply.status, problems()) == (202, [])


def test_the_host_of_an_asynchronous_url_is_used(secured, asgi, monkeypatch):
    """The engine's own connections are named otherwise, so the rows show which one was used."""
    explicit = secured.filled("postgresql+psycopg_async://airflow@{here}/{db}?application_name=explicit")
    with connected(secured.url("airflow@{here}/{db}"), monkeypatch, sql_alchemy_conn_async=explicit):
        assert asgi.post(secured.hook.path, ORDER).status == 202
        assert "explicit" in application_names()


TOKEN_URLS = {
    "psycopg": "postgresql+psycopg_async://secret@{here}/{db}?sslmode=require&application_name=explicit",
    "asyncpg": "postgresql+asyncpg://secret@{here}/{db}?ssl=require",
}


@pytest.mark.parametrize("explicit", TOKEN_URLS.values(), ids=TOKEN_URLS)
def test_listeners_of_the_engine_log_in_at_an_asynchronous_url_too(secured, asgi, monkeypatch, explicit):
    """The engine itself logs in without a password, so the names show whose connection was used."""
    from airflow import settings

    def log_in(_dialect, _record, _positional, named):
        named["password"] = PASSWORD
        named.setdefault("application_name", "engine")

    with (
        connected(
            secured.url("airflow@{here}/{db}"), monkeypatch, sql_alchemy_conn_async=secured.filled(explicit)
        ),
        listening(settings.engine, log_in),
    ):
        assert asgi.post(secured.hook.path, ORDER).status == 202
        assert "secret" in users()
        assert problems() == []


def test_a_listener_that_connects_itself_leaves_an_asynchronous_url_as_it_is(secured, asgi, monkeypatch):
    import psycopg2
    from airflow import settings

    from tests.infrastructure.databases import TEMPLATE

    def connect(*_arguments):
        return psycopg2.connect(host="127.0.0.1", port=secured.port, user="airflow", dbname=TEMPLATE)

    explicit = secured.filled("postgresql+psycopg_async://airflow@{here}/{db}?application_name=explicit")
    with (
        connected(secured.url("unknown@{here}/{db}"), monkeypatch, sql_alchemy_conn_async=explicit),
        listening(settings.engine, connect),
    ):
        assert asgi.post(secured.hook.path, ORDER).status == 202
        assert "explicit" in application_names()


def test_an_asynchronous_url_that_cannot_be_used_is_reported(secured, asgi, monkeypatch):
    explicit = secured.filled("postgresql+asyncpg://airflow@{here}/{db}?colour=red")
    with connected(secured.url("airflow@{here}/{db}"), monkeypatch, sql_alchemy_conn_async=explicit):
        assert asgi.post(secured.hook.path, ORDER).status == 202
    assert problems() == ["async-url-unusable"]


REASONS = {
    "Connection refused": "airflow@127.0.0.1:1/{db}",
    "FATAL: password authentication failed for user …": "secret:hidden@{here}/{db}",
    "server certificate for …": "tls_only@{here}/{db}?sslmode=verify-full&sslrootcert={ca}",
}


@pytest.mark.parametrize(("reason", "rest"), REASONS.items())
def test_the_reason_of_slow_connections_is_shown_without_names(
    secured, asgi, monkeypatch, environment_problems, reason, rest
):
    explicit = secured.filled(f"postgresql+psycopg_async://{rest}")
    with connected(secured.url("airflow@{here}/{db}"), monkeypatch, sql_alchemy_conn_async=explicit):
        assert asgi.post(secured.hook.path, ORDER).status == 202
    ((code, message),) = environment_problems().items()
    assert code == "slow-connections"
    assert f": {reason}" in message
    assert not [name for name in ("hidden", '"', str(secured.ca_file), "127.0.0.1") if name in message]


# --- threads --------------------------------------------------------------------------------


def test_without_a_connection_of_its_own_the_endpoint_uses_the_engine_in_threads(secured, asgi, caplog):
    """A listener that opens the connection itself says nothing that libpq could use."""
    import psycopg2
    from airflow import settings

    from tests.infrastructure.databases import TEMPLATE

    with connected(secured.url("unknown@{here}/{db}")):

        def connect(*_arguments):
            return psycopg2.connect(host="127.0.0.1", port=secured.port, user="airflow", dbname=TEMPLATE)

        event.listen(settings.engine, "do_connect", connect)
        try:
            replies = [asgi.post(secured.hook.path, ORDER) for _ in range(3)]
        finally:
            event.remove(settings.engine, "do_connect", connect)
    assert [reply.status for reply in replies] == [202, 202, 202]
    assert problems() == ["slow-connections"]
    assert caplog.text.count("code=slow-connections") == 1


def application_names():
    return connected_as("application_name")


def users():
    return connected_as("usename")


def connected_as(column):
    from sqlalchemy import text

    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        return set(connection.scalars(text(f"SELECT {column} FROM pg_stat_activity")))
