"""Tables as an older version of the plugin had them, or none: what is there before `airflow db migrate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

RUN_MIGRATE = "Tables in the database are missing or outdated. Run `airflow db migrate`."

MISSING_TABLE = (
    "ALTER TABLE inbound_webhook RENAME TO away",
    "ALTER TABLE away RENAME TO inbound_webhook",
)
MISSING_COLUMN = (
    "ALTER TABLE inbound_webhook RENAME COLUMN description TO away",
    "ALTER TABLE inbound_webhook RENAME COLUMN away TO description",
)


@contextmanager
def outdated_tables(statements: tuple[str, str] = MISSING_TABLE) -> Iterator[None]:
    """Run the first statement, and the second one at the end."""
    _execute(statements[0])
    try:
        yield
    finally:
        _execute(statements[1])


def _execute(statement: str) -> None:
    from airflow import settings
    from sqlalchemy import text

    with settings.engine.begin() as connection:
        connection.execute(text(statement))
