"""A transaction whose statements are interrupted after a while: for queries that no index makes cheap."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from inbound_webhooks.errors import SearchTooLong
from inbound_webhooks.storage.database import sqlstate_of, transaction

CANCELED = "57014"
"""SQLSTATE of a statement that its time limit has ended."""

_INSTRUCTIONS = 2_000
"""Instructions of SQLite's machine between two looks at the clock: less than a millisecond."""


@contextmanager
def limited_transaction(seconds: float) -> Iterator[Connection]:
    """A transaction that only reads; on PostgreSQL each statement has the time, on SQLite all together.

    :raises SearchTooLong: the time is over
    """
    with transaction() as connection:
        limit = _postgres if connection.dialect.name == "postgresql" else _sqlite
        with limit(connection, seconds):
            yield connection


@contextmanager
def _postgres(connection: Connection, seconds: float) -> Iterator[None]:
    # A literal, because SET takes no parameters.
    connection.execute(text(f"SET LOCAL statement_timeout = {max(round(seconds * 1000), 1)}"))
    try:
        yield
    except DBAPIError as error:
        if sqlstate_of(error.orig) != CANCELED:
            raise
        raise SearchTooLong from None


@contextmanager
def _sqlite(connection: Connection, seconds: float) -> Iterator[None]:
    driver: Any = connection.connection.driver_connection
    ends_at = time.monotonic() + seconds
    driver.set_progress_handler(lambda: time.monotonic() > ends_at, _INSTRUCTIONS)
    try:
        yield
    except DBAPIError as error:
        # Python 3.10 has no names for SQLite's errors.
        if str(error.orig) != "interrupted":
            raise
        raise SearchTooLong from None
    finally:
        driver.set_progress_handler(None, 0)
