"""A statement for the endpoint's own connections, and how its execution fails."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Protocol

from sqlalchemy import ARRAY, LargeBinary
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect

Row = tuple[Any, ...]

READ_ONLY_TRANSACTION = "25006"
"""SQLSTATE of a write on a standby."""


class Statement:
    """A statement of SQLAlchemy's for PostgreSQL, compiled once."""

    _numbers = itertools.count(1)

    def __init__(self, construct: Any) -> None:
        # libpq numbers parameters: $1, $2.
        compiled = construct.compile(dialect=psycopg_dialect(paramstyle="numeric_dollar"))
        self.construct = construct
        self.text = str(compiled).encode()
        self.name = f"inbound_webhooks_{next(self._numbers)}".encode()
        self.columns = tuple(column.key for column in construct.exported_columns)
        self.parameters = tuple(compiled.positiontup)
        self.constants = tuple(compiled.params[name] for name in self.parameters)
        """The statement's own values; None for those that each call gives."""
        types = (compiled.binds[name].type for name in self.parameters)
        self.are_binary = tuple(
            isinstance(of, ARRAY) and isinstance(of.item_type, LargeBinary) for of in types
        )
        """Which parameters are arrays of bytes."""


class Executor(Protocol):
    """Executes statements, each in a transaction of its own."""

    async def fetch(self, statement: Statement, given: Mapping[str, Any]) -> list[Row]:
        """The rows of a statement; ``given`` are its values by name."""
        ...


class StatementRefused(Exception):
    """PostgreSQL or its driver rejected this statement because of its values."""


class StatementFailed(Exception):
    """PostgreSQL rejected a statement; ``sqlstate`` says why.

    https://www.postgresql.org/docs/current/errcodes-appendix.html
    """

    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate
        super().__init__(sqlstate)

    @property
    def is_caused_by_values(self) -> bool:
        """Whether other values might succeed: invalid data, a constraint, a conflict, a lock not granted."""
        return self.sqlstate[:2] in ("21", "22", "23", "40", "54", "55")

    @property
    def ends_connection(self) -> bool:
        """Whether another connection might succeed.

        The server has ended this one or shuts down; or it is a standby, while the address leads to the
        primary by now, as after a failover in which the former primary stays up.
        """
        is_lost = self.sqlstate[:2] == "08" or self.sqlstate in ("57P01", "57P02", "57P03")
        return is_lost or self.sqlstate == READ_ONLY_TRANSACTION

    @property
    def loses_prepared(self) -> bool:
        """Whether a pooler has lost a prepared statement, or mixed up those of two clients."""
        return self.sqlstate in ("26000", "42P05")


class ConnectionLost(Exception):
    """The connection to PostgreSQL was lost."""


class CannotConnect(Exception):
    """No connection could be opened; the message is the reason, without values of its arguments."""

    def __init__(self, reason: str, *, in_time: bool = True) -> None:
        super().__init__(reason)
        self.in_time = in_time
        """Whether the server answered in time, so that another way to connect is worth a try."""
