"""From events of a webhook to the tasks that wait for them: which event resumes which task, and when."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial

import pytest

from tests.infrastructure.asgi_endpoint import JSON, AsgiEndpoint
from tests.infrastructure.receiver_fixtures import configure
from tests.infrastructure.waits_builder import (
    DAG_ID,
    PARKED,
    STARTING,
    change_task,
    clear_task,
    event_of,
    fail_while_queued,
    match_again,
    spoil_registration,
    store_matching_task,
    task_of,
    tasks_at,
    wait_of,
)
from tests.infrastructure.webhooks_builder import change_webhook, now, rows, store_webhook

__all__ = ["configure"]

RUN = {"body.data.runId": "123"}


@pytest.fixture
def hook(configure, database):
    return store_webhook("dbt", dag_id=DAG_ID)


@pytest.fixture
def send(hook):
    """A function that sends an event; returns the delivery's id."""
    endpoint = AsgiEndpoint()

    def post(run_id="123", to=hook, **body) -> str:
        reply = endpoint.post(to.path, json.dumps({"data": {"runId": run_id, **body}}).encode(), JSON)
        assert reply.status == 202, reply.body
        return reply.json["delivery_id"]

    return post


def look(hours: float = 0) -> None:
    tasks = tasks_at(hours)
    tasks.look()
    tasks.look()


def taken(hours: float = 0, *, limit: int) -> list[str]:
    from inbound_webhooks.airflow_bridge.task_instances import taken_waits
    from inbound_webhooks.storage.database import autocommit

    found = autocommit(partial(taken_waits, now=now() + timedelta(hours=hours), limit=limit))
    return [each.id for each in found]


def resumed_by(waiting) -> str | None:
    return (event_of(waiting) or {}).get("delivery_id")


def to_match() -> list[bool | None]:
    return [row.to_match for row in rows("delivery")]


def test_an_event_resumes_the_task_that_waits_for_its_value(send):
    waiting, other = (
        store_matching_task(match=RUN),
        store_matching_task(match={"body.data.runId": 7}, run_id="b"),
    )
    sent = send()
    assert to_match() == [True]
    look()
    assert json.loads(event_of(waiting)["outcome"])["result"]["body"] == {"data": {"runId": "123"}}
    assert (resumed_by(waiting), resumed_by(other)) == (sent, None)
    assert (wait_of(waiting).state, wait_of(other).state) == ("resumed", "waiting")
    assert task_of("manual").state == "scheduled"
    assert to_match() == [None]


@pytest.mark.parametrize(
    ("sent", "wanted", "is_match"),
    [
        (123, "123", True),
        ("123", 123, True),
        (True, "True", True),
        (1.0, 1, True),
        ("0123", 123, False),
        (None, "null", False),
        (["123"], "123", False),
    ],
)
def test_values_are_compared_as_text(send, sent, wanted, is_match):
    waiting = store_matching_task(match={"body.data.runId": wanted})
    send(sent)
    look()
    assert (resumed_by(waiting) is not None) == is_match


def test_all_paths_have_to_match(send):
    both = {"body.data.runId": "123", "body.data.status": "done"}
    waiting = store_matching_task(match=both)
    send(status="running")
    look()
    assert resumed_by(waiting) is None
    sent = send(status="done")
    look()
    assert resumed_by(waiting) == sent


def test_a_condition_decides_instead_of_values(send):
    waiting = store_matching_task(match_expression="body.data.rows > 100")
    send(rows=5)
    # A comparison that fails is no match.
    send(rows="many")
    sent = send(rows=500)
    look()
    assert resumed_by(waiting) == sent


def test_values_and_a_condition_have_to_match(send):
    waiting = store_matching_task(match=RUN, match_expression="body.data.status != 'running'")
    send("4", status="done")
    send(status="running")
    sent = send(status="done")
    look()
    assert resumed_by(waiting) == sent


