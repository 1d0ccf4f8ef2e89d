"""Task instances that wait: found, locked and resumed; the only module that does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.state import State as TaskState
from sqlalchemy import Connection, String, Uuid, and_, cast, func, literal, literal_column, or_, select
from sqlalchemy.orm import Session

from inbound_webhooks.event.task_wait import RESUME_METHOD, XCOM_KEY, Registration
from inbound_webhooks.event.wait_match import MatchRegistration
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.wait import Wait, WaitKind, WaitState
from inbound_webhooks.storage import tables

_TASK: Any = TaskInstance.__table__.c
_RUN: Any = DagRun.__table__.c
_XCOM: Any = XComModel.__table__.c
_WAIT = tables.wait.c
_DELIVERY = tables.delivery.c
_WEBHOOK = tables.webhook.c

PARKED_STATES = ("awaiting_input", "deferred")
"""Of a task that waits: of Airflow 3.3, and of one that Airflow's triggerer watches."""

_FINISHED_STATES = tuple(state.value for state in TaskState.finished)
_UNFINISHED_STATES = ("running", *PARKED_STATES)
"""Of a task that may have registered a wait and has not been resumed yet."""


class Standing(Enum):
    """Where a task instance is on its way through a wait."""

    STARTING = "starting"  # its function runs, or is about to
    PARKED = "parked"
    RESUMED = "resumed"
    ENDED = "ended"
    REPLACED = "replaced"  # by its next try
    GONE = "gone"


@dataclass(frozen=True)
class FoundWait:
    """A wait, stored or only registered by its task, and the standing of the task.

    ``standing`` is GONE, not REPLACED, where no task instance has the wait's id: see :func:`has_next_try`.
    """

    wait: Wait
    is_stored: bool
    standing: Standing


def find_wait(connection: Connection, wait_id: str) -> FoundWait | None:
    """Find a wait by id, in one query whether it exists or not."""
    given = select(literal(wait_id, String).label("id")).subquery()
    stored = [column.label(f"wait_{column.name}") for column in tables.wait.columns]
    query = (
        select(*stored, *_TASK_COLUMNS, _XCOM.value.label("registered"))
        .select_from(given)
        .join(tables.wait, _WAIT.id == given.c.id, isouter=True)
        .join(TaskInstance.__table__, _TASK.id == cast(given.c.id, Uuid()), isouter=True)
        .join(DagRun.__table__, _OF_RUN, isouter=True)
        .join(XComModel.__table__, _OF_TASK, isouter=True)
    )
    row = connection.execute(query).one()
    standing = Standing.GONE if row.task_instance_id is None else _standing(row.task_state, row.next_method)
    registered = _registered(row)
    if row.wait_id is not None:
        stored_wait = Wait(**{name: getattr(row, f"wait_{name}") for name in Wait.__dataclass_fields__})
        if registered is None or not registered.replaces(stored_wait):
            return FoundWait(stored_wait, True, standing)
    return None if registered is None else FoundWait(registered, False, standing)


def has_next_try(connection: Connection, wait: Wait) -> bool:
    """Whether the task of a wait was cleared or is tried again."""
    same_task = (
        _TASK.dag_id == wait.dag_id,
        _TASK.run_id == wait.run_id,
        _TASK.task_id == wait.task_id,
        _TASK.map_index == wait.map_index,
    )
    return connection.scalar(select(_TASK.id).where(*same_task, _TASK.id != UUID(wait.id))) is not None


def unregistered_waits(connection: Connection, limit: int) -> list[Wait]:
    """Waits that tasks have registered and that are not stored yet; unreadable registrations are skipped."""
    found: list[Wait] = []
    after: UUID | None = None
    while len(found) < limit:
        rows = _unregistered(connection, after, limit)
        found += [wait for wait in map(_registered, rows) if wait is not None]
        if len(rows) < limit:
            break
        after = rows[-1].task_instance_id
    return found[:limit]


