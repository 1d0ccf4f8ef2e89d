"""One request goes to every webhook that gets the events of its own, in one commit, at both endpoints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import (
    ACTOR,
    Hook,
    change_webhook,
    rows,
    runs,
    states,
    store_webhook,
)

NUMBER = {"number": "${Webhook::Body.number}"}
ORDER = b'{"kind": "order", "number": 7}'


def source_of(**fields: Any) -> Hook:
    """A webhook without a target of its own, whose events others get."""
    return store_webhook("source", **({"dag_id": "", "routes": "all"} | fields))


def route_of(source: Hook, name: str, **fields: Any) -> str:
    """The id of a webhook that gets a source's events."""
    from inbound_webhooks.webhooks import service

    draft = service.drafted(
        preset=None, name=name, source=source.name, **({"dag_id": "orders", "mapping": NUMBER} | fields)
    )
    return service.create(draft, actor=ACTOR).id


def version_of(hook: Hook) -> int:
    return next(row.version for row in rows("webhook") if row.id == hook.id)


def parent() -> Any:
    (found,) = (row for row in rows("delivery") if row.parent_id is None)
    return found


def children() -> list[Any]:
    return sorted((row for row in rows("delivery") if row.parent_id), key=lambda row: row.child_index)


def lines() -> list[tuple[str, str]]:
    return [(line["name"], line["state"]) for line in json.loads(parent().routes)]


def dispatch() -> None:
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    while Dispatcher(Settings()).dispatch_due():
        continue


@pytest.fixture
def endpoint(asgi, database):
    from airflow.sdk import Param

    store_dag("orders", params={"number": Param(0, type="integer")})
    store_dag("billing", params={"number": Param(0, type="integer")})
    return asgi


def test_every_route_that_matches_gets_a_delivery_and_a_run(endpoint):
    source = source_of()
    ids = [
        route_of(source, "a", filter='body.kind == "order"'),
        route_of(source, "b", dag_id="billing"),
    ]
    route_of(source, "c", filter='body.kind == "invoice"')
    reply = endpoint.post(source.path, ORDER)
    assert (reply.status, reply.json) == (202, {"status": "accepted", "delivery_id": parent().id})
    assert (parent().state, lines()) == ("split", [("a", "accepted"), ("b", "accepted"), ("c", "filtered")])
    assert [(row.webhook_id, row.dag_id, row.state) for row in children()] == [
        (ids[0], "orders", "accepted"),
        (ids[1], "billing", "accepted"),
    ]
    dispatch()
    assert sorted((run.dag_id, run.run_id, run.conf["number"]) for run in runs()) == [
        ("billing", f"webhook__{parent().id}__1", 7),
        ("orders", f"webhook__{parent().id}__0", 7),
    ]


@pytest.mark.parametrize(
    ("fields", "status", "state"),
    [
        ({"filter": 'body.kind == "invoice"'}, 200, "filtered"),
        ({"mapping": {"number": "many"}}, 422, "refused"),
        ({"enabled": False}, 200, "filtered"),
    ],
    ids=["filtered", "refused", "disabled"],
)
def test_an_event_that_no_route_takes_is_one_delivery(endpoint, fields, status, state):
    source = source_of()
    route_of(source, "a", **fields)
    assert endpoint.post(source.path, ORDER).status == status
    assert states() == [state]
    assert lines() == [("a", "disabled" if fields.get("enabled") is False else state)]


def test_one_route_that_takes_the_event_is_enough(endpoint):
    source = source_of()
    route_of(source, "a", mapping={"number": "many"})
    route_of(source, "b")
    assert endpoint.post(source.path, ORDER).status == 202
    assert [row.state for row in children()] == ["refused", "accepted"]


