"""A task that waits for a call, as stored."""

from __future__ import annotations

import json
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
    REFUSED = "refused"

    ALL = (WAITING, RESUMED, TIMED_OUT, ENDED, REFUSED)


class WaitKind:
    """What a task waits for."""

    CALLBACK = "callback"
    EVENT = "event"


@dataclass(frozen=True, kw_only=True)
class Wait:
    """The wait of one try of a task instance.

    ``id`` is the task instance's own in hex. Most tries have an id of their own, but not the one that follows
    a failure in the queue: see :meth:`replaces`. ``delivery_id`` is the call that counts. ``refused_calls``
    are calls whose content could not be used, ``refusal`` says why the last one could not.

    Of a wait for an event of a webhook: ``match_paths`` and ``match_values`` are JSON lists,
    ``match_key`` the hash by which an event finds it (event/wait_match.py). Events since ``counts_from``
    count; ``look_back_due`` says that those before its registration are still to be looked at. ``outcome``
    is what the event that it has got means for the task (event/task_wait.py). ``failure`` says why the task
    is to fail instead.
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
    webhook_id: str | None = None
    webhook_name: str | None = None
    match_paths: str | None = None
    match_values: str | None = None
    match_key: str | None = None
    match_expression: str | None = None
    broadcast: bool | None = None
    counts_from: datetime | None = None
    look_back_due: bool | None = None
    outcome: str | None = None
    failure: str | None = None

    def replaces(self, stored: Wait) -> bool:
        """Whether it is that of a later try with the same id.

        Where a resumed task fails before its worker has begun with it, as while the api-server is away,
        Airflow tries it again with the id that it has.
        """
        # Read from an older worker's registration, the number may be that of the next try already.
        return self.try_number > stored.try_number and self.created_at != stored.created_at

    @property
    def match(self) -> dict[str, str]:
        """Path -> value that an event needs; empty where a condition decides, or a call."""
        return dict(
            zip(json.loads(self.match_paths or "[]"), json.loads(self.match_values or "[]"), strict=True)
        )

    @property
    def task_name(self) -> str:
        """DAG and task, as lists and mails name it."""
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"{self.dag_id}.{self.task_id}{mapped}"