def _unregistered(connection: Connection, after: UUID | None, limit: int) -> Sequence[Any]:
    """Task instances with a registration that is not stored, by id, beginning behind ``after``."""
    hex_id = func.replace(cast(_TASK.id, String), "-", "")
    # A try may have the id of the one before, see Wait.replaces.
    of_this_try = (_WAIT.id == hex_id, _WAIT.try_number >= _TASK.try_number)
    is_stored = select(_WAIT.id).where(*of_this_try).correlate(TaskInstance.__table__).exists()
    query = (
        select(*_TASK_COLUMNS, _XCOM.value.label("registered"))
        .join(DagRun.__table__, _OF_RUN)
        .join(XComModel.__table__, _OF_TASK)
        .where(_TASK.state.in_(_UNFINISHED_STATES), ~is_stored)
        .order_by(_TASK.id)
        .limit(limit)
    )
    return connection.execute(query if after is None else query.where(_TASK.id > after)).all()


@dataclass(frozen=True)
class DueCall:
    """What can be decided; ``parked_since`` is when its task was parked, None if it is not parked.

    ``id`` is that of the call, or of a wait that has got an event.
    """

    id: str
    parked_since: datetime | None


def due_calls(connection: Connection, now: datetime, limit: int) -> list[DueCall]:
    """Calls that can be decided: their tasks do not run any more before they wait. Oldest first.

    A call that failed unexpectedly is due at its next attempt.
    """
    query = (
        select(_DELIVERY.id, _TASK.state, _TASK.next_method, _TASK.updated_at)
        .join(
            TaskInstance.__table__,
            _TASK.id == cast(_DELIVERY.wait_id, Uuid()),
            isouter=True,
        )
        .where(
            *_IS_CALLED,
            or_(_DELIVERY.attempts == 0, _DELIVERY.next_attempt_at <= now),
            _HAS_STARTED,
        )
        .order_by(_DELIVERY.id)
        .limit(limit)
    )
    return [
        DueCall(row.id, _parked_since(row.state, row.next_method, row.updated_at))
        for row in connection.execute(query)
    ]


def taken_waits(connection: Connection, now: datetime, limit: int) -> list[DueCall]:
    """Waits that have got an event, whose tasks do not run any more before they wait.

    Those for a webhook that is disabled are due at their deadline.
    """
    query = (
        select(_WAIT.id, _TASK.state, _TASK.next_method, _TASK.updated_at)
        .join(tables.webhook, _WEBHOOK.id == _WAIT.webhook_id)
        .join(TaskInstance.__table__, _TASK.id == cast(_WAIT.id, Uuid()), isouter=True)
        .where(_IS_WAITING, _WAIT.outcome.is_not(None), _HAS_STARTED)
        .where(or_(_WEBHOOK.enabled, _WAIT.deadline <= now))
        .order_by(_WAIT.id)
        .limit(limit)
    )
    return [
        DueCall(row.id, _parked_since(row.state, row.next_method, row.updated_at))
        for row in connection.execute(query)
    ]


@dataclass(frozen=True)
class WaitingTask:
    """A wait that is not over, and the standing of its task; ``parked_since`` as in :class:`DueCall`.

    ``must_fail`` says that its task is to fail before the deadline.
    """

    wait_id: str
    deadline: datetime
    must_fail: bool
    standing: Standing
    parked_since: datetime | None


def waiting_tasks(connection: Connection, *, after: str, limit: int) -> list[WaitingTask]:
    """Waits that are not over, by id, beginning behind ``after``."""
    query = (
        select(_WAIT.id.label("wait_id"), _WAIT.deadline, _WAIT.failure, _TASK.updated_at, *_TASK_COLUMNS)
        .join(TaskInstance.__table__, _TASK.id == cast(_WAIT.id, Uuid()), isouter=True)
        .where(_IS_WAITING, _WAIT.id > after)
        .order_by(_WAIT.id)
        .limit(limit)
    )
    return [
        WaitingTask(
            row.wait_id,
            row.deadline,
            row.failure is not None,
            Standing.GONE if row.task_instance_id is None else _standing(row.task_state, row.next_method),
            _parked_since(row.task_state, row.next_method, row.updated_at),
        )
        for row in connection.execute(query)
    ]


class LockedTask:
    """A task instance that the caller's transaction has locked, and its standing."""

    def __init__(self, session: Session, instance: TaskInstance | None) -> None:
        self._session = session
        self._instance = instance
        self.standing, self.parked_since = Standing.GONE, None
        if instance is not None:
            facts = (instance.state, instance.next_method)
            self.standing, self.parked_since = _standing(*facts), _parked_since(*facts, instance.updated_at)

    def resume(self, event: Mapping[str, Any]) -> None:
        """Resume a parked task: its operator gets the event, which holds JSON values.

        Airflow's scheduler starts the task again once the caller has committed.
        """
        # Imported here: the endpoint never resumes a task, and this loads Airflow's asset manager.
        from airflow.models.trigger import handle_event_submit
        from airflow.triggers.base import TriggerEvent

        assert self._instance is not None
        handle_event_submit(TriggerEvent(dict(event)), task_instance=self._instance, session=self._session)


