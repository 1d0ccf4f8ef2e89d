"""A task that waits for a call, as stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

WAIT_WEBHOOK_ID = "wait"
"""What calls of waiting tasks have instead of a webhook's id; the ids of webhooks are longer."""


class WaitState:
    """The states of a wait; in all but the first one it is over."""

    WAITING = "waiting"
    RESUMED = "resumed"
    TIMED_OUT = "timed_out"
    ENDED = "ended"

    ALL = (WAITING, RESUMED, TIMED_OUT, ENDED)


class WaitKind:
    """What a task waits for."""

    CALLBACK = "callback"


@dataclass(frozen=True, kw_only=True)
class Wait:
    """The wait of one try of a task instance.

    ``id`` is the task instance's own in hex, which changes with each try. ``delivery_id`` is the call that
    counts. ``refused_calls`` are calls whose content could not be used, ``refusal`` says why the last one
    could not.
    """

    id: str
    kind: str = WaitKind.CALLBACK
    state: str = WaitState.WAITING
    token_sha256: str | None
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    created_at: datetime
    deadline: datetime
    result: str | None = None
    fail_when: str | None = None
    delivery_id: str | None = None
    ended_at: datetime | None = None
    refused_calls: int = 0
    refusal: str | None = None

    @property
    def task_name(self) -> str:
        """DAG and task, as lists and mails name it."""
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"{self.dag_id}.{self.task_id}{mapped}"