def test_a_webhook_with_a_dag_and_routes_is_one_of_its_targets(endpoint):
    source = source_of(dag_id="billing", mapping=NUMBER, filter='body.kind == "order"')
    route_of(source, "a")
    endpoint.post(source.path, ORDER)
    assert [(row.webhook_id == source.id, row.dag_id) for row in children()] == [
        (True, "billing"),
        (False, "orders"),
    ]
    # What its filter excludes, it passes on to no route.
    endpoint.post(source.path, b'{"kind": "ping", "number": 1}')
    assert states() == ["accepted", "accepted", "filtered", "split"]


def test_only_the_first_route_that_matches_takes_an_event(endpoint):
    source = source_of(routes="first")
    route_of(source, "last")
    route_of(source, "second", position=2)
    route_of(source, "first", position=1, filter='body.kind == "invoice"')
    endpoint.post(source.path, ORDER)
    assert lines() == [("first", "filtered"), ("second", "accepted"), ("last", "not first")]
    assert [row.webhook_name for row in children()] == ["second"]


def test_a_route_may_split_a_list(endpoint):
    source = source_of()
    route_of(source, "a", each="body.records", mapping={"number": "${Webhook::Item}"})
    route_of(source, "b", mapping={"number": "{{ body.records | length }}"})
    assert endpoint.post(source.path, b'{"records": [1, 2, "x"]}').json["status"] == "accepted"
    assert [(row.webhook_name, row.child_index, row.item_index, row.state) for row in children()] == [
        ("a", 0, 0, "accepted"),
        ("a", 1, 1, "accepted"),
        ("a", 2, 2, "refused"),
        ("b", 3, None, "accepted"),
    ]


def test_a_repeated_event_is_a_duplicate_for_all_routes(endpoint):
    source = source_of(dedup="${Webhook::Body.number}")
    route_of(source, "a")
    first, second = endpoint.post(source.path, ORDER), endpoint.post(source.path, ORDER)
    assert second.json == {"status": "duplicate", "delivery_id": first.json["delivery_id"]}
    assert states() == ["accepted", "split"]


def test_a_route_has_no_url_of_its_own(endpoint):
    from inbound_webhooks.storage.credentials import list_credentials
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.encryption import decrypt
    from inbound_webhooks.webhooks import service

    source = source_of()
    route = route_of(source, "a")
    with transaction() as connection:
        (held,) = list_credentials(connection, route)
    assert service.url(service.get(route)) == ""
    assert endpoint.post(f"/pluginsv2/webhook/{route}/{decrypt(held.encrypted)}", ORDER).status == 404


@pytest.mark.parametrize("change", ["filter", "disable", "delete", "create", "move"])
def test_a_change_of_a_route_counts_for_the_next_event(endpoint, change):
    from inbound_webhooks.webhooks import service

    source = source_of()
    other = store_webhook("other", dag_id="", routes="all")
    route = route_of(source, "a")
    endpoint.post(source.path, ORDER)
    version = version_of(source)
    if change == "filter":
        change_webhook(route, filter="body.number > 100")
    elif change == "disable":
        service.set_enabled(route, False, actor=ACTOR)
    elif change == "delete":
        service.delete(route, actor=ACTOR)
    elif change == "create":
        route_of(source, "b")
    else:
        from inbound_webhooks.records.webhook import Draft, field_values

        stored = service.get(route)
        moved = Draft(**(field_values(stored) | {"source": other.name}))
        service.change(route, moved, version=stored.version, actor=ACTOR)
    assert version_of(source) > version
    before = len(children())
    endpoint.post(source.path, ORDER)
    stored = [row for row in rows("delivery") if row.parent_id]
    assert len(stored) - before == {"create": 2}.get(change, 0)


def test_the_backlog_of_a_route_stops_the_request(endpoint):
    source = source_of()
    route_of(source, "a", max_backlog=1)
    route_of(source, "b")
    assert [endpoint.post(source.path, ORDER).status for _ in range(2)] == [202, 429]
    assert states() == ["accepted", "accepted", "split"]
