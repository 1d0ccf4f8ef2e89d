"""What Airflow's database URL says, as libpq's parameters."""

from __future__ import annotations

import ssl
from functools import cache

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine, event

HERE = {"host": "db", "dbname": "airflow", "user": "airflow"}
SCHEMES = ("postgresql", "postgresql+psycopg2", "postgresql+psycopg")

# The part of a URL behind the scheme, and what libpq is to get beyond HERE.
URLS = {
    "plain": ("airflow@db/airflow", {}),
    "password": ("airflow:secret@db/airflow", {"password": "secret"}),
    "password with an @": ("airflow:a%40b@db/airflow", {"password": "a@b"}),
    "password with a colon": ("airflow:a%3Ab@db/airflow", {"password": "a:b"}),
    "password with a slash": ("airflow:a%2Fb@db/airflow", {"password": "a/b"}),
    "password with a percent sign": ("airflow:100%25@db/airflow", {"password": "100%"}),
    "password with quotes": ("airflow:%27%22%5C%20@db/airflow", {"password": "'\"\\ "}),
    "password beyond ASCII": ("airflow:gr%C3%BCn@db/airflow", {"password": "grün"}),
    "password with a plus": ("airflow:a+b@db/airflow", {"password": "a+b"}),
    "password in the query": ("db/airflow?user=airflow&password=s", {"password": "s"}),
    "user with an @": ("me%40server@db/airflow", {"user": "me@server"}),
    "port": ("airflow@db:6432/airflow", {"port": "6432"}),
    "IPv6": ("airflow@[::1]:5432/airflow", {"host": "::1", "port": "5432"}),
    "unix socket": ("airflow@/airflow?host=/var/run/postgresql", {"host": "/var/run/postgresql"}),
    "abstract socket": ("airflow@/airflow?host=@pg", {"host": "@pg"}),
    "service": ("airflow@db/airflow?service=production", {"service": "production"}),
    "password file": ("airflow@db/airflow?passfile=/p", {"passfile": "/p"}),
    "application name": ("airflow@db/airflow?application_name=a%20b", {"application_name": "a b"}),
    "options": (
        "airflow@db/airflow?options=-c%20search_path%3Dairflow",
        {"options": "-c search_path=airflow"},
    ),
    "connect_timeout": ("airflow@db/airflow?connect_timeout=5", {"connect_timeout": "5"}),
    "keepalives": (
        "airflow@db/airflow?keepalives=1&keepalives_idle=30&keepalives_interval=5&keepalives_count=3",
        {"keepalives": "1", "keepalives_idle": "30", "keepalives_interval": "5", "keepalives_count": "3"},
    ),
    "tcp_user_timeout": ("airflow@db/airflow?tcp_user_timeout=9000", {"tcp_user_timeout": "9000"}),
    "two hosts": (
        "airflow@/airflow?host=db1:5432&host=db2:5433&target_session_attrs=read-write",
        {"host": "db1,db2", "port": "5432,5433", "target_session_attrs": "read-write"},
    ),
    "load balancing": (
        "airflow@/airflow?host=db1:5432&host=db2:5432&load_balance_hosts=random",
        {"host": "db1,db2", "port": "5432,5432", "load_balance_hosts": "random"},
    ),
    "TLS with files": (
        "airflow@db/airflow?sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/c.pem&sslkey=/c.key",
        {"sslmode": "verify-full", "sslrootcert": "/ca.pem", "sslcert": "/c.pem", "sslkey": "/c.key"},
    ),
    "TLS with the system's authorities": (
        "airflow@db/airflow?sslmode=verify-full&sslrootcert=system",
        {"sslmode": "verify-full", "sslrootcert": "system"},
    ),
    "channel binding": ("airflow@db/airflow?channel_binding=require", {"channel_binding": "require"}),
    "Kerberos": (
        "airflow@db/airflow?gssencmode=prefer&krbsrvname=pg",
        {"gssencmode": "prefer", "krbsrvname": "pg"},
    ),
    **{
        f"sslmode={mode}": (f"airflow@db/airflow?sslmode={mode}", {"sslmode": mode})
        for mode in ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
    },
}


@cache
def engine(url, **arguments):
    return create_engine(url, **arguments)


def parameters_of(engine):
    from inbound_webhooks.storage.connect_arguments import conninfo_of

    return conninfo_to_dict(conninfo_of(engine))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("rest", "more"), URLS.values(), ids=URLS)
def test_the_parameters_are_those_of_the_url(scheme, rest, more):
    assert parameters_of(engine(f"{scheme}://{rest}")) == HERE | more


