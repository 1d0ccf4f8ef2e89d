"""A list of events becomes a delivery and a run for each item, in one commit, at both endpoints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import (
    Hook,
    change_webhook,
    delivery,
    rows,
    runs,
    states,
    store_webhook,
)

MAPPING = {"number": "${Webhook::Item.number}"}


def hook_of(**fields: Any) -> Hook:
    return store_webhook(**({"each": "body.records", "mapping": MAPPING} | fields))


def body_of(*items: Any) -> bytes:
    return json.dumps({"records": items}).encode()


def numbered(*numbers: Any) -> bytes:
    return body_of(*({"id": number, "number": number} for number in numbers))


def family() -> tuple[Any, list[Any]]:
    """The one parent, and its children in their order."""
    stored = rows("delivery")
    (parent,) = (row for row in stored if row.parent_id is None)
    return parent, sorted((row for row in stored if row.parent_id), key=lambda row: row.child_index)


def dispatch() -> None:
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    while Dispatcher(Settings()).dispatch_due():
        continue


@pytest.fixture
def endpoint(asgi, database):
    from airflow.sdk import Param

    store_dag("orders", params={"number": Param(0, type="integer")})
    return asgi


def test_each_item_becomes_a_delivery_and_a_run_of_its_own(endpoint):
    reply = endpoint.post(hook_of().path, numbered(1, 2, 3))
    parent, children = family()
    assert (reply.status, reply.json) == (
        202,
        {
            "status": "accepted",
            "delivery_id": parent.id,
            "items": {"accepted": 3, "filtered": 0, "duplicates": 0, "refused": 0},
        },
    )
    assert (parent.state, parent.run_id, parent.conf) == ("split", None, None)
    assert [(child.state, child.item_index, child.conf) for child in children] == [
        ("accepted", 0, '{"number":1}'),
        ("accepted", 1, '{"number":2}'),
        ("accepted", 2, '{"number":3}'),
    ]
    dispatch()
    assert [(run.run_id, run.conf) for run in runs()] == [
        (f"webhook__{parent.id}__{number}", {"number": number + 1}) for number in range(3)
    ]
    assert {delivery(child.id).run_id for child in children} == {run.run_id for run in runs()}


def test_children_share_the_stored_request(endpoint):
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import find_delivery, find_of_run

    body = numbered(1, 2)
    endpoint.post(hook_of().path, body)
    parent, children = family()
    assert [(child.body, child.headers, child.credentials) for child in children] == [(b"", "[]", None)] * 2
    with transaction() as connection:
        found = find_delivery(connection, children[1].id)
        of_run = find_of_run(connection, f"{parent.id}__1")
    assert found is not None
    assert (found.body, found.headers) == (body, parent.headers)
    assert of_run == found


def test_items_are_filtered_refused_and_accepted_one_by_one(endpoint):
    hook = hook_of(filter="item.number != 2")
    reply = endpoint.post(hook.path, numbered(1, 2, "many"))
    assert reply.status == 202
    assert reply.json["items"] == {"accepted": 1, "filtered": 1, "duplicates": 0, "refused": 1}
    assert [error["item"] for error in reply.json["errors"]] == [2]
    _, children = family()
    assert [child.state for child in children] == ["accepted", "filtered", "refused"]


@pytest.mark.parametrize(
    ("body", "status", "state"),
    [
        (numbered("a", "b"), 422, "refused"),
        (numbered(2, 2), 200, "filtered"),
        (body_of(), 200, "filtered"),
        (b"{}", 422, "refused"),
        (b"[", 400, "refused"),
        (numbered(*range(1, 5)), 422, "refused"),
    ],
    ids=["all refused", "all filtered", "empty", "no list", "no JSON", "too many"],
)
def test_a_list_of_which_nothing_is_accepted_is_one_delivery(endpoint, configure, body, status, state):
    configure(max_items_per_request=3)
    reply = endpoint.post(hook_of(filter="item.number != 2").path, body)
    assert (reply.status, states()) == (status, [state])


def test_an_item_that_comes_again_is_a_duplicate_and_runs_once(endpoint):
    hook = hook_of(dedup="${Webhook::Item.id}")
    endpoint.post(hook.path, numbered(1, 2))
    reply = endpoint.post(hook.path, numbered(2, 3, 3))
    assert reply.json["items"] == {"accepted": 1, "filtered": 0, "duplicates": 2, "refused": 0}
    dispatch()
    assert sorted(run.conf["number"] for run in runs()) == [1, 2, 3]


def test_a_list_that_comes_again_as_a_whole_names_the_first_delivery(endpoint):
    hook = hook_of(dedup="${Webhook::Item.id}")
    first, second = endpoint.post(hook.path, numbered(1, 2)), endpoint.post(hook.path, numbered(1, 2))
    assert second.json == {"status": "duplicate", "delivery_id": first.json["delivery_id"]}
    assert states() == ["accepted", "accepted", "split"]


def test_a_list_waits_for_no_result(endpoint):
    reply = endpoint.post(hook_of(wait_seconds=60).path, numbered(1))
    assert (reply.status, reply.json["items"]["accepted"]) == (202, 1)


def test_items_count_towards_the_backlog(endpoint):
    hook = hook_of(max_backlog=5)
    assert [endpoint.post(hook.path, numbered(1, 2)).status for _ in range(3)] == [202, 202, 429]
    assert endpoint.post(hook.path, numbered(1)).status == 202


def test_a_list_longer_than_the_backlog_is_accepted_while_nothing_waits(endpoint):
    hook = hook_of(max_backlog=2)
    assert [endpoint.post(hook.path, numbered(1, 2, 3)).status for _ in range(2)] == [202, 429]


def test_a_changed_webhook_judges_the_whole_list_again(endpoint):
    hook = hook_of()
    endpoint.post(hook.path, numbered(1))
    change_webhook(hook.id, filter="item.number > 1")
    reply = endpoint.post(hook.path, numbered(1, 2))
    assert reply.json["items"] == {"accepted": 1, "filtered": 1, "duplicates": 0, "refused": 0}


def test_a_disabled_webhook_stores_no_item(endpoint):
    hook = hook_of()
    endpoint.post(hook.path, numbered(1))
    change_webhook(hook.id, enabled=False)
    assert endpoint.post(hook.path, numbered(2)).status == 403
    assert states() == ["accepted", "split"]
