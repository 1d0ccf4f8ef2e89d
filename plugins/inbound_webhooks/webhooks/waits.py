"""Waiting tasks as users see them: listed, and resumed by hand."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from inbound_webhooks.airflow_bridge.task_instances import Standing, lock_task
from inbound_webhooks.errors import NotPermitted, WaitNotFound, WaitNotResumable
from inbound_webhooks.event.task_wait import resumed_by_user
from inbound_webhooks.event.wait_match import path_text
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.wait import Wait, WaitState
from inbound_webhooks.settings import Settings, airflow_url
from inbound_webhooks.storage import waits
from inbound_webhooks.storage.audit_log import write_audit_entry
from inbound_webhooks.storage.database import begin_writing, session_transaction, transaction
from inbound_webhooks.urls import task_url
from inbound_webhooks.webhooks.access import Access


def listed(
    access: Access | None, *, state: str = "", dag_id: str = "", limit: int, offset: int = 0
) -> tuple[list[Wait], int]:
    """Waits that a user may see, newest first, and how many there are; None for an operator with a shell."""
    with transaction() as connection:
        counts = waits.count_by_dag(connection, state=state, dag_id=dag_id)
    readable: Collection[str] = counts.keys() if access is None else access.readable(counts.keys())
    with transaction() as connection:
        found = waits.list_waits(connection, readable, state=state, limit=limit, offset=offset)
    return found, sum(counts[each] for each in readable)


def of_task(dag_id: str, run_id: str, task_id: str, map_index: int) -> list[Wait]:
    """The waits of a task instance's tries, newest first."""
    with transaction() as connection:
        return waits.waits_of_task(connection, dag_id, run_id, task_id, map_index)


def find(access: Access | None, wait_id: str) -> Wait:
    """A wait that the user may see.

    :raises WaitNotFound: it does not exist, or the user may not see it; the message is the same
    """
    with transaction() as connection:
        wait = waits.find_wait(connection, wait_id) if wait_id.isalnum() else None
    if wait is None or (access is not None and not access.may_see(wait.dag_id)):
        raise WaitNotFound
    return wait


def resume(access: Access | None, wait_id: str, *, actor: str) -> Wait:
    """Resume a waiting task without a call; its result is None.

    :param access: None for an operator with a shell
    :raises WaitNotFound: see :func:`find`
    :raises NotPermitted: the user may not clear the task
    :raises WaitNotResumable: the task does not wait, or its call has come
    """
    wait = find(access, wait_id)
    if access is not None and not access.may_clear(wait.dag_id):
        raise NotPermitted(f"Resuming requires the permission to clear tasks of the DAG {wait.dag_id}.")
    now = utc_now()
    with session_transaction() as session:
        connection = session.connection()
        begin_writing(connection)
        locked = waits.lock_wait(connection, wait.id)
        task = lock_task(session, wait.id)
        is_waiting = locked is not None and locked.state == WaitState.WAITING and locked.delivery_id is None
        if not is_waiting or task is None or task.standing is not Standing.PARKED:
            raise WaitNotResumable
        # As the dispatcher: see _has_settled there.
        settled_after = timedelta(seconds=Settings.load().wait_settle_seconds)
        if task.parked_since is not None and task.parked_since > now - settled_after:
            seconds = f"{settled_after.total_seconds():g}"
            raise WaitNotResumable(f"The task began to wait a moment ago. Try again in {seconds} seconds.")
        task.resume(resumed_by_user(actor))
        waits.end_wait(connection, wait.id, WaitState.RESUMED, now)
        _write_audit_entry(connection, wait, actor, now)
    return find(None, wait.id)


def _write_audit_entry(connection: Any, wait: Wait, actor: str, at: datetime) -> None:
    details = {"wait": wait.id, "run_id": wait.run_id, "task_id": wait.task_id, "map_index": wait.map_index}
    write_audit_entry(
        connection, event="webhook.resume_task", dag_id=wait.dag_id, actor=actor, at=at, details=details
    )


def as_data(wait: Wait) -> dict[str, Any]:
    """A wait as JSON data; the token's hash stays inside."""
    return {
        "id": wait.id,
        "kind": wait.kind,
        "state": wait.state,
        "webhook": wait.webhook_name,
        "webhook_id": wait.webhook_id,
        "match": {path_text(path): value for path, value in wait.match.items()},
        "match_expression": wait.match_expression,
        "broadcast": bool(wait.broadcast),
        "failure": wait.failure,
        "dag_id": wait.dag_id,
        "run_id": wait.run_id,
        "task_id": wait.task_id,
        "map_index": wait.map_index,
        "try_number": wait.try_number,
        "since": wait.created_at.isoformat(),
        "deadline": wait.deadline.isoformat(),
        "ended_at": None if wait.ended_at is None else wait.ended_at.isoformat(),
        "delivery_id": wait.delivery_id,
        "refused_calls": wait.refused_calls,
        "refusal": wait.refusal,
        "page": task_url(airflow_url(), wait.dag_id, wait.run_id, wait.task_id, wait.map_index),
    }
