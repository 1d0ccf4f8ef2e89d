"""Tasks that wait for a call, in the database: as workers leave them, without running one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import PREFIX, now, rows

DAG_ID = "training"
TOKEN = "7" * 64
PARKED = {"state": "awaiting_input", "next_method": "complete_wait", "next_kwargs": {}}
STARTING = {"state": "running", "next_method": None, "next_kwargs": None}


def tasks_at(hours: float = 0.0, *, wait_settle_seconds: float = 0.0) -> Any:
    """The dispatcher's job for waiting tasks, with a clock that is so far ahead."""
    from inbound_webhooks.dispatch.targets.waiting_task import WaitingTasks
    from inbound_webhooks.settings import Settings

    settings = Settings(wait_settle_seconds=wait_settle_seconds)
    return WaitingTasks(settings, now=lambda: now() + timedelta(hours=hours))


@dataclass(frozen=True)
class Waiting:
    """A task instance that has registered a wait; ``id`` is that of its try, in hex."""

    id: str
    run_id: str
    token: str = TOKEN

    @property
    def path(self) -> str:
        return f"{PREFIX}/wait/{self.id}/{self.token}"


def store_waiting_task(
    *,
    run_id: str = "manual",
    dag_id: str = DAG_ID,
    timeout: timedelta = timedelta(hours=1),
    created_at: datetime | None = None,
    result: str | None = None,
    fail_when: str | None = None,
    **columns: Any,
) -> Waiting:
    """Store a run whose task has registered a wait, and is parked unless ``columns`` say otherwise."""
    _store_run(run_id, dag_id)
    waiting = Waiting(task_of(run_id).id.hex, run_id)
    _register(waiting, created_at=created_at, timeout=timeout, result=result, fail_when=fail_when)
    change_task(waiting, **PARKED | columns)
    return waiting


def _register(
    waiting: Waiting,
    *,
    created_at: datetime | None = None,
    timeout: timedelta = timedelta(hours=1),
    result: str | None = None,
    fail_when: str | None = None,
) -> None:
    """Leave what a task leaves that waits for a call."""
    from inbound_webhooks.event.task_wait import XCOM_KEY, Registration

    task, began_at = task_of(waiting.run_id), created_at or now()
    registration = Registration(
        wait_id=waiting.id,
        token_sha256=hashlib.sha256(waiting.token.encode()).hexdigest(),
        created_at=began_at,
        deadline=began_at + timeout,
        try_number=task.try_number,
        result=result,
        fail_when=fail_when,
    )
    _store_xcom(task.dag_id, waiting.run_id, XCOM_KEY, registration.as_json())


def fail_while_queued(waiting: Waiting) -> None:
    """Let the task be tried again with the id that it has: Airflow gives a new one to what ran alone."""
    change_task(
        waiting,
        state="running",
        next_method=None,
        next_kwargs=None,
        try_number=task_of(waiting.run_id).try_number + 1,
    )


def wait_again(waiting: Waiting, **columns: Any) -> Waiting:
    """Let the next try of the task, with the same id, register a wait for a call of its own URL."""
    again = replace(waiting, token="8" * 64)
    _register(again)
    change_task(again, **PARKED | columns)
    return again


def store_matching_task(
    *,
    webhook: str = "dbt",
    match: dict[str, Any] | None = None,
    match_expression: str | None = None,
    look_back: timedelta = timedelta(minutes=10),
    broadcast: bool = False,
    run_id: str = "manual",
    dag_id: str = DAG_ID,
    timeout: timedelta = timedelta(hours=1),
    created_at: datetime | None = None,
    result: str | None = None,
    fail_when: str | None = None,
    registers: bool = True,
    **columns: Any,
) -> Waiting:
    """Store a run whose task waits for an event of a webhook, parked unless ``columns`` say otherwise.

    The dispatcher has noticed it, unless ``registers`` is False.
    """
    _store_run(run_id, dag_id)
    waiting = Waiting(task_of(run_id).id.hex, run_id)
    _register_match(
        waiting,
        webhook=webhook,
        match=match,
        match_expression=match_expression,
        look_back=look_back,
        broadcast=broadcast,
        timeout=timeout,
        created_at=created_at,
        result=result,
        fail_when=fail_when,
    )
    change_task(waiting, **PARKED | columns)
    if registers:
        tasks_at().review()
    return waiting


