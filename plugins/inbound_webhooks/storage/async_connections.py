"""Connections to PostgreSQL for an event loop: asyncpg's own, made as Airflow makes its asynchronous ones."""

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

_AWAY = (OSError, asyncio.TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError)
_DEAD = (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError)
# The server says so, and closes the connection a moment later.
_SHUT_DOWN = (asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, asyncpg.CannotConnectNowError)
# PostgreSQL's classes 08, 53, 57 and 58: the server, not the statement.
_SERVER = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
)


class StatementRefused(Exception):
    """PostgreSQL, or asyncpg, takes this statement not; with other values it might."""


class AsyncConnections:
    """A few connections of one event loop, each for one user at a time; made when first wanted."""

    def __init__(self, size: int) -> None:
        self._free: asyncio.LifoQueue[Any] = asyncio.LifoQueue()
        for _ in range(size):
            self._free.put_nowait(None)

    async def use(self, work: Callable[[Any], Awaitable[Result]]) -> Result:
        """Do work whose every statement is a transaction of its own; it must stand being done twice.

        Where a connection turns out to be dead, as all are after the server was restarted, the work is done
        once more on another one.

        :raises DatabaseUnavailable: the database is away, or what a statement waited for took too long
        :raises StatementRefused: a value cannot be stored, or waits too long for a lock
        """
        held = await self._free.get()
        try:
            if held is None or held.is_closed():
                held = await _connect()
                return await work(held)
            try:
                return await work(held)
            except _DEAD as error:
                if not (held.is_closed() or isinstance(error, _SHUT_DOWN)):
                    raise
            _end(held)
            held = await _connect()
            return await work(held)
        except _AWAY as error:
            if _is_about_the_values(error):
                log.warning("statement refused action=statement_refused kind=%s", _kind(error))
                raise StatementRefused from None
            # The text of these errors quotes values.
            log.error("database error action=database_error kind=%s", _kind(error))
            _end(held)
            raise DatabaseUnavailable from None
        except StatementRefused:
            raise  # before it was sent
        except BaseException:
            _end(held)  # cancelled in the middle: nobody knows what it still has to say
            raise
        finally:
            self._free.put_nowait(held)

    async def close(self) -> None:
        """End every connection that nobody uses; their users have ended before."""
        for held in [self._free.get_nowait() for _ in range(self._free.qsize())]:
            if held is not None:
                await held.close(timeout=CONNECT_SECONDS)
            self._free.put_nowait(None)


async def _connect() -> Any:
    """A connection of Airflow's asynchronous engine, which knows its address and arguments, for us alone."""
    engine = settings.async_engine
    if engine is None:
        raise DatabaseUnavailable
    try:
        pooled = await asyncio.wait_for(engine.raw_connection(), CONNECT_SECONDS)
    except engine.dialect.loaded_dbapi.Error as error:
        # The server lets nobody in: it is starting, or full. SQLAlchemy does not translate it here.
        log.error("database error action=database_error kind=%s", _kind(error))
        raise DatabaseUnavailable from None
    connection = pooled.driver_connection
    pooled.detach()
    return connection


def _end(held: Any) -> None:
    if held is not None:
        held.terminate()


def _is_about_the_values(error: BaseException) -> bool:
    if isinstance(error, asyncpg.InterfaceError):
        return isinstance(error, ValueError)  # what asyncpg itself could not encode
    return isinstance(error, asyncpg.PostgresError) and not isinstance(error, _SERVER)


def _kind(error: BaseException) -> str:
    return f"{type(error).__name__} {getattr(error, 'sqlstate', None) or ''}".strip()
