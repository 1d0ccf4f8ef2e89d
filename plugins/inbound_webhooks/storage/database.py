"""Transactions on Airflow's database, with its failures in our words."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

from airflow import settings
from sqlalchemy import ColumnElement, Connection, Engine, create_engine, func, text, true
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from inbound_webhooks.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

Result = TypeVar("Result")

LOCK_TIMEOUT_SECONDS = 5
"""How long a transaction waits for a lock; as long as pysqlite's own default."""


@contextmanager
def transaction() -> Iterator[Connection]:
    """One transaction on a connection of Airflow's pool; never on its scoped session.

    :raises DatabaseUnavailable: the database is away, locked, full or not migrated
    :raises sqlalchemy.exc.IntegrityError: a constraint is broken
    """
    with translated_errors(), settings.engine.begin() as connection:
        _limit_waiting(connection)
        yield connection


def in_transaction(work: Callable[[Connection], Result]) -> Result:
    """Do work in one transaction; raises what :func:`transaction` does."""
    with transaction() as connection:
        return work(connection)


def waiting_is_limited(dialect_name: str) -> ColumnElement[bool]:
    """A condition that is always true and, on PostgreSQL, limits how long this transaction waits for locks.

    In the WHERE of a locking SELECT it comes before the lock, and saves a statement of its own.
    """
    if dialect_name != "postgresql":
        return true()
    return func.set_config("lock_timeout", f"{LOCK_TIMEOUT_SECONDS}s", True).is_not(None)


def autocommit(work: Callable[[Connection], Result]) -> Result:
    """Do work whose every statement is a transaction of its own; it must stand being done twice.

    Nothing goes to the server but the statements: no check whether the connection still lives, no begin and
    no end. Where a connection turns out to be dead, as all are after the server was restarted, the work is
    done once more.

    :raises DatabaseUnavailable: the database is away, locked, full or not migrated
    :raises sqlalchemy.exc.IntegrityError: a constraint is broken
    """
    with translated_errors():
        try:
            return _work(work)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return _work(work)


def _work(work: Callable[[Connection], Result]) -> Result:
    with _bare_engine(settings.engine).connect() as connection:
        return work(connection)


@lru_cache(maxsize=1)
def _bare_engine(airflow_engine: Engine) -> Engine:
    """Airflow's engine with a pool of its own, for connections that commit each statement."""
    if airflow_engine.dialect.name == "sqlite":
        return airflow_engine.execution_options(isolation_level="AUTOCOMMIT")

    # Airflow knows how: arguments of its settings, and what listens to its engine. Not from its own pool,
    # where whoever asks while all are taken waits for half a minute.
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
        pool_use_lifo=True,
        pool_timeout=LOCK_TIMEOUT_SECONDS,
    )


@contextmanager
def session_transaction(kind: type[Session] = Session) -> Iterator[Session]:
    """The same with an ORM session of its own, for what Airflow's models need.

    Airflow's code may close the scoped session of a thread at any time and commit half of our work
    with it, so this one is never that. Where a person has configured a way of their own to make sessions,
    ``kind`` does not count.
    """
    with translated_errors(), _session(kind) as session, session.begin():
        _limit_waiting(session.connection())
        yield session


def _session(kind: type[Session]) -> Session:
    make = settings.NonScopedSession
    made: Session = kind(**make.kw) if isinstance(make, sessionmaker) else make()
    return made


def _limit_waiting(connection: Connection) -> None:
    """Let PostgreSQL give up on a lock after a while, as pysqlite does."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK_TIMEOUT)


def begin_writing(connection: Connection) -> None:
    """Take SQLite's write lock before the first read.

    A transaction there that reads first and writes later fails at once when another one wrote in
    between, whatever its busy time-out.
    """
    if connection.dialect.name == "sqlite":
        connection.execute(_WRITES_NOTHING)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn whatever the database says into DatabaseUnavailable; broken constraints pass through."""
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        # The text of these errors quotes statements and their values, tokens among them.
        log.error("database error action=database_error kind=%s", _kind(error))
        raise DatabaseUnavailable from None


def _kind(error: SQLAlchemyError) -> str:
    if isinstance(error, DBAPIError) and error.orig is not None:
        code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None)
        return f"{type(error.orig).__name__} {code or ''}".strip()
    return type(error).__name__


_LOCK_TIMEOUT = text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
_WRITES_NOTHING = text("UPDATE inbound_webhook SET version = version WHERE id = ''")
