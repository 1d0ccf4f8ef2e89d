"""Statements on waits and their calls; each runs on the caller's connection.

Whatever changes a wait locks its row first, then the delivery, then Airflow's task instance.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime
from secrets import token_hex
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, delete, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from inbound_webhooks.records.delivery import Delivery, State
from inbound_webhooks.records.wait import Wait, WaitState
from inbound_webhooks.storage import tables

MAX_REFUSAL_CHARS = 500

_TIME_DIGITS = 12
"""Hexadecimal digits at the beginning of an id that are its time."""

_WAIT = tables.wait.c
_DELIVERY = tables.delivery.c


def insert_waits(connection: Connection, waits: list[Wait]) -> None:
    """Insert waits; those that are stored already stay as they are."""
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    if waits:
        _make_way(connection, waits)
        statement = dialect.insert(tables.wait).on_conflict_do_nothing()
        connection.execute(statement, [asdict(wait) for wait in waits])


def _make_way(connection: Connection, waits: list[Wait]) -> None:
    """Give another id to waits of earlier tries whose id a later one has.

    No task instance has that id: a wait that is not over yet ends like one whose task was cleared.
    """
    later = {wait.id: wait for wait in waits}
    query = select(tables.wait).where(_WAIT.id.in_(sorted(later))).order_by(_WAIT.id)
    for row in connection.execute(query).all():
        stored = Wait(**row._mapping)
        if not later[stored.id].replaces(stored):
            continue
        # Ids sort by time.
        other_id = stored.id[:_TIME_DIGITS] + token_hex((len(stored.id) - _TIME_DIGITS) // 2)
        # Another process may have done the same meanwhile.
        same = (_WAIT.id == stored.id, _WAIT.created_at == stored.created_at)
        if connection.execute(update(tables.wait).where(*same).values(id=other_id)).rowcount:
            calls = update(tables.delivery).where(_DELIVERY.wait_id == stored.id)
            connection.execute(calls.values(wait_id=other_id))


def find_wait(connection: Connection, wait_id: str) -> Wait | None:
    """Find a wait by id."""
    row = connection.execute(select(tables.wait).where(_WAIT.id == wait_id)).first()
    return Wait(**row._mapping) if row else None


def lock_wait(connection: Connection, wait_id: str, *, skip_locked: bool = False) -> Wait | None:
    """Lock a wait; with ``skip_locked`` None as well where another transaction has it."""
    query = select(tables.wait).where(_WAIT.id == wait_id).with_for_update(skip_locked=skip_locked)
    row = connection.execute(query).first()
    return Wait(**row._mapping) if row else None


def insert_call(connection: Connection, delivery: Delivery, *, token_sha256: str | None) -> str | None:
    """Insert the call of a wait that is stored; the first call counts.

    ``token_sha256`` is that of the wait for which the call was admitted.

    Returns the id under which the call is stored: the delivery's own, or that of the first call; None if the
    wait ended without a call.
    """
    wait = lock_wait(connection, delivery.wait_id or "")
    if wait is None or wait.state not in (WaitState.WAITING, WaitState.RESUMED):
        return None
    if wait.token_sha256 != token_sha256:
        return None  # a later try with the same id has registered meanwhile
    if wait.delivery_id is not None or wait.state != WaitState.WAITING:
        return wait.delivery_id
    connection.execute(insert(tables.delivery), msgspec.structs.asdict(delivery))
    change_wait(connection, wait.id, {"delivery_id": delivery.id})
    return delivery.id


def note_refusal(connection: Connection, wait_id: str, reason: str) -> None:
    """Count a call whose content could not be used."""
    values = {"refused_calls": _WAIT.refused_calls + 1, "refusal": reason[:MAX_REFUSAL_CHARS]}
    waiting = (_WAIT.id == wait_id, text(tables.WAITING))
    connection.execute(update(tables.wait).where(*waiting).values(values))


def change_wait(connection: Connection, wait_id: str, values: Mapping[str, Any]) -> None:
    """Write columns of a wait that the caller has locked."""
    connection.execute(update(tables.wait).where(_WAIT.id == wait_id).values(**values))


def end_wait(connection: Connection, wait_id: str, state: str, at: datetime) -> None:
    """Let a wait that the caller has locked be over."""
    change_wait(connection, wait_id, {"state": state, "ended_at": at})


def wait_of_call(connection: Connection, delivery_id: str) -> str | None:
    """The wait of a call that has not resumed its task yet."""
    return connection.scalar(
        select(_DELIVERY.wait_id).where(_DELIVERY.id == delivery_id, text(tables.CALLED))
    )


def put_off(connection: Connection, delivery: Delivery, again_at: datetime) -> None:
    """Try a call again that the caller has locked."""
    values = {"attempts": delivery.attempts + 1, "next_attempt_at": again_at}
    connection.execute(update(tables.delivery).where(_DELIVERY.id == delivery.id).values(values))


def lock_call(connection: Connection, delivery_id: str) -> Delivery | None:
    """Lock a call that has not resumed its task yet; None if it is no longer one, or is locked elsewhere."""
    query = select(tables.delivery).where(_DELIVERY.id == delivery_id, text(tables.CALLED))
    row = connection.execute(query.with_for_update(skip_locked=True)).first()
    return Delivery(**row._mapping) if row else None


def finish_call(
    connection: Connection, delivery_id: str, state: str, at: datetime, *, error: str | None = None
) -> None:
    """Record what became of a call that the caller has locked."""
    values: dict[str, Any] = {"state": state, "finished_at": at, "next_attempt_at": None, "error": error}
    if state != State.CANCELLED:
        values |= {"dispatched_at": at, "attempts": _DELIVERY.attempts + 1}
    connection.execute(update(tables.delivery).where(_DELIVERY.id == delivery_id).values(values))


def count_by_dag(connection: Connection, *, state: str = "", dag_id: str = "") -> dict[str, int]:
    """DAG id -> number of waits, in a state and of a DAG where they are given."""
    query = select(_WAIT.dag_id, func.count()).group_by(_WAIT.dag_id)
    rows = connection.execute(_narrowed(query, state, dag_id))
    return {row[0]: row[1] for row in rows}


def list_waits(
    connection: Connection, dag_ids: Collection[str], *, state: str = "", limit: int, offset: int = 0
) -> list[Wait]:
    """Waits of these DAGs, newest first."""
    query = _narrowed(select(tables.wait).where(_WAIT.dag_id.in_(sorted(dag_ids))), state, "")
    # Ids of task instances sort by time.
    rows = connection.execute(query.order_by(_WAIT.id.desc()).limit(limit).offset(offset))
    return [Wait(**row._mapping) for row in rows]


def waits_of_task(
    connection: Connection, dag_id: str, run_id: str, task_id: str, map_index: int
) -> list[Wait]:
    """The waits of a task instance's tries, newest first."""
    of_task = (
        _WAIT.dag_id == dag_id,
        _WAIT.run_id == run_id,
        _WAIT.task_id == task_id,
        _WAIT.map_index == map_index,
    )
    rows = connection.execute(select(tables.wait).where(*of_task).order_by(_WAIT.created_at.desc()))
    return [Wait(**row._mapping) for row in rows]


def delete_waits(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete waits that ended before then; return how many."""
    old = select(_WAIT.id).where(_WAIT.ended_at < before).order_by(_WAIT.ended_at).limit(limit)
    chosen = list(connection.scalars(old.with_for_update(skip_locked=True)))
    if chosen:
        connection.execute(delete(tables.wait).where(_WAIT.id.in_(chosen)))
    return len(chosen)


def _narrowed(query: Select[Any], state: str, dag_id: str) -> Select[Any]:
    query = query.where(_WAIT.state == state) if state else query
    return query.where(_WAIT.dag_id == dag_id) if dag_id else query