def _register_match(
    waiting: Waiting,
    *,
    webhook: str = "dbt",
    match: dict[str, Any] | None = None,
    look_back: timedelta = timedelta(minutes=10),
    timeout: timedelta = timedelta(hours=1),
    created_at: datetime | None = None,
    **options: Any,
) -> None:
    """Leave what a task leaves that waits for an event."""
    from inbound_webhooks.event.task_wait import XCOM_KEY
    from inbound_webhooks.event.wait_match import MatchRegistration, canonical

    task, began_at = task_of(waiting.run_id), created_at or now()
    registration = MatchRegistration(
        wait_id=waiting.id,
        created_at=began_at,
        deadline=began_at + timeout,
        try_number=task.try_number,
        webhook=webhook,
        match=canonical(match) if match else {},
        look_back_seconds=look_back.total_seconds(),
        **options,
    )
    _store_xcom(task.dag_id, waiting.run_id, XCOM_KEY, registration.as_json())


def match_again(waiting: Waiting, match: dict[str, Any]) -> None:
    """Let the next try of the task, with the same id, wait for an event."""
    _register_match(waiting, match=match)
    change_task(waiting, **PARKED)
    tasks_at().review()


def stored_wait(dag_id: str = DAG_ID, **options: Any) -> Waiting:
    """The same, a minute ago, and the dispatcher has noticed the wait."""
    waiting = store_waiting_task(dag_id=dag_id, **options)
    change_task(waiting, updated_at=now() - timedelta(minutes=1))
    tasks_at().review()
    return waiting


def task_of(run_id: str) -> Any:
    """The row of the run's task instance."""
    from airflow import settings
    from airflow.models.taskinstance import TaskInstance

    table = TaskInstance.__table__
    with settings.engine.connect() as connection:
        return connection.execute(select(table).where(table.c.run_id == run_id)).one()


def change_task(waiting: Waiting, **columns: Any) -> None:
    """Write columns of the task instance, such as its state."""
    from airflow import settings
    from airflow.models.taskinstance import TaskInstance

    with settings.NonScopedSession() as session, session.begin():
        instance = session.get(TaskInstance, UUID(waiting.id))
        for name, value in columns.items():
            setattr(instance, name, value)


def clear_task(waiting: Waiting) -> None:
    """Let the task be tried again, as Airflow does when a user clears it, or a try has failed."""
    from airflow import settings
    from airflow.models.taskinstance import TaskInstance

    with settings.NonScopedSession() as session, session.begin():
        instance = session.get(TaskInstance, UUID(waiting.id))
        instance.prepare_db_for_next_try(session)
        instance.state, instance.next_method, instance.next_kwargs = None, None, None


def event_of(waiting: Waiting) -> Any:
    """The event by which the task was resumed, as its operator gets it; None if it was not."""
    from airflow.sdk.serde import deserialize

    kwargs = deserialize(task_of(waiting.run_id).next_kwargs) or {}
    return kwargs.get("event")


def spoil_registration(waiting: Waiting) -> None:
    """Overwrite the registration of a task, as its DAG's own code may."""
    from inbound_webhooks.event.task_wait import XCOM_KEY

    _store_xcom(DAG_ID, waiting.run_id, XCOM_KEY, "no registration")


def wait_of(waiting: Waiting) -> Any:
    """The stored wait; None if there is none."""
    return next((row for row in rows("wait") if row.id == waiting.id), None)


def _store_run(run_id: str, dag_id: str) -> None:
    from airflow import settings
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    store_dag(dag_id)
    with settings.NonScopedSession() as session, session.begin():
        SerializedDagModel.get_dag(dag_id, session=session).create_dagrun(
            run_id=run_id,
            run_after=now(),
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.REST_API,
            triggering_user_name=None,
            state=DagRunState.RUNNING,
            session=session,
        )


def _store_xcom(dag_id: str, run_id: str, key: str, value: Any) -> None:
    from airflow import settings
    from airflow.models.xcom import XComModel

    with settings.NonScopedSession() as session, session.begin():
        XComModel.set(
            key=key,
            value=value,
            dag_id=dag_id,
            task_id="work",
            run_id=run_id,
            serialize=False,
            session=session,
        )