def lock_task(session: Session, wait_id: str) -> LockedTask | None:
    """Lock the task instance of a wait; None where another transaction has it."""
    task_id = UUID(wait_id)
    query = select(TaskInstance).where(_TASK.id == task_id)
    locked = query.with_for_update(of=TaskInstance, skip_locked=True)
    # Changes of this session to other rows are none of its business, and Airflow loads runs with their tasks.
    instance = session.scalar(locked.execution_options(populate_existing=True))
    if instance is None and session.scalar(select(_TASK.id).where(_TASK.id == task_id)) is not None:
        return None
    return LockedTask(session, instance)


def _standing(state: str | None, next_method: str | None) -> Standing:
    if state in _FINISHED_STATES:
        return Standing.ENDED
    if next_method is None:
        return Standing.STARTING
    # Airflow keeps the method while the task runs again, and until it ends.
    is_parked = state in PARKED_STATES and next_method == RESUME_METHOD
    return Standing.PARKED if is_parked else Standing.RESUMED


def _parked_since(state: str | None, next_method: str | None, updated_at: datetime) -> datetime | None:
    """When a task was parked: nothing changes it afterwards."""
    return updated_at if _standing(state, next_method) is Standing.PARKED else None


def _registered(row: Any) -> Wait | None:
    """The wait that a task has registered; None where there is none of this try."""
    try:
        stored = json.loads(row.registered) if isinstance(row.registered, str) else row.registered
    except ValueError:
        return None
    registration = Registration.from_json(stored) or MatchRegistration.from_json(stored)
    if registration is None or row.task_instance_id is None:
        return None
    if registration.wait_id != row.task_instance_id.hex:
        return None
    return Wait(
        id=registration.wait_id,
        dag_id=row.dag_id,
        run_id=row.run_id,
        task_id=row.task_id,
        map_index=row.map_index,
        try_number=row.try_number if registration.try_number is None else registration.try_number,
        created_at=registration.created_at,
        deadline=registration.deadline,
        result=registration.result,
        fail_when=registration.fail_when,
        **_what_it_waits_for(registration),
    )


def _what_it_waits_for(registration: Registration | MatchRegistration) -> dict[str, Any]:
    if isinstance(registration, Registration):
        return {"kind": WaitKind.CALLBACK, "token_sha256": registration.token_sha256}
    return {
        "kind": WaitKind.EVENT,
        "token_sha256": None,
        "webhook_name": registration.webhook,
        "match_paths": json.dumps(sorted(registration.match)) if registration.match else None,
        "match_values": json.dumps([registration.match[path] for path in sorted(registration.match)]),
        "match_key": registration.key,
        "match_expression": registration.match_expression,
        "broadcast": registration.broadcast,
        "counts_from": registration.counts_from,
    }


_TASK_COLUMNS: Sequence[Any] = (
    _TASK.id.label("task_instance_id"),
    _TASK.dag_id,
    _TASK.run_id,
    _TASK.task_id,
    _TASK.map_index,
    _TASK.try_number,
    _TASK.state.label("task_state"),
    _TASK.next_method,
)
# Literals instead of bound values: a planner uses a partial index only where it sees the index's predicate.
_IS_CALLED = (_DELIVERY.wait_id.is_not(None), _DELIVERY.state == literal_column(f"'{State.ACCEPTED}'"))
_IS_WAITING = _WAIT.state == literal_column(f"'{WaitState.WAITING}'")
_IS_STARTING = and_(_TASK.next_method.is_(None), _TASK.state.not_in(_FINISHED_STATES))
_HAS_STARTED = or_(_TASK.id.is_(None), ~func.coalesce(_IS_STARTING, True))
_OF_RUN = and_(_RUN.dag_id == _TASK.dag_id, _RUN.run_id == _TASK.run_id)
_OF_TASK = and_(
    _XCOM.dag_run_id == _RUN.id,
    _XCOM.task_id == _TASK.task_id,
    _XCOM.map_index == _TASK.map_index,
    _XCOM.key == XCOM_KEY,
)
