"""The table of docs/waiting.md: what a call does in each state of its task."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.infrastructure.asgi_endpoint import JSON, AsgiEndpoint
from tests.infrastructure.pages import code, page, section, tables
from tests.infrastructure.receiver_fixtures import configure
from tests.infrastructure.waits_builder import (
    PARKED,
    STARTING,
    Waiting,
    change_task,
    clear_task,
    event_of,
    store_waiting_task,
    task_of,
    tasks_at,
)
from tests.infrastructure.webhooks_builder import delete_run, now, rows, runs

__all__ = ["configure"]

ROWS = {row[0]: row[1:] for row in tables(section(page("docs/waiting.md"), "What a call does"))[0]}
NOT_RESUMED = "not resumed"
Post = Callable[..., int]


def look(hours: float = 0) -> None:
    tasks_at(hours).look()


def before_it_waits(post: Post) -> tuple[Waiting, int]:
    waiting = store_waiting_task(**STARTING)
    status = post(waiting)
    look()
    change_task(waiting, **PARKED)
    return waiting, status


def while_it_waits(post: Post, **options: Any) -> tuple[Waiting, int]:
    waiting = store_waiting_task(**options)
    return waiting, post(waiting)


def a_second_time(post: Post) -> tuple[Waiting, int]:
    waiting, _ = while_it_waits(post)
    look()
    for table in ("delivery", "wait"):
        assert len(rows(table)) == 1
    first = event_of(waiting)
    status = post(waiting)
    look()
    assert (len(rows("delivery")), event_of(waiting)) == (1, first)
    return waiting, status


def after_the_timeout(post: Post) -> tuple[Waiting, int]:
    return while_it_waits(post, created_at=now() - timedelta(hours=2))


def dispatched_late(post: Post) -> tuple[Waiting, int]:
    waiting, status = while_it_waits(post)
    look(hours=2)
    return waiting, status


def after(change: Callable[[Waiting], None]) -> Callable[[Post], tuple[Waiting, int]]:
    """The change comes first, and the wait was known before."""

    def scenario(post: Post) -> tuple[Waiting, int]:
        waiting = store_waiting_task()
        look()
        change(waiting)
        return waiting, post(waiting)

    return scenario


def just_before(change: Callable[[Waiting], None]) -> Callable[[Post], tuple[Waiting, int]]:
    """The change comes between the call's commit and the dispatcher."""

    def scenario(post: Post) -> tuple[Waiting, int]:
        waiting, status = while_it_waits(post)
        change(waiting)
        return waiting, status

    return scenario


def end(waiting: Waiting) -> None:
    change_task(waiting, state="success", next_method=None)


def with_another_token(post: Post) -> tuple[Waiting, int]:
    waiting = store_waiting_task()
    return waiting, post(Waiting(waiting.id, waiting.run_id, token="8" * 64))


SCENARIOS: dict[str, Callable[[Post], tuple[Waiting, int]]] = {
    "before the task waits": before_it_waits,
    "while the task waits": while_it_waits,
    "and `fail_when` is true": lambda post: while_it_waits(post, fail_when="body.status == 'done'"),
    "a second time": a_second_time,
    "with content that cannot be used": lambda post: while_it_waits(post, result="{{ body.status + 1 }}"),
    "after the timeout": after_the_timeout,
    "in time, and is dispatched after the timeout": dispatched_late,
    "in time, and Airflow ends the wait first": just_before(lambda each: change_task(each, state="queued")),
    "while a user marks the task": just_before(end),
    "while the task is cleared": just_before(clear_task),
    "after the task was cleared, or is tried again": after(clear_task),
    "after the task has ended": after(end),
    "after the run was deleted": after(lambda _: delete_run(runs()[0].run_id)),
    "with another token": with_another_token,
}


@pytest.fixture
def post(configure, database) -> Post:
    """A function that calls a waiting task; returns the status of the response."""
    endpoint = AsgiEndpoint()
    return lambda waiting: endpoint.post(waiting.path, b'{"status": "done"}', JSON).status


def test_each_row_is_tested():
    assert list(ROWS) == list(SCENARIOS)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_the_table_is_true(post, name):
    status, delivery, effect = ROWS[name]
    waiting, answered = SCENARIOS[name](post)
    assert answered == int(status)
    look()
    look()
    states = [row.state for row in rows("delivery")]
    if name != "a second time":
        assert states == ([] if delivery == "none" else [code(delivery)])
    is_resumed = effect.startswith(("is resumed", "fails", "is not resumed again"))
    if runs():
        resumed_by = (event_of(waiting) or {}).get("delivery_id") if task_of(waiting.run_id) else None
        assert (resumed_by is not None) == is_resumed
