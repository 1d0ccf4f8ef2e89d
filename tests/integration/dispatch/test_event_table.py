"""The table of docs/waiting.md: what an event of a webhook does in each state of its task."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.infrastructure.asgi_endpoint import JSON, AsgiEndpoint
from tests.infrastructure.pages import code, page, section, tables
from tests.infrastructure.receiver_fixtures import configure
from tests.infrastructure.waits_builder import (
    DAG_ID,
    STARTING,
    Waiting,
    change_task,
    clear_task,
    event_of,
    store_matching_task,
    task_of,
    tasks_at,
    wait_of,
)
from tests.infrastructure.webhooks_builder import change_webhook, delete_run, now, rows, runs, store_webhook

__all__ = ["configure"]

ROWS = {row[0]: row[1:] for row in tables(section(page("docs/waiting.md"), "What an event does"))[0]}
RUN = {"body.run": "7"}
HOUR = timedelta(hours=1)


class Scene:
    """A webhook that serves waits only, and its sender."""

    def __init__(self) -> None:
        self.hook = store_webhook("dbt", dag_id="", waiting_dags=(DAG_ID,), dedup="${Webhook::Body.id}")
        self._endpoint = AsgiEndpoint()
        self._sent = 0

    def wait(self, **options: Any) -> Waiting:
        return store_matching_task(match=RUN, **options)

    def send(self, body: bytes = b"") -> int:
        self._sent += 1
        return self._endpoint.post(self.hook.path, body or b'{"run": 7, "id": %d}' % self._sent, JSON).status

    def look(self, hours: float = 0) -> None:
        tasks = tasks_at(hours)
        for _ in range(3):
            tasks.look()
        tasks.review()

    def disable(self) -> None:
        change_webhook(self.hook.id, enabled=False)

    def delete(self) -> None:
        from inbound_webhooks.webhooks import service

        service.delete(self.hook.id, actor="a tester")


Scenario = Callable[[Scene], tuple[Waiting, int]]


def before_it_waits(scene: Scene, **options: Any) -> tuple[Waiting, int]:
    status = scene.send()
    scene.look()
    return scene.wait(**options), status


def while_it_waits(scene: Scene, body: bytes = b"", **options: Any) -> tuple[Waiting, int]:
    waiting = scene.wait(**options)
    return waiting, scene.send(body)


def again(body: bytes) -> Scenario:
    """A first event has resumed the task."""

    def scenario(scene: Scene) -> tuple[Waiting, int]:
        waiting, _ = while_it_waits(scene, b'{"run": 7, "id": 1}')
        scene.look()
        first = event_of(waiting)
        assert first is not None
        status = scene.send(body)
        scene.look()
        assert event_of(waiting) == first
        return waiting, status

    return scenario


def after(change: Callable[[Waiting], object]) -> Scenario:
    def scenario(scene: Scene) -> tuple[Waiting, int]:
        waiting = scene.wait()
        change(waiting)
        scene.look()
        return waiting, scene.send()

    return scenario


def just_before(change: Callable[[Scene, Waiting], object], hours: float = 0) -> Scenario:
    """The change comes between the commit of the event and the dispatcher."""

    def scenario(scene: Scene) -> tuple[Waiting, int]:
        waiting, status = while_it_waits(scene)
        change(scene, waiting)
        scene.look(hours)
        return waiting, status

    return scenario


def while_cleared(scene: Scene) -> tuple[Waiting, int]:
    waiting, status = while_it_waits(scene, **STARTING)
    tasks_at().look()
    assert wait_of(waiting).delivery_id
    clear_task(waiting)
    return waiting, status


def next_try(scene: Scene) -> tuple[Waiting, int]:
    scene.wait(**STARTING)
    delete_run(runs()[0].run_id)
    scene.look()
    return while_it_waits(scene)


def while_disabled(scene: Scene) -> tuple[Waiting, int]:
    waiting = scene.wait()
    scene.disable()
    return waiting, scene.send()


SCENARIOS: dict[str, Scenario] = {
    "before the task waits, within `look_back`": before_it_waits,
    "before that": lambda scene: before_it_waits(scene, look_back=timedelta(), created_at=now() + HOUR / 60),
    "while the task waits": while_it_waits,
    "with other values": lambda scene: while_it_waits(scene, b'{"run": 8}'),
    "and `fail_when` is true": lambda scene: while_it_waits(scene, fail_when="body.run == 7"),
    "a second time, with its deduplication key": again(b'{"run": 7, "id": 1}'),
    "as a second one with the same values": again(b'{"run": 7, "id": 2}'),
    "with a result that cannot be used": lambda scene: while_it_waits(
        scene, b'{"run": "7"}', result="{{ body.run + 1 }}"
    ),
    "after the timeout": lambda scene: while_it_waits(scene, created_at=now() - 2 * HOUR),
    "in time, and is compared after the timeout": just_before(lambda *_: None, hours=2),
    "while the task is cleared": while_cleared,
    "after the task was cleared, or is tried again": next_try,
    "after the task has ended": after(lambda each: change_task(each, state="success", next_method=None)),
    "after the run was deleted": after(lambda _: delete_run(runs()[0].run_id)),
    "while the webhook is disabled": while_disabled,
    "in time, and the webhook is disabled before it is compared": just_before(
        lambda scene, _: scene.disable()
    ),
    "in time, and the webhook is deleted before it is compared": just_before(lambda scene, _: scene.delete()),
}


@pytest.fixture
def scene(configure, database) -> Scene:
    return Scene()


def test_each_row_is_tested():
    assert list(ROWS) == list(SCENARIOS)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_the_table_is_true(scene, name):
    status, delivery, effect = ROWS[name]
    waiting, answered = SCENARIOS[name](scene)
    assert answered == int(status)
    scene.look()
    states = [row.state for row in rows("delivery")]
    if name.startswith(("a second time", "as a second")):
        assert states.pop(0) == "succeeded"
    assert states == ([] if delivery == "none" else [code(delivery)])
    if runs():
        event = (task_of(waiting.run_id) and event_of(waiting)) or {}
        is_resumed = effect.startswith(("is resumed", "fails with", "the new try is", "is not resumed again"))
        assert ("delivery_id" in event) == is_resumed
        assert ("deleted" in event.get("refused", "")) == effect.startswith("fails, and names")


def test_an_event_that_no_task_waited_for_is_taken_by_one_that_looks_back(scene):
    scene.send()
    scene.look()
    assert [row.state for row in rows("delivery")] == ["unmatched"]
    waiting = scene.wait()
    scene.look()
    (delivery,) = rows("delivery")
    assert (delivery.state, event_of(waiting)["delivery_id"]) == ("succeeded", delivery.id)
