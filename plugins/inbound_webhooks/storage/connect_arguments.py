"""How Airflow connects to PostgreSQL, as libpq's connection parameters.

The endpoint opens its own connections the way Airflow's synchronous engine would: with the arguments of the
URL, of ``[database] sql_alchemy_connect_args`` and of ``do_connect`` listeners, which create the login tokens
of cloud databases. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from airflow import settings
from airflow.configuration import conf
from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo
from sqlalchemy import Dialect, Engine, event


class ArgumentsUnusable(Exception):
    """libpq cannot connect with these arguments; the message says why, without their values."""


def conninfo_of_async_url() -> str | None:
    """Connection parameters of an explicit ``[database] sql_alchemy_conn_async``; None where there is none.

    It may name another host than the synchronous URL. The listeners of the synchronous engine count here too,
    since Airflow has no other place for them. A URL that Airflow derives is not used: its arguments are those
    of another driver.

    Raises what a listener raises.

    :raises ArgumentsUnusable: libpq cannot connect with its arguments
    """
    explicit = conf.get("database", "sql_alchemy_conn_async", fallback="")
    engine = settings.async_engine
    if not explicit or engine is None or engine.dialect.name != "postgresql":
        return None
    positional, named = _arguments(engine.sync_engine)
    with suppress(_OpensItself):  # a connection to the other URL
        _call_listeners(settings.engine.dialect, None, positional, named)
    return _conninfo(engine.sync_engine.dialect.driver, positional, named)


def conninfo_of(engine: Engine) -> str:
    """Connection parameters of an engine for PostgreSQL; blocks where a listener asks a service for a token.

    Raises what such a listener raises.

    :raises ArgumentsUnusable: libpq cannot connect with its arguments
    """
    try:
        positional, named = _arguments(engine)
    except _OpensItself:
        raise ArgumentsUnusable("a do_connect listener of its own opens its connections") from None
    return _conninfo(engine.dialect.driver, positional, named)


def _conninfo(driver: str, positional: Sequence[Any], named: Mapping[str, Any]) -> str:
    read = _READERS.get(driver)
    if read is None:
        raise ArgumentsUnusable(f"the driver {driver} has arguments of its own")
    dsn = positional[0] if positional else ""
    try:
        return make_conninfo(dsn, **read(named))
    except ProgrammingError:  # its text may quote a value
        unknown = "its arguments include one that libpq does not know"
        raise ArgumentsUnusable(unknown) from None


# --- what an engine would connect with ------------------------------------------------------

_capturing = threading.local()
_registering = threading.Lock()


class _Captured(Exception):
    def __init__(self, positional: list[Any], named: dict[str, Any]) -> None:
        self.arguments = positional, named
        super().__init__("captured")


class _OpensItself(Exception):
    """A listener has opened a connection instead of changing the arguments."""


def _arguments(engine: Engine) -> tuple[list[Any], dict[str, Any]]:
    """The arguments for the driver's ``connect``, after all listeners."""
    _listen(type(engine.dialect))
    _capturing.is_on = True
    try:
        # A new pool has no connection yet, so it opens one, and our listener ends that.
        engine.pool.recreate().connect().invalidate()
    except _Captured as captured:
        return captured.arguments
    finally:
        _capturing.is_on = False
    raise ArgumentsUnusable("a creator of its own opens its connections")


def _listen(dialect: type[Dialect]) -> None:
    """Register our listener once for all engines of a dialect, before their own; it is never removed.

    An engine's own listeners stay untouched: another thread may be connecting, which iterates over them.
    """
    with _registering:
        if not event.contains(dialect, "do_connect", _capture):
            event.listen(dialect, "do_connect", _capture)


def _capture(dialect: Any, record: Any, positional: list[Any], named: dict[str, Any]) -> None:
    # Airflow's own connections of other threads pass.
    if not getattr(_capturing, "is_on", False):
        return
    _call_listeners(dialect, record, positional, named)
    raise _Captured(list(positional), dict(named))


def _call_listeners(dialect: Any, record: Any, positional: list[Any], named: dict[str, Any]) -> None:
    """Let an engine's own listeners change the arguments."""
    for listener in tuple(dialect.dispatch.do_connect):
        connection = None if listener is _capture else listener(dialect, record, positional, named)
        if connection is not None:
            connection.close()
            raise _OpensItself


# --- drivers' arguments as libpq's ----------------------------------------------------------

_NOT_LIBPQ = frozenset(
    {"connection_factory", "cursor_factory", "async", "async_", "autocommit", "context"}
    | {"prepare_threshold", "row_factory"}
)
"""Arguments of psycopg2 and psycopg that do not concern the server."""


def _of_psycopg(named: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in named.items() if name not in _NOT_LIBPQ}


_FROM_ASYNCPG = {"database": "dbname", "timeout": "connect_timeout"}
"""asyncpg's arguments with another name in libpq."""

_NOT_OF_SERVER = frozenset(
    {
        "command_timeout",
        "statement_cache_size",
        "max_cached_statement_lifetime",
        "max_cacheable_statement_size",
    }
    | {"prepared_statement_cache_size", "prepared_statement_name_func", "async_fallback"}
    | {"connection_class", "record_class"}
)
"""asyncpg's arguments that concern how statements are executed."""


def _of_asyncpg(named: Mapping[str, Any]) -> dict[str, Any]:
    """https://magicstack.github.io/asyncpg/current/api/index.html#asyncpg.connection.connect"""
    found: dict[str, Any] = {}
    for name, value in named.items():
        if name in _NOT_OF_SERVER or value is None:
            continue
        if name == "ssl":
            found["sslmode"] = _sslmode(value)
        elif name == "direct_tls":
            found |= {"sslnegotiation": "direct"} if value else {}
        elif name == "server_settings":
            found["options"] = _options(value)
        else:
            found[_FROM_ASYNCPG.get(name, name)] = _joined(value)
    return found


def _sslmode(value: Any) -> str:
    if isinstance(value, bool):
        return "require" if value else "disable"
    if isinstance(value, str):
        return value
    raise ArgumentsUnusable("its argument ssl is a Python object; use ssl=verify-full and sslrootcert")


def _options(server_settings: Mapping[str, Any]) -> str:
    return " ".join(f"-c {name}={_escaped(str(value))}" for name, value in server_settings.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


def _joined(value: Any) -> Any:
    # Several hosts are a list there and a text with commas here.
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return int(value) if isinstance(value, float) else value


_READERS = {
    "psycopg2": _of_psycopg,
    "psycopg2cffi": _of_psycopg,
    "psycopg": _of_psycopg,
    "psycopg_async": _of_psycopg,
    "asyncpg": _of_asyncpg,
}
"""SQLAlchemy's driver -> its arguments as libpq's."""
