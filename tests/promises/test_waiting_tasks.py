"""One call resumes one task once: dispatchers are killed before each statement, and others go on."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

from tests.infrastructure.asgi_endpoint import JSON, AsgiEndpoint
from tests.infrastructure.receiver_fixtures import configure
from tests.infrastructure.waits_builder import (
    DAG_ID,
    Waiting,
    event_of,
    store_matching_task,
    store_waiting_task,
    task_of,
    tasks_at,
    wait_of,
)
from tests.infrastructure.webhooks_builder import rows, store_webhook

__all__ = ["configure"]

MAX_STATEMENTS = 80
RUN = {"body.run": "7"}


def resume_called() -> None:
    tasks_at().resume_called()


def look() -> None:
    tasks_at().look()


def is_killed_at(number: int, work: Callable[[], None] = resume_called) -> bool:
    """Let another process resume tasks, and kill it before its statement, or commit, of this number.

    False where it had fewer.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about threads, which the child does not need
        child = os.fork()
    if child == 0:
        try:
            _be_killed_at(number)
            work()
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


def send_event() -> str:
    """An event of a webhook that serves waits only; returns its delivery's id."""
    hook = store_webhook("dbt", dag_id="", waiting_dags=(DAG_ID,))
    store_matching_task(match=RUN, run_id="first")
    reply = AsgiEndpoint().post(hook.path, b'{"run": 7}', JSON)
    assert reply.status == 202
    return str(reply.json["delivery_id"])


def test_a_dispatcher_that_is_killed_leaves_an_event_for_the_next_one(configure, database):
    send_event()
    waiting = Waiting(task_of("first").id.hex, "first")
    number, recorded = 1, what_is_recorded(waiting)
    assert recorded == NOT_YET
    while recorded != DONE:
        assert number < MAX_STATEMENTS
        was_killed = is_killed_at(number, look)
        recorded = what_is_recorded(waiting)
        # Task, delivery and wait change together; that the wait has got the event is committed before.
        assert recorded in ((NOT_YET, DONE) if was_killed else (DONE,))
        number += 1
    assert number > 10
    assert rows("delivery")[0].attempts == 1


def test_events_and_dispatchers_at_the_same_time_resume_each_task_once(configure, database):
    hook = store_webhook("dbt", dag_id="", waiting_dags=(DAG_ID,))
    waiting = [store_matching_task(match=RUN, run_id=f"run{number}") for number in range(6)]
    endpoint = AsgiEndpoint()
    sent = [endpoint.post(hook.path, b'{"run": 7}', JSON).json["delivery_id"] for _ in range(9)]
    together = Barrier(4)

    def dispatch() -> None:
        tasks = tasks_at()
        together.wait()
        for _ in range(20):
            tasks.look()

    threads = [Thread(target=dispatch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    resumed = [event_of(each)["delivery_id"] for each in waiting]
    assert len(set(resumed)) == 6
    states = {row.id: row.state for row in rows("delivery")}
    assert [states[each] for each in sent].count("unmatched") == 3
    assert {each for each, state in states.items() if state == "succeeded"} == set(resumed)
