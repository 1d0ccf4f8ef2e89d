"""What Airflow writes for the same input, written again without Airflow: many tests store the same DAG."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import event
from sqlalchemy.engine import Connection

CHANGES = ("INSERT", "UPDATE")
LENGTHS_OF_IDS = (32, 36)


@dataclass(frozen=True)
class Statement:
    """As the driver gets it; ``parameters`` are a list of them where ``is_many``."""

    text: str
    parameters: Any
    is_many: bool


@contextmanager
def recorded_changes(connection: Connection) -> Iterator[list[Statement]]:
    """The statements of a block that change something."""
    statements: list[Statement] = []

    def note(_: Any, cursor: Any, text: str, parameters: Any, context: Any, is_many: bool) -> None:
        if text.lstrip().startswith(CHANGES):
            statements.append(Statement(text, parameters, is_many))

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(connection, "before_cursor_execute", note)


def repeat(connection: Connection, statements: Sequence[Statement], ids: Collection[UUID]) -> None:
    """Execute them again, with others in place of these ids, as caches know rows by them."""
    others = {known: uuid4() for known in ids}
    for statement in statements:
        connection.exec_driver_sql(statement.text, _replaced(statement.parameters, others))


def _replaced(value: Any, others: Mapping[UUID, UUID]) -> Any:
    match value:
        case dict():
            return {name: _replaced(item, others) for name, item in value.items()}
        case list() | tuple():
            return type(value)(_replaced(item, others) for item in value)
        case UUID():
            return others.get(value, value)
        case str() if len(value) in LENGTHS_OF_IDS:
            return _replaced_text(value, others)
    return value


def _replaced_text(value: str, others: Mapping[UUID, UUID]) -> str:
    try:
        other = others.get(UUID(value))
    except ValueError:
        return value
    if other is None:
        return value
    return str(other) if "-" in value else other.hex