def test_one_event_resumes_the_oldest_wait(send):
    created = now()
    newer = store_matching_task(match=RUN, run_id="newer", created_at=created)
    older = store_matching_task(match=RUN, run_id="older", created_at=created - timedelta(minutes=1))
    first = send()
    look()
    assert (resumed_by(older), resumed_by(newer)) == (first, None)
    second = send()
    look()
    assert resumed_by(newer) == second


def test_one_event_resumes_all_waits_with_broadcast_and_one_without(send):
    shared = [store_matching_task(match=RUN, run_id=f"shared{n}", broadcast=True) for n in range(3)]
    alone = [store_matching_task(match=RUN, run_id=f"alone{n}") for n in range(2)]
    sent = send()
    look()
    assert [resumed_by(each) for each in (*shared, *alone)] == [sent] * 4 + [None]


def test_an_event_from_before_the_task_waited_counts_within_the_look_back(send):
    old, sent = send(), send()
    wait = store_matching_task(match=RUN, look_back=timedelta(minutes=1))
    look()
    assert resumed_by(wait) == old, "the oldest one"
    second = store_matching_task(match=RUN, run_id="second")
    look()
    assert resumed_by(second) == sent
    assert resumed_by(store_matching_task(match=RUN, run_id="third")) is None


def test_an_event_from_before_the_look_back_does_not_count(send):
    send()
    late = store_matching_task(match=RUN, look_back=timedelta(), created_at=now() + timedelta(seconds=5))
    look()
    assert resumed_by(late) is None
    assert wait_of(late).look_back_due is None


def test_of_two_waits_that_look_back_together_each_has_its_own_time(send):
    sent = send()
    short = {"look_back": timedelta(), "created_at": now() + timedelta(seconds=5)}
    late = store_matching_task(match=RUN, registers=False, **short)
    early = store_matching_task(match=RUN, run_id="early", created_at=now() + timedelta(seconds=9))
    look()
    assert (resumed_by(early), resumed_by(late)) == (sent, None)


def test_an_event_that_came_while_no_dispatcher_knew_the_wait_is_found(send):
    waiting = store_matching_task(match=RUN, look_back=timedelta(), registers=False)
    sent = send()
    assert to_match() == [None]
    look()
    assert resumed_by(waiting) == sent


def test_an_event_is_kept_until_the_task_is_parked(send):
    waiting = store_matching_task(match=RUN, **STARTING)
    sent = send()
    look()
    assert (resumed_by(waiting), wait_of(waiting).delivery_id) == (None, sent)
    change_task(waiting, **PARKED)
    look()
    assert resumed_by(waiting) == sent


def test_an_event_of_a_task_that_ended_is_given_to_the_next_wait(send):
    waiting = store_matching_task(match=RUN, **STARTING)
    sent = send()
    look()
    clear_task(waiting)
    look()
    assert wait_of(waiting).state == "ended"
    other = store_matching_task(match=RUN, run_id="other")
    look()
    assert resumed_by(other) == sent


def test_a_try_with_the_id_of_the_one_before_waits_for_an_event_of_its_own(send):
    waiting = store_matching_task(match=RUN)
    first = send()
    look()
    assert resumed_by(waiting) == first
    fail_while_queued(waiting)
    match_again(waiting, RUN)
    look()
    assert resumed_by(waiting) is None
    second = send()
    look()
    assert resumed_by(waiting) == second
    assert {(wait.delivery_id, wait.state) for wait in rows("wait")} == {
        (first, "resumed"),
        (second, "resumed"),
    }


def test_an_event_whose_try_failed_before_it_was_resumed_is_given_to_the_next_one_with_its_id(send):
    waiting = store_matching_task(match=RUN, **STARTING)
    sent = send()
    look()
    fail_while_queued(waiting)
    match_again(waiting, RUN)
    look()
    look()
    assert resumed_by(waiting) == sent


