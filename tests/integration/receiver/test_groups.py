"""Events that wait for others of their group: how the endpoint stores them, and how many."""

from __future__ import annotations

import json

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.groups_builder import BATCHES, LATEST, ONE, key_of
from tests.infrastructure.webhooks_builder import (
    ACTOR,
    change_webhook,
    delivery,
    rows,
    states,
    store_delivery,
    store_webhook,
)

CANCELS = {"cancel_on": 'body.action == "closed"'}


@pytest.fixture
def orders_of_keys(database):
    """A function that stores a webhook with these fields, for a DAG that takes whatever comes."""

    def store(**fields):
        store_dag("orders")
        return store_webhook(**fields)

    return store


@pytest.mark.parametrize(
    ("fields", "state"),
    [(BATCHES, "batched"), (LATEST, "settling"), (ONE, "in_turn")],
    ids=["batch", "latest", "one at a time"],
)
def test_an_event_is_stored_with_its_key_and_not_due(asgi, orders_of_keys, fields, state):
    hook = orders_of_keys(**fields)
    reply = asgi.post(hook.path, b'{"key": {"b": 1, "a": "x"}}')
    assert (reply.status, reply.json["status"]) == (202, "accepted")
    (stored,) = rows("delivery")
    assert (stored.state, stored.next_attempt_at, stored.batch_id) == (state, None, None)
    assert json.loads(stored.conf)["webhook"]["body"] == {"key": {"b": 1, "a": "x"}}


def test_the_order_of_an_objects_members_makes_no_other_key(asgi, orders_of_keys):
    hook = orders_of_keys(**ONE)
    for body in (b'{"key": {"b": 1, "a": 2}}', b'{"key": {"a": 2, "b": 1}}', b'{"key": "x"}', b"{}"):
        asgi.post(hook.path, body)
    keys = [row.group_key for row in rows("delivery")]
    assert keys[0] == keys[1]
    assert keys[2:] == [key_of("x"), key_of(None)]


def test_without_an_expression_all_events_share_a_batch(asgi, orders_of_keys):
    hook = orders_of_keys(batch_size=2, batch_seconds=5)
    for body in (b'{"key": 1}', b'{"key": 2}'):
        asgi.post(hook.path, body)
    assert len({row.group_key for row in rows("delivery")}) == 1


def test_a_webhook_without_groups_stores_no_key(asgi, orders_of_keys):
    asgi.post(orders_of_keys().path, b'{"key": 1}')
    (stored,) = rows("delivery")
    assert (stored.state, stored.group_key) == ("accepted", None)


def test_an_event_that_cancels_has_no_conf(asgi, orders_of_keys):
    hook = orders_of_keys(**ONE, **CANCELS, mapping={"number": "${Webhook::Body.number}"})
    for action in ("opened", "closed"):
        asgi.post(hook.path, json.dumps({"key": "a", "action": action, "number": 1}).encode())
    assert [row.conf for row in rows("delivery")] == ['{"number":1}', None]
    assert states() == ["in_turn"] * 2


def test_a_response_does_not_wait_for_a_run_that_waits_for_others(asgi, orders_of_keys):
    hook = orders_of_keys(**BATCHES, wait_seconds=60)
    assert asgi.post(hook.path, b'{"key": "a"}').status == 202


def test_a_repeated_event_joins_no_second_batch(asgi, orders_of_keys):
    hook = orders_of_keys(**BATCHES, dedup="${Webhook::Body.id}")
    replies = [asgi.post(hook.path, b'{"key": "a", "id": 7}').json["status"] for _ in range(2)]
    assert (replies, states()) == (["accepted", "duplicate"], ["batched"])


def test_more_than_the_limit_are_put_off(asgi, orders_of_keys, configure):
    configure(max_grouped_deliveries=2)
    hook, other = orders_of_keys(**BATCHES), store_webhook("another", **ONE)
    replies = [asgi.post(hook.path, b'{"key": "a"}') for _ in range(3)]
    assert [reply.status for reply in replies] == [202, 202, 429]
    assert int(replies[2].header("Retry-After")) > 0
    assert asgi.post(other.path, b'{"key": "a"}').status == 202


def test_what_waits_for_others_does_not_fill_the_backlog(asgi, orders_of_keys, configure):
    configure(max_backlog=2, webhook_backlog_percent=100)
    hook = orders_of_keys(**BATCHES)
    for _ in range(3):
        store_delivery(hook, state="batched", group_key=key_of("a"), next_attempt_at=None)
    assert asgi.post(store_webhook("another").path, b"{}").status == 202


