"""Transactions on Airflow's database; its errors become DatabaseUnavailable, with the cause."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from airflow import settings
from airflow.configuration import conf
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RootTransaction,
    create_engine,
    func,
    select,
    text,
    true,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from inbound_webhooks.errors import DatabaseUnavailable, Problem
from inbound_webhooks.monitoring.environment import ENVIRONMENT
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.database_causes import DATABASE_PROBLEMS, cause_of
from inbound_webhooks.storage.statement import READ_ONLY_TRANSACTION

log = get_logger(__name__)

Result = TypeVar("Result")

LOCK_TIMEOUT_SECONDS = 5
"""Longest wait for a lock, equal to pysqlite's default."""

LOOK_AGAIN_SECONDS = 1.0
"""Where all connections are read-only, as on a standby, they are replaced at most this often."""


@contextmanager
def transaction() -> Iterator[Connection]:
    """A transaction on a connection of Airflow's pool.

    Airflow's scoped session is never used: other code of Airflow on the same thread may commit or close it.

    :raises DatabaseUnavailable: the database is unreachable, locked, full or not migrated
    :raises sqlalchemy.exc.IntegrityError: a constraint is violated
    """
    with translated_errors(), connected(settings.engine) as connection, _begun(connection):
        yield connection


def in_transaction(work: Callable[[Connection], Result]) -> Result:
    """Run ``work`` in a transaction; raises what :func:`transaction` raises."""
    with transaction() as connection:
        return work(connection)


def waiting_is_limited(dialect_name: str, seconds: float = LOCK_TIMEOUT_SECONDS) -> ColumnElement[bool]:
    """A condition that is always true; on PostgreSQL it also sets the transaction's lock timeout.

    In the WHERE of a locking SELECT it is evaluated before the lock is taken, and saves a round trip for a
    statement of its own.
    """
    if dialect_name != "postgresql":
        return true()
    return func.set_config("lock_timeout", f"{round(seconds * 1000)}ms", True).is_not(None)


def autocommit(work: Callable[[Connection], Result]) -> Result:
    """Run ``work`` on a connection that commits each statement; ``work`` must be idempotent.

    Only the statements themselves go to the server: no liveness check, no BEGIN, no COMMIT. In return
    ``work`` runs once more if its connection turns out to be dead, as all are after a restart of the server.

    :raises DatabaseUnavailable: the database is unreachable, locked, full or not migrated
    :raises sqlalchemy.exc.IntegrityError: a constraint is violated
    """
    with translated_errors():
        try:
            with connected(_autocommit_engine(settings.engine)) as connection:
                return work(connection)
        except DBAPIError as error:
            if not (error.connection_invalidated or sqlstate_of(error.orig) == READ_ONLY_TRANSACTION):
                raise
            with connected(_autocommit_engine(settings.engine)) as connection:
                return work(connection)


@contextmanager
def connected(engine: Engine) -> Iterator[Connection]:
    """A connection of an engine; closed instead of returned to the pool where it is of no more use.

    :raises DatabaseUnavailable: a ``do_connect`` listener fails, with the exception of some cloud's library
    """
    try:
        connection = engine.connect()
    except SQLAlchemyError:
        raise
    except Exception as error:  # noqa: BLE001 - of any library
        raise unavailable(error) from None
    with connection:
        if connection.dialect.driver == "psycopg":
            _keep_unprepared(connection)
        with _left_if_read_only(connection):
            yield connection


def _begun(connection: Connection) -> RootTransaction:
    """Begin a transaction; on another connection where this one leads to a server that takes no writes.

    A page or a command runs its work once only, so it must not learn of a failover from its first write.
    """
    begun = connection.begin()
    if _takes_writes(connection) or time.monotonic() < _STANDBY.looked_at + LOOK_AGAIN_SECONDS:
        return begun
    begun.rollback()
    connection.invalidate()
    connection.engine.dispose()
    begun = connection.begin()
    if not _takes_writes(connection):
        _STANDBY.looked_at = time.monotonic()
    return begun


@dataclass
class _Standby:
    """When a new connection led to a server that takes no writes either."""

    looked_at: float = float("-inf")


_STANDBY = _Standby()


def _takes_writes(connection: Connection) -> bool:
    """Set the lock timeout of the transaction that has begun; False where it is read-only.

    PostgreSQL waits for locks without limit by default; pysqlite gives up after its busy timeout.
    """
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.scalar(_LOCK_TIMEOUT_AND_WRITES))


@contextmanager
def _left_if_read_only(connection: Connection) -> Iterator[None]:
    """Close a connection to a server that takes no writes, and the idle ones of its pool.

    After a failover they may lead to the former primary, which is alive and therefore passes the pool's
    check, while the address leads to the new one.
    """
    try:
        yield
    except DBAPIError as error:
        if sqlstate_of(error.orig) == READ_ONLY_TRANSACTION:
            connection.invalidate()
            connection.engine.dispose()
        raise