def test_what_the_filter_excludes_is_no_event(send, hook):
    filtered = store_webhook("filtered", dag_id=DAG_ID, filter="body.data.runId == '1'")
    waiting = store_matching_task(webhook="filtered", match=RUN)
    endpoint = AsgiEndpoint()
    assert endpoint.post(filtered.path, b'{"data": {"runId": "123"}}', JSON).status == 200
    look()
    assert (resumed_by(waiting), to_match()) == (None, [None])


def test_an_event_whose_result_cannot_be_used_is_noted_and_the_task_waits_on(send):
    waiting = store_matching_task(match=RUN, result="{{ body.data.runId + 1 }}")
    send()
    look()
    assert (wait_of(waiting).state, wait_of(waiting).refused_calls) == ("waiting", 1)
    assert to_match() == [None]


def test_fail_when_fails_the_task_with_the_payloads_message(send):
    waiting = store_matching_task(
        match=RUN, fail_when="body.data.status == 'Error'", result="${Webhook::Body.data}"
    )
    send(status="Error")
    look()
    assert "failure" in json.loads(event_of(waiting)["outcome"])


def test_a_task_gets_no_credentials_of_an_event(hook):
    waiting = store_matching_task(match=RUN)
    secret = [("authorization", "Bearer of the sender"), ("x-of-ours", "open")]
    body = b'{"data": {"runId": 123}}'
    assert AsgiEndpoint().post(hook.path, body, [*JSON, *secret]).status == 202
    look()
    outcome = event_of(waiting)["outcome"]
    assert "open" in outcome
    assert "of the sender" not in outcome


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"webhook": "none"}, "There is no webhook 'none'."),
        (
            {"dag_id": "stranger"},
            "The DAG stranger may not wait for events of the webhook 'dbt': add it to the "
            "webhook's waiting_dags (--waiting-dag stranger).",
        ),
    ],
)
def test_a_wait_that_is_not_allowed_fails_the_task_with_a_sentence(send, given, sentence):
    waiting = store_matching_task(**{"match": RUN} | given)
    send()
    look()
    tasks_at().review()
    assert event_of(waiting) == {"refused": sentence}
    assert wait_of(waiting).state == "refused"


def test_a_webhook_names_the_dags_that_may_wait(send, hook):
    change_webhook(hook.id, waiting_dags=("stranger",))
    allowed = store_matching_task(match=RUN, dag_id="stranger", run_id="a")
    own = store_matching_task(match=RUN, run_id="b")
    sent = send()
    look()
    tasks_at().review()
    assert resumed_by(allowed) == sent
    assert "waiting_dags" in event_of(own)["refused"]


def test_a_task_fails_when_its_dag_may_no_longer_wait(send, hook):
    from inbound_webhooks.records.webhook import Draft, field_values
    from inbound_webhooks.webhooks import service

    waiting = store_matching_task(match=RUN)
    look()
    webhook = service.get("dbt")
    draft = Draft(**field_values(webhook) | {"waiting_dags": ("stranger",)})
    service.change(webhook.id, draft, actor="a tester", version=webhook.version)
    send()
    look()
    tasks_at().review()
    assert "no longer lets this DAG wait" in event_of(waiting)["refused"]


def test_an_event_from_before_the_wait_that_is_held_resumes_the_task_after_the_hold(send, hook):
    from inbound_webhooks.dispatch.holds import Holds
    from inbound_webhooks.webhooks import hold

    hold.hold(hook.id, actor="a tester")
    sent = send()
    waiting = store_matching_task(match=RUN)
    look()
    assert resumed_by(waiting) is None
    hold.release(hook.id, actor="a tester", pace=hold.Pace())
    Holds(now=now).look()
    look()
    assert resumed_by(waiting) == sent


def test_the_items_of_a_list_are_no_events_of_their_own(send, hook):
    change_webhook(hook.id, each="${Webhook::Body.data.parts}")
    sent = send(parts=[1, 2, 3])
    first, second = (store_matching_task(match=RUN, run_id=run_id) for run_id in ("a", "b"))
    look()
    assert [resumed_by(first), resumed_by(second)] == [sent, None]


