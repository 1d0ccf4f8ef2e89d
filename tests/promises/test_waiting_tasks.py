"""One call resumes one task once: dispatchers are killed before each statement, and others go on."""

from __future__ import annotations

import os
import signal
import warnings
from typing import Any

from tests.infrastructure.asgi_endpoint import JSON, AsgiEndpoint
from tests.infrastructure.receiver_fixtures import configure
from tests.infrastructure.waits_builder import (
    Waiting,
    event_of,
    store_waiting_task,
    task_of,
    tasks_at,
    wait_of,
)
from tests.infrastructure.webhooks_builder import rows

__all__ = ["configure"]

MAX_STATEMENTS = 60


def resume_called() -> None:
    tasks_at().resume_called()


def is_killed_at(number: int) -> bool:
    """Let another process resume tasks, and kill it before its statement, or commit, of this number.

    False where it had fewer.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about threads, which the child does not need
        child = os.fork()
    if child == 0:
        try:
            _be_killed_at(number)
            resume_called()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _be_killed_at(number: int) -> None:
    from airflow import settings
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    from inbound_webhooks.storage import database

    # The parent's connections are not the child's to use, nor to close.
    settings.engine.dispose(close=False)
    database._autocommit_engine.cache_clear()
    left = iter(range(number - 1, -1, -1))

    def count(*_: Any, **__: Any) -> None:
        if next(left, None) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", count)
    event.listen(Engine, "commit", count)


def what_is_recorded(waiting: Waiting) -> tuple[str, str, str, bool]:
    """The states of task, delivery and wait, and whether the task got an event."""
    (delivery,) = rows("delivery")
    task = task_of(waiting.run_id)
    return task.state, delivery.state, wait_of(waiting).state, event_of(waiting) is not None


NOT_YET = ("awaiting_input", "accepted", "waiting", False)
DONE = ("scheduled", "succeeded", "resumed", True)


def test_a_dispatcher_that_is_killed_leaves_all_or_nothing(configure, database):
    waiting = store_waiting_task()
    assert AsgiEndpoint().post(waiting.path, b'{"status": "done"}', JSON).status == 202
    number, recorded = 1, what_is_recorded(waiting)
    while recorded == NOT_YET:
        assert number < MAX_STATEMENTS
        was_killed = is_killed_at(number)
        recorded = what_is_recorded(waiting)
        assert recorded == (NOT_YET if was_killed else DONE)
        number += 1
    # Of SELECTs, three updates and a commit.
    assert number > 6
    assert rows("delivery")[0].attempts == 1


def test_calls_at_the_same_time_are_one_delivery(configure, database):
    endpoint, waiting = AsgiEndpoint(), store_waiting_task()
    length = [("content-length", "2")]
    calls = [endpoint.send("POST", waiting.path, headers=[*JSON, *length], chunks=[b"{}"]) for _ in range(8)]
    replies = endpoint.together(*calls)
    assert [reply.status for reply in replies] == [202] * 8
    assert len({reply.json["delivery_id"] for reply in replies}) == 1
    assert sorted(reply.json["status"] for reply in replies) == ["accepted"] + ["duplicate"] * 7
    assert len(rows("delivery")) == 1
