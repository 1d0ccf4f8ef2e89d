"""What the sender calls an event: kept with the delivery, and a filter."""

from __future__ import annotations

import json

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import rows, store_webhook

JSON = [("content-type", "application/json")]


@pytest.fixture
def orders(database):
    store_dag("orders")


def kinds() -> list[tuple[str, str | None]]:
    found = [(row.state, row.event_type) for row in rows("delivery")]
    return sorted(found, key=str)


def test_a_delivery_keeps_the_type_that_its_sender_gave_it(orders, asgi):
    hook = store_webhook(event_type="${Webhook::Headers.X-Event}")
    asgi.post(hook.path, b"{}", headers=[*JSON, ("x-event", "push")])
    asgi.post(hook.path, b"{}", headers=JSON)
    assert kinds() == [("accepted", "push"), ("accepted", None)]


def test_a_filter_and_a_parameter_can_ask_for_it(orders, asgi):
    hook = store_webhook(
        event_type="${Webhook::Body.type}",
        filter='delivery.event_type != "ping"',
        mapping={"kind": "${Webhook::Delivery.event_type}"},
    )
    asgi.post(hook.path, b'{"type": "order"}', headers=JSON)
    asgi.post(hook.path, b'{"type": "ping"}', headers=JSON)
    assert kinds() == [("accepted", "order"), ("filtered", "ping")]
    confs = [json.loads(row.conf) for row in rows("delivery") if row.conf]
    assert confs == [{"kind": "order"}]


def test_only_the_events_of_a_list_count(orders, asgi):
    hook = store_webhook(preset="generic-api-key", secrets={"signing": "k" * 20}, events=["a", 'b"c'])
    for kind in ("a", 'b"c', "b"):
        body = json.dumps({"type": kind}).encode()
        asgi.post(hook.path, body, headers=[*JSON, ("x-api-key", "k" * 20)])
    assert kinds() == [("accepted", "a"), ("accepted", 'b"c'), ("filtered", "b")]


def test_a_list_of_events_stands_beside_a_filter(orders, asgi):
    hook = store_webhook(
        event_type="${Webhook::Body.type}", events=["a"], filter="body.size > 3 or body.urgent"
    )
    for body in (b'{"type":"a","size":4}', b'{"type":"a","size":1}', b'{"type":"b","size":4,"urgent":1}'):
        asgi.post(hook.path, body, headers=JSON)
    assert [state for state, _ in kinds()] == ["accepted", "filtered", "filtered"]


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"no JSON", None),
        (b'{"type": {"a": 1}}', '{"a":1}'),
        (b'{"type": "two\\nlines"}', "twolines"),
        (b'{"type": "' + b"x" * 300 + b'"}', "x" * 200),
    ],
    ids=["no JSON", "object", "lines", "long"],
)
def test_an_odd_type_refuses_nothing(orders, asgi, body, kept):
    hook = store_webhook(event_type="${Webhook::Body.type}", mapping={"whole": "${Webhook::Body}"})
    response = asgi.post(hook.path, body, headers=JSON)
    assert response.status in (202, 400)
    assert [row.event_type for row in rows("delivery")] == [kept]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "no event types"),
        ({"event_type": "${Webhook::Body.type}", "filter": "${Webhook::Body.ok}"}, "filter in braces"),
    ],
    ids=["none", "braces"],
)
def test_a_list_of_events_that_cannot_be_judged_is_refused_when_it_is_saved(sqlite_database, fields, named):
    from inbound_webhooks.errors import InvalidDefinition

    with pytest.raises(InvalidDefinition, match=named):
        store_webhook(events=["a"], **fields)
