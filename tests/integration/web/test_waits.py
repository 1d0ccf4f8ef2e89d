"""The tab of a waiting task, and the page of the call that resumed it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from tests.infrastructure.waits_builder import DAG_ID, Waiting, event_of, stored_wait, wait_of
from tests.infrastructure.webhooks_builder import Hook, store_delivery

CALLS = Hook("wait", "", f"{DAG_ID}.work")


@pytest.fixture(scope="module")
def ada(pages):
    return pages.client("ada")


@pytest.fixture
def waiting(request, pages) -> Waiting:
    """A task that waits, in a run of the test's own."""
    return stored_wait(run_id=request.node.name.replace("[", ".").rstrip("]"))


def tab(waiting: Waiting) -> str:
    named = {"dag_id": DAG_ID, "run_id": waiting.run_id, "task_id": "work", "map_index": "{MAP_INDEX}"}
    return f"/task?{urlencode(named)}"


def store_call(waiting: Waiting, **columns: Any) -> str:
    """The call of a task, decided about."""
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.waits import change_wait

    base = {"state": "succeeded", "wait_id": waiting.id, "conf": '{"result": null}', "dag_id": DAG_ID}
    called = store_delivery(CALLS, **base | columns)
    with transaction() as connection:
        change_wait(connection, waiting.id, {"state": "resumed", "delivery_id": called})
    return called


def test_the_tab_says_what_a_task_waits_for_and_follows_it(ada, waiting):
    page = ada.get(tab(waiting)).text
    assert "Waiting" in page
    assert "none yet" in page
    assert 'hx-trigger="every 3s"' in page
    assert waiting.token not in page


def test_the_tab_of_a_task_that_was_called_links_to_the_call(ada, waiting):
    called = store_call(waiting)
    page = ada.get(tab(waiting)).text
    assert f"/delivery/{called}" in page
    assert "hx-trigger" not in page
    assert "Resume without a call" not in page


def test_a_user_resumes_a_task_from_its_tab(ada, waiting):
    assert "Resume the task without a call?" in ada.post(f"/wait/{waiting.id}/resume").text
    assert event_of(waiting) is None
    ada.post(f"/wait/{waiting.id}/resume", {"confirmed": "1"})
    assert event_of(waiting)["resumed_by"] == "ada"
    assert wait_of(waiting).state == "resumed"
    assert "none, resumed by hand" in ada.get(tab(waiting)).text


def test_the_page_of_a_call_is_about_its_task_and_not_about_a_run(ada, waiting):
    page = ada.get(f"/delivery/{store_call(waiting)}").text
    assert "The call resumed its task." in page
    assert f"/dags/{DAG_ID}/runs/{waiting.run_id}/tasks/work" in page
    for wrong in ("Its Dag run", "you may not see it", ">Conf<", ">Run<"):
        assert wrong not in page


def test_the_page_of_a_call_outlives_its_wait(ada, waiting):
    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.database import transaction

    called = store_call(waiting)
    with transaction() as connection:
        connection.execute(tables.wait.delete().where(tables.wait.c.id == waiting.id))
    assert CALLS.name in ada.get(f"/delivery/{called}").text


def test_the_list_of_deliveries_names_the_task_of_a_call(ada, waiting):
    store_call(waiting)
    page = ada.get(f"/deliveries?dag={DAG_ID}").text
    assert CALLS.name in page
    assert "webhook=wait" not in page
