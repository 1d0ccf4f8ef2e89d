"""The endpoint's own connections to PostgreSQL, for one event loop.

They are opened as Airflow's synchronous engine would. Where that fails although the engine itself connects,
statements run on the engine in a thread, which is slower, and the environment's problems say why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from airflow import settings
from airflow.configuration import conf
from sqlalchemy import Connection as SynchronousConnection
from sqlalchemy.exc import DBAPIError

from inbound_webhooks.errors import Problem
from inbound_webhooks.monitoring.environment import ENVIRONMENT
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.storage.database import autocommit, sqlstate_of, unavailable
from inbound_webhooks.storage.statement import (
    CannotConnect,
    ConnectionLost,
    Executor,
    Row,
    Statement,
    StatementFailed,
    StatementRefused,
)
from inbound_webhooks.storage.threads import run_in_thread

log = get_logger(__name__)

Result = TypeVar("Result")
Execution = Callable[[Executor], Awaitable[Result]]

THREADS_SECONDS = 5.0
"""For how long statements run in threads until a connection is tried again."""

SLOW_CONNECTIONS = "slow-connections"
ASYNC_URL_UNUSABLE = "async-url-unusable"


class AsyncConnections:
    """A small pool for one event loop; connections are opened on first use."""

    def __init__(self, size: int) -> None:
        # Last in, first out: rarely used connections stay unopened, and the warm one is reused.
        self._free: asyncio.LifoQueue[Any] = asyncio.LifoQueue()
        for _ in range(size):
            self._free.put_nowait(None)
        self._threads = ThreadedExecutor()
        self._in_threads_until = float("-inf")
        self._prepares = True
        # As old as those of Airflow's own pool, which an operator sets where a firewall ends older ones.
        seconds = conf.getint("database", "sql_alchemy_pool_recycle", fallback=1800)
        self._max_age_seconds = seconds if seconds > 0 else float("inf")

    async def use(self, work: Execution[Result]) -> Result:
        """Run ``work`` on a connection that commits each statement; ``work`` must be idempotent.

        A dead connection (all are dead after a restart of the server) is replaced, and ``work`` runs once
        more on the new one.

        :raises DatabaseUnavailable: the database is unreachable, or a statement timed out
        :raises StatementRefused: a value cannot be stored, or a lock was not granted in time
        """
        now = asyncio.get_running_loop().time()
        if now < self._in_threads_until:
            return await work(self._threads)
        connection = await self._free.get()
        try:
            if (
                connection is None
                or connection.is_closed
                or connection.opened_at < now - self._max_age_seconds
            ):
                _terminate(connection)
                connection = None
                connection = await self._open()
                return await self._work(work, connection)
            try:
                return await work(connection)
            except ConnectionLost:
                pass
            except StatementFailed as error:
                if not (error.ends_connection or self._loses_prepared(error)):
                    raise
            _terminate(connection)
            connection = None
            connection = await self._open()
            return await self._work(work, connection)
        except CannotConnect as error:
            if not error.in_time:  # a thread would wait for minutes
                raise unavailable(error) from None
            return await self._in_threads(work, error)
        except StatementFailed as error:
            if error.is_caused_by_values:
                log.warning("statement refused action=statement_refused kind=%s", error.sqlstate)
                raise StatementRefused from None
            _terminate(connection)
            raise unavailable(error) from None
        except (ConnectionLost, TimeoutError, asyncio.TimeoutError) as error:
            _terminate(connection)
            raise unavailable(error) from None
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
            _terminate(connection)
            self._free.put_nowait(None)

    async def _work(self, work: Execution[Result], connection: Any) -> Result:
        """Run ``work`` on a new connection, and again unprepared if a pooler loses prepared statements."""
        try:
            return await work(connection)
        except StatementFailed as error:
            if not self._loses_prepared(error):
                raise
        connection.prepares = False
        return await work(connection)

    def _loses_prepared(self, error: StatementFailed) -> bool:
        if error.loses_prepared:
            self._prepares = False
        return error.loses_prepared

    async def _open(self) -> Any:
        """Open a connection; raises CannotConnect."""
        try:
            # Imported here because psycopg may be missing, or find no libpq.
            from inbound_webhooks.storage import postgres_connection
        except ImportError as error:
            raise CannotConnect(f"psycopg cannot be imported ({error.name or 'libpq is missing'})") from None
        conninfo = await run_in_thread(_conninfo)
        connection = await postgres_connection.connect(conninfo)
        connection.prepares &= self._prepares
        ENVIRONMENT.resolve(SLOW_CONNECTIONS)
        return connection

    async def _in_threads(self, work: Execution[Result], reason: CannotConnect) -> Result:
        """Run ``work`` on Airflow's engine; a problem only if that works, unlike a connection of our own."""
        result = await work(self._threads)
        self._in_threads_until = asyncio.get_running_loop().time() + THREADS_SECONDS
        ENVIRONMENT.report(
            Problem(
                "The endpoint cannot open connections of its own to PostgreSQL and uses those of Airflow's "
                f"engine, which is slower: {reason}. See the troubleshooting page.",
                code=SLOW_CONNECTIONS,
                severity="hint",
            )
        )
        return result


class ThreadedExecutor:
    """Executes statements on Airflow's synchronous engine, in a thread."""

    async def fetch(self, statement: Statement, given: Any) -> list[Row]:
        """The rows of a statement.

        :raises DatabaseUnavailable: the database is unreachable
        :raises StatementRefused: a value cannot be stored, or a lock was not granted in time
        """
        return await run_in_thread(partial(autocommit, partial(_execute, statement, given)))


def _execute(statement: Statement, given: Any, connection: SynchronousConnection) -> list[Row]:
    try:
        return [tuple(row) for row in connection.execute(statement.construct, given)]
    except DBAPIError as error:
        if StatementFailed(sqlstate_of(error.orig) or "").is_caused_by_values:
            raise StatementRefused from None
        raise


def _conninfo() -> str:
    """What to connect with; blocks. Raises CannotConnect."""
    from inbound_webhooks.storage import connect_arguments  # imports psycopg, too

    try:
        return _explicit_conninfo() or connect_arguments.conninfo_of(settings.engine)
    except connect_arguments.ArgumentsUnusable as error:
        raise CannotConnect(f"in [database] sql_alchemy_conn, {error}") from None
    except Exception as error:  # noqa: BLE001 - listeners raise the exceptions of any cloud's library
        raise CannotConnect(f"a do_connect listener raised {type(error).__name__}") from None


def _explicit_conninfo() -> str | None:
    """What sql_alchemy_conn_async says; None where it is not set, or cannot be used and is reported."""
    from inbound_webhooks.storage import connect_arguments

    try:
        found = connect_arguments.conninfo_of_async_url()
    except connect_arguments.ArgumentsUnusable as error:
        ENVIRONMENT.report(
            Problem(
                f"[database] sql_alchemy_conn_async is not used: {error}. The endpoint connects as "
                "sql_alchemy_conn says.",
                code=ASYNC_URL_UNUSABLE,
                severity="hint",
            )
        )
        return None
    ENVIRONMENT.resolve(ASYNC_URL_UNUSABLE)
    return found


def _terminate(connection: Any) -> None:
    # At once: a server that no longer answers would not hear a goodbye.
    if connection is not None:
        connection.terminate()