def test_a_disabled_webhook_resumes_nothing_until_it_is_enabled(send, hook):
    waiting = store_matching_task(match=RUN)
    sent = send()
    change_webhook(hook.id, enabled=False)
    look()
    assert wait_of(waiting).delivery_id is None
    change_webhook(hook.id, enabled=True)
    tasks_at().match_events()
    change_webhook(hook.id, enabled=False)
    look()
    assert (wait_of(waiting).delivery_id, resumed_by(waiting)) == (sent, None)
    change_webhook(hook.id, enabled=True)
    look()
    assert resumed_by(waiting) == sent


def test_waits_of_a_disabled_webhook_take_no_places_of_a_round(send, hook):
    other = store_webhook("lake", dag_id=DAG_ID)
    first = store_matching_task(match=RUN)
    second = store_matching_task(webhook="lake", match=RUN, run_id="b")
    for webhook in (hook, other):
        send(to=webhook)
    tasks_at().match_events()
    oldest, newest = sorted([first, second], key=lambda waiting: waiting.id)
    change_webhook((hook if oldest is first else other).id, enabled=False)
    assert taken(limit=1) == [newest.id]
    assert taken(hours=2, limit=1) == [oldest.id]


def test_a_registration_that_is_none_takes_no_place_of_a_review(hook):
    spoiled, waiting = (store_matching_task(match=RUN, run_id=name, registers=False) for name in "ab")
    spoil_registration(min(spoiled, waiting, key=lambda each: each.id))
    from inbound_webhooks.airflow_bridge.task_instances import unregistered_waits
    from inbound_webhooks.storage.database import autocommit

    found = autocommit(partial(unregistered_waits, limit=1))
    assert [wait.id for wait in found] == [max(spoiled.id, waiting.id)]


def test_a_task_is_resumed_after_the_deadline_by_an_event_that_came_in_time(send):
    waiting = store_matching_task(match=RUN)
    sent = send()
    tasks_at(hours=2).review()
    assert wait_of(waiting).state == "waiting"
    look(hours=2)
    assert resumed_by(waiting) == sent


def test_a_webhook_is_no_longer_awaited_once_no_task_waits(send):
    waiting = store_matching_task(match=RUN)
    assert rows("webhook")[0].awaited
    send()
    look()
    tasks_at().review()
    assert rows("webhook")[0].awaited is None
    send()
    assert to_match() == [None, None]
    assert wait_of(waiting).state == "resumed"


def test_the_webhooks_own_run_starts_as_before(send):
    store_matching_task(match=RUN)
    sent = send()
    look()
    (delivery,) = rows("delivery")
    assert (delivery.id, delivery.state, delivery.wait_id) == (sent, "accepted", None)


def test_a_webhook_has_a_limit_of_conditions(send):
    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.database import transaction

    stored = wait_of(store_matching_task(match_expression="body.a"))._mapping
    with transaction() as connection:
        copies = [{**stored, "id": f"{number:032x}"} for number in range(999)]
        connection.execute(tables.wait.insert(), copies)
    refused = store_matching_task(match_expression="body.a", run_id="refused")
    assert "1,000 tasks wait for the webhook 'dbt' with match_expression alone" in wait_of(refused).failure
    admitted = store_matching_task(match=RUN, run_id="admitted")
    assert wait_of(admitted).failure is None


def test_a_preview_says_which_tasks_would_be_resumed(hook, webhooks):
    def note() -> str | None:
        header = ("--header", "Content-Type: application/json")
        done = webhooks("try", "dbt", "--data", '{"data": {"runId": 123}}', *header, "-o", "json")
        return json.loads(done.out)["note"]

    assert note() is None
    store_matching_task(match={"body.data.runId": 7})
    assert note() == "It matches no task that waits for the webhook."
    store_matching_task(match=RUN, run_id="second")
    assert note() == "It would resume 1 waiting task."
