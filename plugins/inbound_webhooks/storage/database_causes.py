"""Why a database cannot be used: what an operator has to do, by SQLSTATE or by the words of a driver."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inbound_webhooks.errors import DatabaseUnavailable, Problem
from inbound_webhooks.monitoring.environment import ENVIRONMENT, Environment
from inbound_webhooks.storage.statement import READ_ONLY_TRANSACTION


@dataclass(frozen=True)
class Cause:
    """What is wrong and how to fix it; without a ``code``, trying again may be enough."""

    message: str
    code: str = ""


TABLES_MISSING = Cause(
    "Tables in the database are missing or outdated. Run `airflow db migrate`.", "tables-missing"
)
NOT_PERMITTED = Cause(
    "The database refuses access to a table. Grant the user in [database] sql_alchemy_conn the same "
    "privileges on the tables inbound_webhook* as on Airflow's own.",
    "database-not-permitted",
)
READ_ONLY = Cause(
    "The database is read-only. Point [database] sql_alchemy_conn to the primary server, or make the file "
    "writable.",
    "database-read-only",
)
TOO_MANY_CONNECTIONS = Cause(
    "The database server accepts no more connections. Raise its max_connections, or put PgBouncer in front "
    "of it.",
    "database-too-many-connections",
)
EXHAUSTED = Cause(
    "The database server has no disk space or memory left. Free some of it.", "database-exhausted"
)
DATABASE_MISSING = Cause(
    "The database server has no such database. Create it, or correct [database] sql_alchemy_conn.",
    "database-missing",
)
LOGIN_REFUSED = Cause(
    "The database server refuses the login. Correct user and password in [database] sql_alchemy_conn, or "
    "pg_hba.conf on the server.",
    "database-login-refused",
)
TLS_FAILED = Cause(
    "The TLS connection to the database server cannot be made. Correct sslmode, sslrootcert, sslcert and "
    "sslkey in [database] sql_alchemy_conn or sql_alchemy_connect_args, or the server's certificate.",
    "database-tls",
)
HOST_UNKNOWN = Cause(
    "The host name of the database server cannot be resolved. Correct the host in [database] "
    "sql_alchemy_conn, or the name server.",
    "database-host-unknown",
)
LOCKED = Cause("The database is locked by another transaction. Try again.")

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_BY_STATE: Mapping[str, Cause] = {
    "42P01": TABLES_MISSING,  # undefined_table
    "42703": TABLES_MISSING,  # undefined_column
    "3F000": TABLES_MISSING,  # invalid_schema_name
    "42501": NOT_PERMITTED,  # insufficient_privilege
    READ_ONLY_TRANSACTION: READ_ONLY,
    "53300": TOO_MANY_CONNECTIONS,
    "53": EXHAUSTED,
    "3D000": DATABASE_MISSING,  # invalid_catalog_name
    "28": LOGIN_REFUSED,
    "55P03": LOCKED,  # lock_not_available
    "40P01": LOCKED,  # deadlock_detected
}
"""SQLSTATE, or its first two characters for a whole class -> cause."""

# SQLite has no SQLSTATE, and libpq tells none where a connection is refused.
_BY_WORDS: Mapping[re.Pattern[str], Cause] = {
    re.compile(words): cause
    for words, cause in {
        r"too many (clients|connections)|remaining connection slots": TOO_MANY_CONNECTIONS,
        r"no more connections allowed": TOO_MANY_CONNECTIONS,  # PgBouncer
        r"no such (table|column)|has no column named": TABLES_MISSING,
        r"readonly database": READ_ONLY,
        r"database or disk is full": EXHAUSTED,
        r"database (table )?is locked": LOCKED,
        r'database ".*" does not exist|no such database': DATABASE_MISSING,
        r'authentication failed|no pg_hba\.conf entry|no password supplied|role ".*" does not exist': (
            LOGIN_REFUSED
        ),
        r"permission denied for database": LOGIN_REFUSED,
        r"certificate verify failed|does not support SSL|does not match host name": TLS_FAILED,
        r"root certificate (file|store)|(certificate|private key) file|private key": TLS_FAILED,
        r"unsupported protocol|wrong version number|tlsv1\d? alert|sslv3 alert": TLS_FAILED,
        r"could not translate host name|failed to resolve host|could not resolve": HOST_UNKNOWN,
        r"session is read-only|server is in hot standby mode": READ_ONLY,  # target_session_attrs
    }.items()
}


def cause_of(sqlstate: str | None, words: str = "") -> Cause | None:
    """The cause for a SQLSTATE, or without one for the words of a driver; None where neither tells it."""
    if sqlstate:
        return _BY_STATE.get(sqlstate) or _BY_STATE.get(sqlstate[:2])
    return next((cause for pattern, cause in _BY_WORDS.items() if pattern.search(words)), None)


def is_locked(error: DatabaseUnavailable) -> bool:
    """Whether a lock was not granted in time."""
    return error.message == LOCKED.message


RECOVERY_SECONDS = 15.0
"""How long no transaction may meet a cause until it counts as removed: a transaction that succeeds may use
other tables. Longer than the time between two reports of a process, which are writes that need disk space."""


class DatabaseProblems:
    """The causes that the transactions of this process meet, as problems of its environment."""

    def __init__(self, environment: Environment, clock: Callable[[], float] = time.monotonic) -> None:
        self._environment = environment
        self._clock = clock
        self.met_at: dict[str, float] = {}
        self._is_probed = False

    def failed(self, error: DatabaseUnavailable) -> None:
        """Report the error's cause, if an operator has to remove it."""
        if error.code:
            self.met_at[error.code] = self._clock()
            self._environment.report(Problem(error.message, code=error.code))

    def succeeded(self) -> None:
        """Resolve the causes that no transaction has met for a while.

        In a process of the endpoint only :meth:`proved_usable` does: a transaction that only reads succeeds
        on a server that is read-only, and any other on a table of its own.
        """
        if self.met_at and not self._is_probed:
            self._resolve()

    def proved_usable(self) -> None:
        """The same once all that the endpoint reads and writes was found to be permitted."""
        self._is_probed = True
        if self.met_at:
            self._resolve()

    def _resolve(self) -> None:
        oldest = self._clock() - RECOVERY_SECONDS
        for code, met_at in tuple(self.met_at.items()):
            if met_at < oldest:
                self.met_at.pop(code, None)
                self._environment.resolve(code)


DATABASE_PROBLEMS = DatabaseProblems(ENVIRONMENT)
"""Those of this process."""
