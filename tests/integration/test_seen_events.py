"""What users see of a task that waits for an event: how many came, and why none matched."""

from __future__ import annotations

import json

import pytest

from tests.infrastructure.asgi_endpoint import JSON, AsgiEndpoint
from tests.infrastructure.receiver_fixtures import configure
from tests.infrastructure.waits_builder import DAG_ID, store_matching_task, tasks_at, wait_of
from tests.infrastructure.webhooks_builder import change_webhook, store_webhook

__all__ = ["configure"]

MATCH = {"body.data.runId": "7", "body.status": "done"}


@pytest.fixture
def hook(configure, database):
    return store_webhook("dbt", dag_id=DAG_ID)


def send(hook, body: bytes) -> str:
    reply = AsgiEndpoint().post(hook.path, body, JSON)
    assert reply.status == 202
    return reply.json["delivery_id"]


def test_the_command_says_what_came_and_why_it_did_not_match(hook, webhooks):
    waiting = store_matching_task(match=MATCH, match_expression="body.ok")
    bodies = [
        b'{"odd": 1}',
        b'{"data": {"runId": 8}, "status": "done"}',
        b'{"data": {"runId": 7}, "status": "running"}',
        b'{"data": {"runId": 7}, "status": "done"}',
    ]
    sent = [send(hook, body) for body in bodies]
    tasks_at().look()
    shown = json.loads(webhooks("waits", waiting.id, "-o", "json").out)
    assert (shown["webhook"], shown["match"], shown["match_expression"]) == ("dbt", MATCH, "body.ok")
    assert shown["events"]["count"] == 4
    assert [(each["delivery_id"], each["reason"]) for each in shown["events"]["last"]] == [
        (sent[3], "match_expression is not true for it: body.ok"),
        (sent[2], "body.status is 'running', not 'done'."),
        (sent[1], "body.data.runId is '8', not '7'."),
    ]


def test_a_list_of_waits_does_not_look_at_events(hook, webhooks):
    store_matching_task(match=MATCH)
    (listed,) = json.loads(webhooks("waits", "-o", "json").out)
    assert (listed["kind"], listed["webhook"]) == ("event", "dbt")
    assert "events" not in listed


def test_the_delivery_names_the_task_that_it_has_resumed(hook, webhooks):
    waiting = store_matching_task(match={"body.a": 1})
    sent = send(hook, b'{"a": 1}')
    tasks_at().look()
    tasks_at().look()
    (resumed,) = json.loads(webhooks("delivery", sent, "-o", "json").out)["resumed"]
    assert (resumed["id"], resumed["state"], resumed["delivery_id"]) == (waiting.id, "resumed", sent)


def test_a_wait_that_cannot_be_served_says_why(hook, webhooks):
    waiting = store_matching_task(match=MATCH, dag_id="stranger")
    shown = json.loads(webhooks("waits", waiting.id, "-o", "json").out)
    assert "--waiting-dag stranger" in shown["failure"]
    assert (shown["state"], shown["events"]) == ("refused", None)


def test_a_disabled_webhook_with_waiting_tasks_is_a_problem(hook, webhooks):
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.readiness import reasons_of

    def problems():
        found = reasons_of(service.get(hook.id))
        return [each.message for each in found if each.code == "awaited-in-vain"]

    waiting = store_matching_task(match=MATCH)
    assert problems() == []
    change_webhook(hook.id, enabled=False)
    assert problems() == ["1 task waits for its events until the webhook is enabled, or their time is over."]
    shown = json.loads(webhooks("waits", waiting.id, "-o", "json").out)
    assert "disabled" in shown["events"]["problem"]


def test_without_stored_bodies_no_task_can_wait(hook, monkeypatch):
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.readiness import reasons_of

    change_webhook(hook.id, waiting_dags=(DAG_ID,))
    monkeypatch.setenv("AIRFLOW__INBOUND_WEBHOOKS__STORE_BODIES", "False")
    assert "store_bodies is off" in next(
        each.message for each in reasons_of(service.get(hook.id)) if each.code == "awaited-in-vain"
    )


def test_a_dispatcher_without_bodies_refuses_the_wait(hook):
    from inbound_webhooks.dispatch.targets.waiting_task import WaitingTasks
    from inbound_webhooks.settings import Settings

    waiting = store_matching_task(match=MATCH, registers=False)
    WaitingTasks(Settings(store_bodies=False)).review()
    assert "store_bodies off" in wait_of(waiting).failure