# --- the params of a DAG for batches ---------------------------------------------------------


@pytest.fixture
def typed(sqlite_database):
    """A webhook for a DAG whose param says what the events of a batch look like."""
    from airflow.sdk import Param

    item = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
    store_dag("orders", params={"events": Param([], type="array", items=item)})
    return store_webhook(**BATCHES, mapping={"number": "${Webhook::Body.number}"})


def test_each_event_is_converted_to_what_the_items_of_the_list_are(asgi, typed):
    assert asgi.post(typed.path, b'{"number": "12"}').status == 202
    assert rows("delivery")[0].conf == '{"number":12}'


@pytest.mark.parametrize("body", [b'{"number": "many"}', b"{}"])
def test_an_event_that_is_no_such_item_is_refused_alone(asgi, typed, body):
    reply = asgi.post(typed.path, body)
    assert (reply.status, states()) == (422, ["refused"])
    assert b"number" in reply.body


# --- replays and previews --------------------------------------------------------------------


def replay(delivery_id: str, **how):
    from inbound_webhooks.deliveries.replay import replay
    from inbound_webhooks.receiver.instance import get_receiver

    return delivery(replay(get_receiver(), delivery_id, actor=ACTOR, **how).id)


@pytest.mark.parametrize("remap", [False, True], ids=["original conf", "current mapping"])
def test_a_replay_is_a_batch_of_its_own(asgi, orders_of_keys, remap):
    asgi.post(orders_of_keys(**BATCHES).path, b'{"key": "a"}')
    again = replay(rows("delivery")[0].id, remap=remap)
    assert (again.state, again.batch_id) == ("accepted", again.id)
    assert again.next_attempt_at is not None


@pytest.mark.parametrize("remap", [False, True], ids=["original conf", "current mapping"])
def test_a_replay_of_what_was_superseded_runs(asgi, orders_of_keys, remap):
    asgi.post(orders_of_keys(**LATEST).path, b'{"key": "a"}')
    again = replay(rows("delivery")[0].id, remap=remap)
    assert (again.state, again.group_key, again.superseded_by) == ("accepted", None, None)


def test_a_replay_waits_for_its_turn(asgi, orders_of_keys):
    asgi.post(orders_of_keys(**ONE).path, b'{"key": "a"}')
    again = replay(rows("delivery")[0].id)
    assert (again.state, again.group_key, again.next_attempt_at) == ("in_turn", key_of("a"), None)


def test_a_replay_of_an_event_from_before_there_were_batches_is_a_batch_too(asgi, orders_of_keys):
    hook = orders_of_keys()
    asgi.post(hook.path, b'{"key": "a"}')
    change_webhook(hook.id, batch_size=2, batch_seconds=60)
    again = replay(rows("delivery")[0].id)
    assert again.batch_id == again.id


@pytest.mark.parametrize("remap", [False, True], ids=["original conf", "current mapping"])
def test_a_replay_of_many_joins_the_batches_of_their_keys(asgi, orders_of_keys, remap):
    from inbound_webhooks.deliveries.replay import accepted_again
    from inbound_webhooks.receiver.instance import get_receiver
    from inbound_webhooks.records.delivery import Delivery
    from inbound_webhooks.webhooks import service

    hook = orders_of_keys(**BATCHES)
    asgi.post(hook.path, b'{"key": "a"}')
    stored = Delivery(**rows("delivery")[0]._mapping)
    again, _ = accepted_again(get_receiver(), stored, service.get(hook.id), remap=remap)
    assert (again.state, again.group_key) == ("batched", key_of("a"))
    assert (again.batch_id, again.next_attempt_at) == (None, None)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (BATCHES, "join a batch, which closes at 3 events"),
        (LATEST, "after 10 s without a newer event"),
        (ONE, "wait for its turn"),
        (ONE | {"when_busy": "skip"}, "be skipped"),
        (ONE | {"when_busy": "cancel-running"}, "cancel that run"),
        (ONE | {"cancel_on": "true"}, "It would start nothing"),
    ],
)
def test_a_preview_says_what_the_event_would_wait_for(sqlite_database, fields, words):
    from inbound_webhooks.deliveries.preview import preview_request
    from inbound_webhooks.receiver.instance import get_receiver
    from inbound_webhooks.webhooks import service

    webhook = service.get(store_webhook(**fields).id)
    json_type = [("Content-Type", "application/json")]
    shown = preview_request(
        get_receiver(), webhook, method="POST", query_string="", headers=json_type, body=b'{"key": "a"}'
    )
    assert words in shown["note"]