def test_connect_arguments_count_and_python_objects_do_not():
    """``[database] sql_alchemy_connect_args``."""
    from psycopg2.extras import DictCursor

    arguments = {"sslmode": "verify-full", "cursor_factory": DictCursor, "connect_timeout": 3}
    found = parameters_of(create_engine("postgresql://airflow@db/airflow", connect_args=arguments))
    assert found == HERE | {"sslmode": "verify-full", "connect_timeout": "3"}


def test_each_call_runs_the_listeners_that_create_login_tokens():
    cloud = create_engine("postgresql+psycopg2://airflow@db/airflow")
    tokens = iter(("first", "second"))

    @event.listens_for(cloud, "do_connect")
    def _login(_dialect, _record, _positional, named):
        named["password"] = next(tokens)

    assert [parameters_of(cloud)["password"] for _ in range(2)] == ["first", "second"]


def test_what_a_listener_raises_reaches_the_caller():
    cloud = create_engine("postgresql+psycopg2://airflow@db/airflow")

    @event.listens_for(cloud, "do_connect")
    def _login(*_arguments):
        raise LookupError("no credentials")

    with pytest.raises(LookupError, match="no credentials"):
        parameters_of(cloud)


def test_airflows_own_connections_are_not_touched():
    """The engine still connects as before: here to a port where nothing listens."""
    from sqlalchemy.exc import OperationalError

    nowhere = create_engine("postgresql+psycopg2://airflow@127.0.0.1:1/airflow")
    parameters_of(nowhere)
    with pytest.raises(OperationalError, match="Connection refused"):
        nowhere.connect()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: create_engine("postgresql+pg8000://airflow@db/airflow", module=_Pg8000()), "driver pg8000"),
        (lambda: create_engine("postgresql://db/a", connect_args={"colour": "red"}), "does not know"),
    ],
    ids=["driver", "argument"],
)
def test_what_libpq_cannot_use_is_named_without_its_value(make, reason):
    from inbound_webhooks.storage.connect_arguments import ArgumentsUnusable

    with pytest.raises(ArgumentsUnusable, match=reason) as caught:
        parameters_of(make())
    assert "red" not in str(caught.value)


# --- an explicit sql_alchemy_conn_async -----------------------------------------------------


def asynchronous(url, **arguments):
    from sqlalchemy.ext.asyncio import create_async_engine

    return parameters_of(create_async_engine(url, connect_args=arguments).sync_engine)


ASYNC_URLS = {
    "asyncpg": ("postgresql+asyncpg://airflow:s@db:6432/airflow", {"password": "s", "port": "6432"}),
    "asyncpg with TLS": (
        "postgresql+asyncpg://airflow@db/airflow?ssl=verify-full",
        {"sslmode": "verify-full"},
    ),
    "asyncpg without its cache": (
        "postgresql+asyncpg://airflow@db/airflow?prepared_statement_cache_size=0",
        {},
    ),
    "asyncpg with two hosts": (
        "postgresql+asyncpg://airflow@/airflow?host=a:1&host=b:2&target_session_attrs=primary",
        {"host": "a,b", "port": "1,2", "target_session_attrs": "primary"},
    ),
    "psycopg": ("postgresql+psycopg_async://airflow@db/airflow?sslmode=require", {"sslmode": "require"}),
}


@pytest.mark.parametrize(("url", "more"), ASYNC_URLS.values(), ids=ASYNC_URLS)
def test_an_asynchronous_url_is_translated(url, more):
    assert asynchronous(url) == HERE | more


def test_asyncpgs_arguments_are_translated():
    found = asynchronous(
        "postgresql+asyncpg://airflow@db/airflow",
        ssl=True,
        direct_tls=True,
        timeout=7.5,
        command_timeout=30,
        server_settings={"application_name": "my app", "search_path": "a\\b"},
    )
    assert found == HERE | {
        "sslmode": "require",
        "sslnegotiation": "direct",
        "connect_timeout": "7",
        "options": "-c application_name=my\\ app -c search_path=a\\\\b",
    }


def test_a_tls_context_cannot_be_translated():
    from inbound_webhooks.storage.connect_arguments import ArgumentsUnusable

    with pytest.raises(ArgumentsUnusable, match="sslrootcert"):
        asynchronous("postgresql+asyncpg://airflow@db/airflow", ssl=ssl.create_default_context())


class _Pg8000:
    """As far as SQLAlchemy looks at a driver before it connects."""

    paramstyle = "format"
    __version__ = "1.31.0"
