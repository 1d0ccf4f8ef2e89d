"""Deliveries that are split and their children: replay, retention, details, preview, back-test and files."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import yaml

from inbound_webhooks.errors import InvalidDefinition, NotReplayable, RoutesExist, WebhookChanged
from tests.infrastructure.asgi_endpoint import AsgiEndpoint
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.receiver_fixtures import configure
from tests.infrastructure.webhooks_builder import (
    ACTOR,
    Hook,
    change_delivery,
    change_webhook,
    now,
    rows,
    states,
    store_webhook,
)

__all__ = ["configure"]

ITEM = {"number": "${Webhook::Item.number}"}
LIST = json.dumps({"records": [{"number": 1}, {"number": 2}]}).encode()


def list_hook(**fields: Any) -> Hook:
    return store_webhook(**({"each": "body.records", "mapping": ITEM} | fields))


def source_hook(**fields: Any) -> Hook:
    return store_webhook("source", **({"dag_id": "", "routes": "all"} | fields))


def route_of(source: str, name: str, **fields: Any) -> Any:
    from inbound_webhooks.webhooks import service

    draft = service.drafted(preset=None, name=name, source=source, **({"dag_id": "orders"} | fields))
    return service.create(draft, actor=ACTOR)


def post(hook: Hook, body: bytes = LIST) -> tuple[Any, list[Any]]:
    """The parent and the children of one request."""
    AsgiEndpoint().post(hook.path, body)
    stored = rows("delivery")
    parent = next(row for row in stored if row.parent_id is None and row.replay_of is None)
    children = [row for row in stored if row.parent_id and row.child_index is not None]
    return parent, sorted(children, key=lambda row: row.child_index)


def replayed(delivery_id: str, **options: Any) -> Any:
    from inbound_webhooks.deliveries.replay import replay
    from inbound_webhooks.receiver.instance import get_receiver

    return replay(get_receiver(), delivery_id, actor=ACTOR, **options)


@pytest.fixture(autouse=True)
def _orders(database):
    from airflow.sdk import Param

    store_dag("orders", params={"number": Param(0, type="integer")})


# --- replay ---------------------------------------------------------------------------------


def test_the_replay_of_a_child_shares_the_request_and_has_a_run_of_its_own():
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    parent, children = post(list_hook())
    again = replayed(children[1].id)
    assert (again.parent_id, again.child_index, again.item_index) == (parent.id, None, 1)
    assert (again.conf, again.body, again.replay_of) == ('{"number":2}', b"", children[1].id)
    while Dispatcher(Settings()).dispatch_due():
        continue
    run_ids = {row.id: row.run_id for row in rows("delivery")}
    assert run_ids[again.id] == f"webhook__{again.id}"
    assert run_ids[children[1].id] == f"webhook__{parent.id}__1"


def test_the_current_mapping_reads_the_item_of_a_child_again():
    hook = list_hook()
    _, children = post(hook)
    change_webhook(hook.id, mapping={"number": "{{ item.number + 40 }}"})
    assert replayed(children[1].id, remap=True).conf == '{"number":42}'
    change_webhook(hook.id, each="body.gone")
    with pytest.raises(NotReplayable, match="instead of a list"):
        replayed(children[1].id, remap=True)
    change_webhook(hook.id, each=None, mapping={})
    with pytest.raises(NotReplayable, match="no item"):
        replayed(children[1].id, remap=True)


def test_the_replay_of_a_split_delivery_is_split_again_whatever_keys_are_known():
    parent, children = post(list_hook(dedup="${Webhook::Item.number}"))
    again = replayed(parent.id)
    assert (again.state, again.replay_of) == ("split", parent.id)
    made = [row for row in rows("delivery") if row.parent_id == again.id]
    assert [row.conf for row in made] == [child.conf for child in children]
    assert {row.dedup_key for row in made} == {None}


def test_a_route_is_replayed_by_its_own_mapping():
    source = source_hook()
    route = route_of(source.id, "a", mapping={"number": "{{ body.records | length }}"})
    _, (child,) = post(source)
    change_webhook(route.id, mapping={"number": "${Webhook::Body.records[1].number}"})
    again = replayed(child.id, remap=True)
    assert (again.webhook_id, again.conf) == (route.id, '{"number":2}')


# --- retention ------------------------------------------------------------------------------


def clean(days: float = 31) -> None:
    from inbound_webhooks.dispatch.retention import RetentionJob
    from inbound_webhooks.settings import Settings

    RetentionJob(Settings(), now=lambda: now() + timedelta(days=days)).clean()


def test_a_split_delivery_goes_after_its_last_child():
    parent, children = post(list_hook())
    change_delivery(children[0].id, state="succeeded")
    clean()
    assert sorted(row.id for row in rows("delivery")) == sorted([parent.id, children[1].id])
    assert next(row for row in rows("delivery") if row.id == parent.id).body == LIST
    change_delivery(children[1].id, state="succeeded")
    clean()
    clean()
    assert rows("delivery") == []


def test_the_request_stays_while_a_replay_of_a_child_needs_it():
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import find_delivery

    parent, children = post(list_hook())
    again = replayed(children[0].id)
    for child in children:
        change_delivery(child.id, state="succeeded")
    change_delivery(again.id, state="succeeded", received_at=now() + timedelta(days=20))
    clean()
    clean()
    assert {row.id for row in rows("delivery")} == {parent.id, again.id}
    with transaction() as connection:
        found = find_delivery(connection, again.id)
    assert found is not None
    assert found.body == LIST


def test_a_request_that_is_kept_for_keys_alone_is_emptied():
    from inbound_webhooks.dispatch.retention import RetentionJob
    from inbound_webhooks.settings import Settings

    parent, children = post(list_hook(dedup="${Webhook::Item.number}"))
    for child in children:
        change_delivery(child.id, state="succeeded")
    RetentionJob(Settings(retention_days=1), now=lambda: now() + timedelta(days=2)).clean()
    kept = rows("delivery")
    assert len(kept) == 3
    assert {row.body for row in kept} == {b""}
    assert next(row for row in kept if row.id == parent.id).headers == "[]"


def test_a_request_is_not_emptied_while_a_run_of_a_child_is_unfinished():
    from inbound_webhooks.dispatch.retention import RetentionJob
    from inbound_webhooks.settings import Settings

    parent, children = post(list_hook(dedup="${Webhook::Item.number}"))
    change_delivery(children[0].id, state="succeeded")
    RetentionJob(Settings(retention_days=1), now=lambda: now() + timedelta(days=2)).clean()
    assert next(row for row in rows("delivery") if row.id == parent.id).body == LIST


# --- details, preview, back-test --------------------------------------------------------------


def test_the_details_name_parent_children_and_routes():
    from inbound_webhooks.deliveries.details import delivery_details

    source = source_hook()
    route_of(source.id, "a", filter="body.records | length > 9")
    route = route_of(source.id, "b", mapping={})
    parent, (child,) = post(source)
    found = delivery_details(parent.id)
    assert [(line["webhook"], line["state"]) for line in found["routes"]] == [
        ("a", "filtered"),
        ("b", "accepted"),
    ]
    assert [(each["id"], each["webhook_id"]) for each in found["children"]] == [(child.id, route.id)]
    of_child = delivery_details(child.id)
    assert (of_child["parent_id"], of_child["children"]) == (parent.id, [])
    assert of_child["request"]["body"] == LIST.decode()


def preview(hook_id: str, body: bytes = LIST) -> dict[str, Any]:
    from inbound_webhooks.deliveries.preview import preview_request
    from inbound_webhooks.receiver.instance import get_receiver
    from inbound_webhooks.webhooks import service

    headers = [("Content-Type", "application/json")]
    webhook = service.get(hook_id)
    return preview_request(
        get_receiver(), webhook, method="POST", query_string="", headers=headers, body=body
    )


def test_a_preview_shows_each_item():
    found = preview(list_hook(filter="item.number > 1").id)
    assert (found["state"], found["children_total"]) == ("split", 2)
    assert [(child["item_index"], child["state"], child["conf"]) for child in found["children"]] == [
        (0, "filtered", None),
        (1, "accepted", {"number": 2}),
    ]
    assert states() == []


def test_a_preview_shows_each_route_with_its_reason():
    source = source_hook(routes="first")
    route_of(source.id, "a", enabled=False)
    route_of(source.id, "b")
    route_of(source.id, "c")
    found = preview(source.id)
    assert [(route["webhook"], route["state"]) for route in found["routes"]] == [
        ("a", "disabled"),
        ("b", "accepted"),
        ("c", "not first"),
    ]


def test_a_back_test_compares_items_and_routes():
    from dataclasses import replace

    from inbound_webhooks.deliveries.backtest import back_test
    from inbound_webhooks.receiver.instance import get_receiver
    from inbound_webhooks.webhooks import service

    hook = list_hook()
    post(hook)
    webhook = service.get(hook.id)
    changed = replace(webhook, filter="item.number > 1")
    (judged,) = back_test(get_receiver(), webhook, changed, limit=10).judged
    assert judged.before is not None
    assert judged.after is not None
    assert [event["state"] for event in judged.before.events or ()] == ["accepted", "accepted"]
    assert [event["state"] for event in judged.after.events or ()] == ["filtered", "accepted"]


def test_a_back_test_of_a_route_judges_the_requests_of_its_source():
    from dataclasses import replace

    from inbound_webhooks.deliveries.backtest import back_test
    from inbound_webhooks.receiver.instance import get_receiver

    source = source_hook()
    route = route_of(source.id, "a", filter="body.records | length > 9")
    post(source)
    changed = replace(route, filter="body.records | length > 1")
    (judged,) = back_test(get_receiver(), route, changed, limit=10).judged
    assert judged.before is not None
    assert judged.after is not None
    assert (judged.before.state, judged.after.state) == ("filtered", "accepted")


# --- what may be saved ------------------------------------------------------------------------


def test_a_source_must_exist_pass_events_on_and_have_no_source():
    from inbound_webhooks.webhooks import service

    plain, source = store_webhook("plain"), source_hook()
    route = route_of(source.name, "a")
    assert service.get("a").source == source.id
    for name, reason in ((plain.id, "no events"), ("gone", "no webhook"), (route.id, "no routes of its own")):
        with pytest.raises(InvalidDefinition, match=reason):
            route_of(name, f"b of {name}")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"source": "source", "routes": "all"}, "routes"),
        ({"source": "source", "verification": [{"kind": "hmac", "header": "X"}]}, "verification"),
        ({"routes": "all", "each": "body"}, "each"),
    ],
)
def test_what_does_not_go_together_is_refused(fields, field):
    source_hook()
    with pytest.raises(InvalidDefinition) as refused:
        store_webhook("other", **fields)
    assert refused.value.problem.field == field


def test_a_source_with_routes_stays_one():
    from inbound_webhooks.records.webhook import Draft, field_values
    from inbound_webhooks.webhooks import service

    source = source_hook(dag_id="orders")
    route_of(source.id, "a")
    stored = service.get(source.id)
    with pytest.raises(RoutesExist, match="'source': a"):
        service.delete(source.id, actor=ACTOR)
    plain = Draft(**(field_values(stored) | {"routes": None}))
    with pytest.raises(RoutesExist):
        service.change(source.id, plain, version=stored.version, actor=ACTOR)
    service.delete("a", actor=ACTOR)
    service.delete(source.id, actor=ACTOR)
    assert rows("webhook") == []


def test_a_webhook_has_so_many_routes_and_no_more():
    from inbound_webhooks.webhooks.routes import MAX_ROUTES

    source = source_hook()
    for number in range(MAX_ROUTES):
        route_of(source.id, f"route {number}")
    with pytest.raises(InvalidDefinition, match="the limit"):
        route_of(source.id, "one more")


def test_a_source_that_was_changed_since_the_permission_was_checked_gets_no_route():
    from inbound_webhooks.webhooks import service

    source = source_hook(dag_id="orders")
    checked = service.get(source.id)
    change_webhook(source.id, dag_id="billing")
    draft = service.drafted(preset=None, name="a", dag_id="orders", source=source.id)
    with pytest.raises(WebhookChanged):
        service.create(draft, actor=ACTOR, checked_source=checked)


# --- files ------------------------------------------------------------------------------------


def test_a_file_names_the_source_and_an_import_creates_it_first(tmp_path):
    from inbound_webhooks.files import plan
    from inbound_webhooks.files.exporting import exported
    from inbound_webhooks.files.reading import read_files
    from inbound_webhooks.webhooks import service

    entries = [
        {"name": "build", "dag_id": "orders", "source": "github", "filter": "body.ref"},
        {"name": "github", "routes": "first"},
    ]
    file = tmp_path / "hooks.yaml"
    file.write_text(yaml.safe_dump({"webhooks": entries}))
    read = read_files([file]).entries
    plan.apply(plan.plan(read), actor=ACTOR)
    assert service.get("build").source == service.get("github").id
    assert exported([service.get("build"), service.get("github")]) == entries
    assert {step.action for step in plan.plan(read)} == {"keep"}
    plan.apply(plan.plan(read[:0], prune=True), actor=ACTOR)
    assert rows("webhook") == []