def _keep_unprepared(connection: Connection) -> None:
    """Let psycopg prepare no statements on a connection through a pooler, which may lose them.

    SQLAlchemy 2.1 uses psycopg for ``postgresql://``, and psycopg prepares a statement that it has executed
    five times. A pooler gives its clients process ids of its own making.
    """
    if _IS_CHECKED in connection.info:
        return
    driver: Any = connection.connection.driver_connection
    [backend_pid] = driver.execute("SELECT pg_backend_pid()").fetchone()
    if backend_pid != driver.info.backend_pid and driver.prepare_threshold is not None:
        driver.prepare_threshold = None
        ENVIRONMENT.report(_POOLER_LOSES_STATEMENTS)
    connection.info[_IS_CHECKED] = True


_IS_CHECKED = "inbound_webhooks_is_checked"
_POOLER_LOSES_STATEMENTS = Problem(
    "The pooler in front of PostgreSQL loses the statements that Airflow's driver, psycopg, prepares; "
    "webhooks are not affected. Write postgresql+psycopg2:// in [database] sql_alchemy_conn.",
    code="pooler-loses-statements",
    severity="hint",
)


def close_connections() -> None:
    """Close the idle connections that commit each statement; later calls open new ones."""
    if _autocommit_engine.cache_info().currsize:
        _autocommit_engine(settings.engine).dispose()
        _autocommit_engine.cache_clear()


@lru_cache(maxsize=1)
def _autocommit_engine(airflow_engine: Engine) -> Engine:
    """Airflow's engine with a separate pool of connections that commit each statement."""
    if airflow_engine.dialect.name == "sqlite":
        return airflow_engine.execution_options(isolation_level="AUTOCOMMIT")

    # Connections are opened through a copy of Airflow's pool, which has its connect arguments and event
    # listeners. Its own pool is not used: while that is exhausted, a request would wait half a minute for a
    # connection, longer than senders do.
    source = airflow_engine.pool.recreate()

    def connect() -> Any:
        pooled = source.connect()
        connection = pooled.driver_connection
        pooled.detach()
        return connection

    return create_engine(
        airflow_engine.url,
        creator=connect,
        isolation_level="AUTOCOMMIT",
        pool_recycle=conf.getint("database", "sql_alchemy_pool_recycle", fallback=1800),
        pool_use_lifo=True,
        pool_timeout=LOCK_TIMEOUT_SECONDS,
    )


@contextmanager
def session_transaction(kind: type[Session] = Session) -> Iterator[Session]:
    """Like :func:`transaction`, with an ORM session for Airflow's models.

    The session is new and never the thread's scoped one, which Airflow's code may close at any time, and
    commit half of our work with it. ``kind`` is ignored where the installation configures its own way of
    creating sessions.
    """
    with translated_errors(), _session(kind) as session, session.begin():
        connection = session.connection()
        if connection.dialect.driver == "psycopg":
            _keep_unprepared(connection)
        if connection.dialect.name == "postgresql":
            connection.execute(_LOCK_TIMEOUT)
        with _left_if_read_only(connection):
            yield session


def _session(kind: type[Session]) -> Session:
    configured = settings.NonScopedSession
    session: Session = kind(**configured.kw) if isinstance(configured, sessionmaker) else configured()
    return session


def begin_writing(connection: Connection) -> None:
    """Take SQLite's write lock before the first read.

    A SQLite transaction that reads first and writes later fails at once, whatever its busy timeout, if
    another one has written in between.
    """
    if connection.dialect.name == "sqlite":
        connection.execute(_NO_OP_UPDATE)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn database errors into DatabaseUnavailable; violated constraints pass through."""
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        raise translated(error) from None
    else:
        DATABASE_PROBLEMS.succeeded()


def sqlstate_of(error: BaseException | None) -> str | None:
    """The SQLSTATE of a driver's error, if it has one."""
    # psycopg2 has another name for it.
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def translated(error: SQLAlchemyError) -> DatabaseUnavailable:
    """Log an error of SQLAlchemy's; return the error to raise. See :func:`unavailable`."""
    return unavailable(error.orig if isinstance(error, DBAPIError) and error.orig is not None else error)


def unavailable(error: BaseException) -> DatabaseUnavailable:
    """Log a driver's error; return the error to raise, whose message says what to do.

    A cause that an operator has to remove becomes a problem of this process's environment.
    """
    sqlstate = sqlstate_of(error)
    code = sqlstate or getattr(error, "sqlite_errorname", None) or ""
    cause = cause_of(sqlstate, str(error))
    found = DatabaseUnavailable(cause.message, code=cause.code) if cause else DatabaseUnavailable()
    # Of the driver's error only the kind is logged: its text may quote values, with tokens.
    kind = f"{type(error).__name__} {code}".strip()
    log.error("database error action=database_error kind=%s: %s", kind, found.message)
    DATABASE_PROBLEMS.failed(found)
    return found


_LOCK_TIMEOUT = text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
_LOCK_TIMEOUT_AND_WRITES = select(func.current_setting("transaction_read_only") == "off").where(
    func.set_config("lock_timeout", f"{LOCK_TIMEOUT_SECONDS}s", True).is_not(None)
)
_NO_OP_UPDATE = (
    update(tables.webhook).where(tables.webhook.c.id == "").values(version=tables.webhook.c.version)
)
