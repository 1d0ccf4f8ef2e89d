"""Connections to PostgreSQL for an event loop: plain asyncpg, created the way Airflow creates its own.

SQLAlchemy's asynchronous execution is bypassed, since it costs a multiple for each row.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
from airflow import settings
from sqlalchemy.exc import SQLAlchemyError

from inbound_webhooks.errors import DatabaseUnavailable

log = logging.getLogger(__name__)

Result = TypeVar("Result")

CONNECT_SECONDS = 10.0

_DATABASE_ERRORS = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    SQLAlchemyError,
)
_CONNECTION_ERRORS = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)
# A server that shuts down sends these first and closes the connection a moment later, so the connection may
# not look closed yet.
_SHUTDOWN_ERRORS = (asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, asyncpg.CannotConnectNowError)
# PostgreSQL's error classes 08, 53, 57 and 58: the server is at fault, not the statement.
_SERVER_ERRORS = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
)


class StatementRefused(Exception):
    """PostgreSQL or asyncpg rejected this statement because of its values."""


class AsyncConnections:
    """A small pool for one event loop; connections are opened on first use."""

    def __init__(self, size: int) -> None:
        # Last in, first out: rarely used connections stay unopened, and the warm one is reused.
        self._free: asyncio.LifoQueue[Any] = asyncio.LifoQueue()
        for _ in range(size):
            self._free.put_nowait(None)

    async def use(self, work: Callable[[Any], Awaitable[Result]]) -> Result:
        """Run ``work`` on a connection that commits each statement; ``work`` must be idempotent.

        A dead connection (all are dead after a restart of the server) is replaced, and ``work`` runs once
        more on the new one.

        :raises DatabaseUnavailable: the database is unreachable, or a statement timed out
        :raises StatementRefused: a value cannot be stored, or a lock was not granted in time
        """
        connection = await self._free.get()
        try:
            if connection is None or connection.is_closed():
                connection = await _connect()
                return await work(connection)
            try:
                return await work(connection)
            except _CONNECTION_ERRORS as error:
                if not (connection.is_closed() or isinstance(error, _SHUTDOWN_ERRORS)):
                    raise
            _terminate(connection)
            connection = await _connect()
            return await work(connection)
        except _DATABASE_ERRORS as error:
            if _is_caused_by_values(error):
                log.warning("statement refused action=statement_refused kind=%s", _kind(error))
                raise StatementRefused from None
            # Only the kind is logged: the text of these errors quotes values, which may be secrets.
            log.error("database error action=database_error kind=%s", _kind(error))
            _terminate(connection)
            raise DatabaseUnavailable from None
        except StatementRefused:
            raise  # nothing was sent, so the connection is still usable
        except BaseException:
            # Cancelled in the middle of a statement: its result may still arrive and would be read as the
            # next statement's.
            _terminate(connection)
            raise
        finally:
            self._free.put_nowait(connection)

    async def close(self) -> None:
        """Close all idle connections; callers have finished by then."""
        for connection in [self._free.get_nowait() for _ in range(self._free.qsize())]:
            if connection is not None:
                await connection.close(timeout=CONNECT_SECONDS)
            self._free.put_nowait(None)


async def _connect() -> Any:
    """Open a connection outside the pool of Airflow's asynchronous engine, which knows URL and arguments."""
    engine = settings.async_engine
    if engine is None:
        raise DatabaseUnavailable
    try:
        pooled = await asyncio.wait_for(engine.raw_connection(), CONNECT_SECONDS)
    except engine.dialect.loaded_dbapi.Error as error:
        # The server refuses connections: it is starting or full. SQLAlchemy does not translate this error.
        log.error("database error action=database_error kind=%s", _kind(error))
        raise DatabaseUnavailable from None
    connection = pooled.driver_connection
    pooled.detach()
    return connection


def _terminate(connection: Any) -> None:
    # Not close(): that says goodbye to the server and would wait for one that no longer answers.
    if connection is not None:
        connection.terminate()


def _is_caused_by_values(error: BaseException) -> bool:
    if isinstance(error, asyncpg.InterfaceError):
        return isinstance(error, ValueError)  # asyncpg itself could not encode a value
    return isinstance(error, asyncpg.PostgresError) and not isinstance(error, _SERVER_ERRORS)


def _kind(error: BaseException) -> str:
    return f"{type(error).__name__} {getattr(error, 'sqlstate', None) or ''}".strip()
