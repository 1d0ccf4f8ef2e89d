"""The tab of a waiting task, and the page of the call that resumed it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.infrastructure.waits_builder import (
    DAG_ID,
    Waiting,
    event_of,
    store_matching_task,
    stored_wait,
    tasks_at,
    wait_of,
)
from tests.infrastructure.webhooks_builder import Hook, store_delivery, store_webhook

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


def test_the_tab_shows_the_deadline_in_the_zone_of_the_other_times(ada, waiting):
    times = re.findall(r'<time datetime="([^"]+)" data-shown="exact"', ada.get(tab(waiting)).text)
    assert len(times) == 2
    assert datetime.fromisoformat(times[1]) - datetime.fromisoformat(times[0]) == timedelta(hours=1)


def test_the_tab_of_a_task_that_was_called_links_to_the_call(ada, waiting):
    called = store_call(waiting)
    page = ada.get(tab(waiting)).text
    assert f"/delivery/{called}" in page
    assert "hx-trigger" not in page
    assert "Resume without a call" not in page


def test_a_user_resumes_a_task_from_its_tab(ada, waiting):
    assert "Resume the task without a request?" in ada.post(f"/wait/{waiting.id}/resume").text
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


SEES = (("can_read", "Webhooks"), ("can_read", "Plugins"))
EVENT = {"headers": '[["Content-Type", "application/json"]]', "body": b'{"run": 8, "secret": "<b>"}'}


def matching_task(request: pytest.FixtureRequest, **given: Any) -> tuple[Hook, Waiting]:
    """A webhook of the test's own that serves waits only, and a task that waits for it."""
    name = request.node.name.replace("[", ".").rstrip("]")
    hook = store_webhook(name, dag_id="", waiting_dags=(DAG_ID,))
    return hook, store_matching_task(webhook=name, match={"body.run": 7}, run_id=name, **given)


def store_event(hook: Hook, **columns: Any) -> str:
    given = {"dag_id": "", "next_attempt_at": None, "to_match": True} | EVENT | columns
    return store_delivery(hook, **given)


def test_the_tab_says_how_many_events_came_and_why_none_matched(request, ada):
    hook, waiting = matching_task(request)
    assert "no event came yet" in ada.get(tab(waiting)).text
    event = store_event(hook)
    tasks_at().look()
    page = ada.get(tab(waiting)).text
    assert "Waiting for webhook <a" in page
    assert "1 event came, none matched." in page
    assert "body.run is &#39;8&#39;, not &#39;7&#39;." in page
    assert f"/delivery/{event}" in page


def test_values_need_the_right_to_read_the_runs(request, fab_pages):
    hook, waiting = matching_task(request)
    store_event(hook)
    fab_pages.role("Sees training", *SEES, ("can_read", f"DAG:{DAG_ID}"))
    page = fab_pages.client("reader of training", "Sees training").get(tab(waiting)).text
    assert "1 event came, none matched." in page
    assert "&#39;8&#39;" not in page
    assert "needs the permission to read the runs" in page
    assert "&#39;8&#39;" in fab_pages.client("ada").get(tab(waiting)).text


def test_a_delivery_and_the_task_that_it_has_resumed_link_to_each_other(request, ada):
    hook, waiting = matching_task(request)
    event = store_event(hook, body=b'{"run": 7}')
    tasks_at().look()
    tasks_at().look()
    assert f"/delivery/{event}" in ada.get(tab(waiting)).text
    page = ada.get(f"/delivery/{event}").text
    assert "The event resumed a task that waited for it." in page
    assert f"{DAG_ID}.work</a>" in page
    assert "Its Dag run" not in page


def test_the_page_of_an_event_that_no_task_took_says_so(request, ada):
    hook, _ = matching_task(request)
    event = store_event(hook)
    tasks_at().look()
    page = ada.get(f"/delivery/{event}").text
    assert "No task waits for this event." in page
    assert "Unmatched" in page


def test_the_tab_says_why_a_wait_was_refused(request, ada):
    _, waiting = matching_task(request, dag_id="stranger")
    named = {"dag_id": "stranger", "run_id": waiting.run_id, "task_id": "work", "map_index": "-1"}
    assert "--waiting-dag stranger" in ada.get(f"/task?{urlencode(named)}").text
