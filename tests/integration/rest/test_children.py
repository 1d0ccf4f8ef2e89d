"""Lists and routes in the API and on the pages: what they show, and which permissions a route needs."""

from __future__ import annotations

import json

import pytest

from tests.infrastructure.webhooks_builder import ACTOR, Hook, store_delivery, store_webhook
from tests.integration.rest.conftest import new_name

ROUTES = (
    '[{"webhook_id":"x","name":"to build","state":"accepted"},'
    '{"webhook_id":"y","name":"to bill","state":"filtered"}]'
)
BODY = {"body": b'{"canary": 1}', "headers": '[["Content-Type", "application/json"]]'}
LIMITED = (
    *(("can_read", "Webhooks"), ("can_create", "Webhooks"), ("can_edit", "Webhooks")),
    *(("can_read", "DAG:orders"), ("can_edit", "DAG:orders"), ("can_create", "DAG Run:orders")),
    *(("can_read", "DAG Run:orders"), ("can_edit", "DAG Run:orders")),
)
"""All rights to the webhooks of one DAG."""


@pytest.fixture
def source(pages) -> Hook:
    return store_webhook(new_name(), dag_id="billing", routes="all")


def family(source: Hook) -> tuple[str, str]:
    """A delivery that was split, and its child."""
    parent = store_delivery(source, dag_id="billing", state="split", conf=None, routes=ROUTES, **BODY)
    other = {"parent_id": parent, "child_index": 0, "item_index": 17, "state": "succeeded"}
    return parent, store_delivery(store_webhook(new_name()), **other)


def test_a_route_is_made_by_the_name_of_its_source_and_has_no_url(admin, source):
    body = {"name": new_name(), "dag_id": "orders", "source": source.name}
    made = admin("POST", "/webhooks", body).json()
    assert (made["source"], made["url"]) == (source.id, None)
    assert "no-token" not in {reason["code"] for reason in made["reasons"]}


def test_only_users_who_may_change_a_webhook_route_its_events(api, pages, source):
    if pages.auth != "fab":
        return  # SimpleAuthManager's roles are for everything
    pages.role("orders alone", *LIMITED)
    ask = api("olga", "orders alone")
    body = {"name": new_name(), "dag_id": "orders"}
    assert ask("POST", "/webhooks", body).status_code == 201
    body["name"] = new_name()
    for name in (source.name, source.id, "there is none"):
        refused = ask("POST", "/webhooks", body | {"source": name})
        assert (refused.status_code, "permission to change it" in refused.text) == (403, True)
    own = store_webhook(new_name(), routes="all")
    assert ask("POST", "/webhooks", body | {"source": own.id}).status_code == 201


def test_a_source_with_routes_is_not_deleted(admin, source):
    from inbound_webhooks.webhooks import service

    draft = service.drafted(preset=None, name=new_name(), dag_id="orders", source=source.id)
    service.create(draft, actor=ACTOR)
    refused = admin("DELETE", f"/webhooks/{source.id}")
    assert (refused.status_code, f"get the events of '{source.name}'" in refused.text) == (422, True)


def test_the_api_shows_parent_children_and_routes(admin, source):
    parent, child = family(source)
    found = admin("GET", f"/deliveries/{parent}").json()
    assert ([each["id"] for each in found["children"]], found["children_total"]) == ([child], 1)
    assert [line["state"] for line in found["routes"]] == ["accepted", "filtered"]
    found = admin("GET", f"/deliveries/{child}").json()
    assert (found["parent_id"], found["item_index"]) == (parent, 17)
    assert "canary" in str(found["request"]["body"])
    listed = admin("GET", "/deliveries").json()["deliveries"]
    assert next(each for each in listed if each["id"] == child)["parent_id"] == parent


def test_a_user_sees_no_child_of_a_dag_that_they_may_not_read(api, pages, source):
    if pages.auth != "fab":
        return  # SimpleAuthManager's roles are for everything
    parent, child = family(source)
    rights = [(action, name.replace("orders", "billing")) for action, name in LIMITED]
    pages.role("billing alone", *rights)
    found = api("bill", "billing alone")("GET", f"/deliveries/{parent}")
    assert (found.status_code, child in found.text) == (200, False)
    assert child not in pages.client("bill", "billing alone").get(f"/delivery/{parent}").text


def test_a_user_sees_what_those_routes_made_of_an_event_that_they_may_see(api, pages, source):
    if pages.auth != "fab":
        return  # SimpleAuthManager's roles are for everything
    own, other = (store_webhook(new_name(), dag_id=dag_id) for dag_id in ("billing", "orders"))
    lines = [{"webhook_id": hook.id, "name": hook.name, "state": "filtered"} for hook in (own, other)] + [
        {"webhook_id": "0" * 22, "name": "one that was deleted", "state": "filtered"}
    ]
    parent = store_delivery(source, dag_id="billing", state="filtered", routes=json.dumps(lines), **BODY)
    pages.role("billing alone", *((action, name.replace("orders", "billing")) for action, name in LIMITED))
    found = api("bill", "billing alone")("GET", f"/deliveries/{parent}").json()
    assert [line["webhook"] for line in found["routes"]] == [own.name]
    page = pages.client("bill", "billing alone").get(f"/delivery/{parent}").text
    assert [name in page for name in (own.name, other.name, "one that was deleted")] == [True, False, False]
    assert len(api("ada")("GET", f"/deliveries/{parent}").json()["routes"]) == 3


def test_requests_of_a_source_without_a_target_need_the_right_to_the_runs_of_its_routes(api, pages):
    from inbound_webhooks.webhooks import service

    if pages.auth != "fab":
        return  # SimpleAuthManager's roles are for everything
    source = store_webhook(new_name(), dag_id="", routes="all")
    delivery = store_delivery(source, dag_id="", state="filtered", **BODY)
    pages.role("edits", ("can_read", "Webhooks"), ("can_edit", "Webhooks"))
    shown = [api("ed", "edits")("GET", f"/deliveries/{delivery}")]
    draft = service.drafted(preset=None, name=new_name(), dag_id="orders", source=source.id)
    service.create(draft, actor=ACTOR)
    shown.append(api("ed", "edits")("GET", f"/deliveries/{delivery}"))
    assert [(each.status_code, "canary" in each.text) for each in shown] == [(200, True), (200, False)]
    assert "canary" in api("ada")("GET", f"/deliveries/{delivery}").text


def test_pages_link_a_delivery_with_its_children(pages, source):
    parent, child = family(source)
    ada = pages.client("ada")
    page = ada.get(f"/delivery/{parent}").text
    assert f"/delivery/{child}" in page
    assert "Item 17" in page
    assert "to bill</strong> <span>no, its filter excludes it" in page
    of_child = ada.get(f"/delivery/{child}").text
    assert f"/delivery/{parent}" in of_child
    assert "canary" in of_child
    assert "↳ 17" in ada.get("/deliveries").text


def test_the_page_of_a_source_lists_its_routes_and_that_of_a_route_names_its_source(pages, source):
    from inbound_webhooks.webhooks import service

    draft = service.drafted(preset=None, name=new_name(), dag_id="orders", source=source.id)
    route = service.create(draft, actor=ACTOR)
    ada = pages.client("ada")
    assert route.name in ada.get(f"/hook/{source.id}").text
    page = ada.get(f"/hook/{route.id}").text
    assert source.name in page
    assert "has no URL of its own" in page
