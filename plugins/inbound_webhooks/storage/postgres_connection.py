"""One connection to PostgreSQL for an event loop: psycopg connects, libpq executes.

The endpoint sends two statements for each batch of requests. They go to libpq directly, by way of
``psycopg.pq``: a cursor of psycopg's costs more processor time than the statement itself, because it waits
with a new reader of the event loop each time. https://www.psycopg.org/psycopg3/docs/api/pq.html
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import partial
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.types.datetime import TimestamptzBinaryLoader
from sqlalchemy import func, select

from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.storage.statement import (
    CannotConnect,
    ConnectionLost,
    Row,
    Statement,
    StatementFailed,
    StatementRefused,
)

log = get_logger(__name__)

CONNECT_SECONDS = 10.0
"""Longest time until a connection is open; a shorter ``connect_timeout`` in the URL counts."""

STATEMENT_SECONDS = 10.0
"""Longest time of a statement; PostgreSQL's lock timeout ends earlier."""

_BINARY = 1
"""libpq's format code; text is 0, so False and True say it as well."""

# As text, since the binary form of a number depends on its size; the statement's casts say the type.
_FORMAT = (PyFormat.TEXT, PyFormat.BINARY).__getitem__

_SUCCESS = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_BACKEND_PID = Statement(select(func.pg_backend_pid()))


class Connection:
    """A connection on which each statement commits.

    ``prepares`` says whether statements are prepared. A pooler that gives each transaction another
    connection to the server, as PgBouncer does, loses prepared statements.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection  # closes the socket when it is collected
        self._pgconn = connection.pgconn
        self._transformer = Transformer(connection)
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._prepared: set[bytes] = set()
        self._socket = connection.pgconn.socket
        self.prepares = False
        self.opened_at = loop.time()
        self.is_closed = False
        # Always on, so that a connection that the server closes is known to be dead before its next use.
        loop.add_reader(self._socket, self._read)

    async def fetch(self, statement: Statement, given: Mapping[str, Any]) -> list[Row]:
        """Execute a statement and return its rows.

        :raises ConnectionLost: the connection is dead
        :raises StatementFailed: PostgreSQL rejected the statement
        :raises StatementRefused: a value cannot be sent
        :raises TimeoutError: it took too long; the connection cannot be used any more
        """
        values = map(given.get, statement.parameters, statement.constants)
        try:
            sent = self._transformer.dump_sequence(list(values), list(map(_FORMAT, statement.are_binary)))
        except (psycopg.Error, UnicodeError):
            raise StatementRefused from None
        pgconn, name, text = self._pgconn, statement.name, statement.text
        if self.prepares:
            if name not in self._prepared:
                await self._execute(partial(pgconn.send_prepare, name, text))
                self._prepared.add(name)
            send = partial(pgconn.send_query_prepared, name, sent, statement.are_binary, _BINARY)
        else:
            send = partial(pgconn.send_query_params, text, sent, None, statement.are_binary, _BINARY)
        result = await self._execute(send)
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def terminate(self) -> None:
        """Close the connection at once, without waiting for the server."""
        if not self.is_closed:
            self.is_closed = True
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._pgconn.finish()

    async def _execute(self, send: Callable[[], None]) -> Any:
        """Send a command and wait for its result."""
        timer = self._loop.call_later(STATEMENT_SECONDS, self._expire)
        pgconn = self._pgconn
        try:
            send()
            if pgconn.flush():
                await self._flush()
            found = None
            while True:
                while pgconn.is_busy():
                    await self._readable()
                result = pgconn.get_result()
                if result is None:
                    break
                found = result
        except psycopg.OperationalError as error:
            raise ConnectionLost from error
        finally:
            timer.cancel()
        if found is None or pgconn.status != pq.ConnStatus.OK:
            raise ConnectionLost
        if found.status not in _SUCCESS:
            raise StatementFailed((found.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode())
        return found

    async def _flush(self) -> None:
        """Send the rest of a command that is larger than the socket's buffer.

        Reads meanwhile, since the server stops reading while it cannot write.
        """
        self._loop.add_writer(self._socket, self._wake)
        try:
            while self._pgconn.flush():
                await self._readable()
        finally:
            self._loop.remove_writer(self._socket)

    async def _readable(self) -> None:
        self._waiter = waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def _read(self) -> None:
        """Called by the event loop when the server has sent something or closed the connection."""
        try:
            self._pgconn.consume_input()
        except psycopg.OperationalError as error:
            waiter = self._waiter
            self.terminate()
            if waiter is not None and not waiter.done():
                waiter.set_exception(error)
        else:
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _expire(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TimeoutError())


class _UtcLoader(TimestamptzBinaryLoader):
    def load(self, data: Any) -> datetime:
        # psycopg's own value is in the time zone of the connection.
        return super().load(data).astimezone(timezone.utc)


async def connect(conninfo: str) -> Connection:
    """Open a connection.

    :raises CannotConnect: the server cannot be reached, refuses, or does not answer in time
    """
    try:
        opening = psycopg.AsyncConnection.connect(conninfo, autocommit=True)
        connection = await asyncio.wait_for(opening, CONNECT_SECONDS)
    except (psycopg.Error, TimeoutError, asyncio.TimeoutError) as error:
        log.error("no connection action=no_connection: %s", _reason(error))
        in_time = isinstance(error, psycopg.Error) and not isinstance(error, psycopg.errors.ConnectionTimeout)
        raise CannotConnect(_without_names(_reason(error)), in_time=in_time) from None
    connection.adapters.register_loader("timestamptz", _UtcLoader)
    opened = Connection(connection, asyncio.get_running_loop())
    try:
        [(backend_pid,)] = await opened.fetch(_BACKEND_PID, {})
    except BaseException as error:
        opened.terminate()
        if isinstance(error, ConnectionLost | StatementFailed | TimeoutError | asyncio.TimeoutError):
            raise CannotConnect(type(error).__name__) from None
        raise
    # A pooler gives its clients process ids of its own making.
    opened.prepares = backend_pid == connection.pgconn.backend_pid
    return opened


def _without_names(reason: str) -> str:
    """Leave out host, user, database and paths, since the health report is shown to anyone."""
    return _QUOTED.sub("…", reason.rpartition(" failed: ")[2])[:MAX_REASON_CHARS]


# From the first quotation mark to the last one: a name may contain some.
_QUOTED = re.compile(r"""".*"|'.*'""")

MAX_REASON_CHARS = 200


def _reason(error: Exception) -> str:
    # libpq names host, user and database, never the password; its lines are for a terminal.
    return " ".join(str(error).split()) or type(error).__name__
