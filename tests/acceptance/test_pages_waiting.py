"""A waiting task in a real browser: its tab, the call that resumed it, and a resumption by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.browser import Person, wait_for_scripts
from tests.acceptance.test_waiting import DAG_ID, Training
from tests.infrastructure.job_server import JobServer

pytestmark = pytest.mark.long

SETTLED_MILLISECONDS = 30_000
"""Until a dispatcher has noticed a wait, or a call has resumed its task."""


@pytest.fixture
def training(request: pytest.FixtureRequest, airflow) -> Iterator[Training]:
    """A run whose task has called the job server; it is the test's own."""
    with JobServer().running() as server:
        yield Training(airflow, server, request.node.originalname)


def open_tab(person: Person, training: Training) -> None:
    """The tab of the task that waits, once a dispatcher has noticed the wait."""
    path = f"dags/{DAG_ID}/runs/{training.run_id}/tasks/start_training/plugin/webhook-of-task"
    training.wait_until_listed()
    person.open(path)
    person.frame.get_by_role("heading", name="Try 1 Waiting").wait_for()


def test_a_task_that_waits_leads_to_its_call_and_back(person, training):
    open_tab(person, training)
    training.call(model="x", status="done", accuracy=0.5)
    # Without a reload.
    person.frame.get_by_role("heading", name="Try 1 Resumed").wait_for(timeout=SETTLED_MILLISECONDS)
    person.frame.locator(".facts a.mono").click()
    person.frame.get_by_text("The call resumed its task.").wait_for()
    person.frame.get_by_role("navigation", name="Breadcrumb").get_by_role("link", name=DAG_ID).click()
    person.frame.get_by_role("heading", name="Try 1 Resumed").wait_for()
    person.frame.locator(".facts a.mono").click()
    person.frame.get_by_text("The call resumed its task.").wait_for()
    wait_for_scripts(person.frame)
    person.frame.locator(".facts").get_by_role("link", name="start_training").first.click()
    person.page.wait_for_url(f"**/{training.run_id}/tasks/start_training")


def test_a_task_is_resumed_from_its_tab(person, training):
    open_tab(person, training)
    wait_for_scripts(person.frame)
    person.page.wait_for_timeout(SETTLED_MILLISECONDS / 2)
    person.frame.get_by_role("button", name="Resume without a call").click()
    person.frame.get_by_role("dialog").get_by_role("button", name="Resume without a call").click()
    person.frame.get_by_text("none, resumed by hand").wait_for()
    training.wait_until("success")
