"""Webhooks without a DAG: how they are refused, and what they show to whom, under both auth managers."""

from __future__ import annotations

import pytest
import yaml

from inbound_webhooks.records.target import NO_TARGET
from tests.infrastructure.webhooks_builder import (
    change_webhook,
    store_delivery,
    store_rejection,
    store_webhook,
    token_of,
)
from tests.integration.rest.conftest import new_name

ASSET = "s3://shop/orders"
BODY = {"body": b'{"canary": 1}', "headers": '[["Content-Type", "application/json"]]'}


@pytest.fixture
def of_asset(pages):
    return store_webhook(new_name(), dag_id="", asset=ASSET)


@pytest.fixture
def of_nothing(pages):
    """As a webhook is whose deliveries only others use."""
    hook = store_webhook(new_name())
    change_webhook(hook.id, dag_id="")
    return hook


def listed(ask) -> list[str]:
    return [each["id"] for each in ask("GET", "/webhooks").json()["webhooks"]]


def shown(ask, delivery_id: str) -> tuple[int, bool]:
    """The status of a delivery, and whether it has its request."""
    response = ask("GET", f"/deliveries/{delivery_id}")
    return response.status_code, "canary" in response.text


def role(pages, name: str, *permissions: tuple[str, str]) -> str:
    pages.role(name, *permissions)
    return name


def test_a_webhook_without_a_target_is_refused_everywhere_with_one_sentence(admin, webhooks, pages, tmp_path):
    name, file = new_name(), tmp_path / "hooks.yaml"
    file.write_text(yaml.safe_dump({"webhooks": [{"name": name}]}))
    form = {"name": name, "dag_id": "", "disabled_status": "403", "invalid_status": "422"}
    form |= {"response_content_type": "application/json", "action": "save"}
    answers = [
        admin("POST", "/webhooks", {"name": name}).text,
        admin("PATCH", f"/webhooks/{store_webhook(new_name()).id}", {"dag_id": None}).text,
        webhooks("create", name).err,
        webhooks("import", str(file)).err,
        webhooks("check", str(file)).out,
        pages.client("ada").post("/new", form, script=True).text,
    ]
    assert [answer for answer in answers if NO_TARGET[1:] not in answer] == []


def test_rest_shows_null_for_no_dag(admin, of_asset):
    found = admin("GET", f"/webhooks/{of_asset.id}").json()
    assert (found["dag_id"], found["asset"]) == (None, ASSET)
    delivery = store_delivery(of_asset, dag_id="", asset=ASSET)
    found = admin("GET", f"/deliveries/{delivery}").json()
    assert (found["run"]["dag_id"], found["asset"]) == (None, ASSET)


def test_an_export_leaves_the_dag_out(admin, webhooks, of_asset):
    (entry,) = yaml.safe_load(webhooks("export", of_asset.name).out)["webhooks"]
    assert entry == {"name": of_asset.name, "asset": ASSET}


@pytest.mark.parametrize(
    ("name", "statuses"),
    [("Viewer", (200, 403, False)), ("Op", (200, 200, True)), ("Admin", (200, 200, True))],
)
def test_creating_events_of_an_asset_is_what_changing_its_webhook_needs(api, of_asset, name, statuses):
    ask = api(f"{name} of assets", name)
    seen = ask("GET", f"/webhooks/{of_asset.id}")
    changed = ask("POST", f"/webhooks/{of_asset.id}/disable")
    has_url = token_of(of_asset.id) in seen.text
    assert (seen.status_code, changed.status_code, has_url) == statuses
    assert of_asset.id in listed(ask)
    body = {"name": new_name(), "asset": ASSET}
    assert ask("POST", "/webhooks", body).status_code == (201 if changed.status_code == 200 else 403)


def test_the_right_to_dags_alone_shows_no_webhook_of_an_asset(api, pages, of_asset):
    if pages.auth != "fab":
        return  # SimpleAuthManager's roles are for everything
    delivery = store_delivery(of_asset, dag_id="", asset=ASSET, state="succeeded", **BODY)
    store_rejection(of_asset)
    dags = (
        ("can_read", "Webhooks"),
        ("can_edit", "Webhooks"),
        ("can_read", "DAGs"),
        ("can_read", "DAG Runs"),
    )
    ask = api("dora", role(pages, "dags alone", *dags))
    assert ask("GET", f"/webhooks/{of_asset.id}").status_code == 404
    assert shown(ask, delivery) == (404, False)
    assert of_asset.id not in listed(ask)
    found = ask("GET", "/deliveries").json()
    assert (delivery in str(found), delivery in ask("GET", "/deliveries/search").text) == (False, False)
    assert found["total_entries"] == len(found["deliveries"])
    pages_of = pages.client("dora", "dags alone")
    assert of_asset.name not in pages_of.get("/").text + pages_of.get("/rejections").text
    assert delivery not in pages_of.get("/deliveries").text


def test_the_right_to_assets_alone_shows_a_webhook_of_an_asset_with_its_requests(api, pages, of_asset):
    if pages.auth != "fab":
        return  # SimpleAuthManager's roles are for everything
    delivery = store_delivery(of_asset, dag_id="", asset=ASSET, state="succeeded", **BODY)
    store_rejection(of_asset)
    ask = api("anna", role(pages, "assets alone", ("can_read", "Webhooks"), ("can_read", "Assets")))
    assert shown(ask, delivery) == (200, True)
    assert ask("POST", f"/webhooks/{of_asset.id}/disable").status_code == 403
    assert of_asset.id in listed(ask)
    found = ask("GET", "/deliveries").json()
    assert delivery in str(found)
    assert found["total_entries"] == len(found["deliveries"])
    assert delivery in ask("GET", "/deliveries/search").text
    pages_of = pages.client("anna", "assets alone")
    assert of_asset.name in pages_of.get("/").text
    assert of_asset.name in pages_of.get("/rejections").text
    assert delivery in pages_of.get("/deliveries").text


def test_the_right_to_create_events_is_enough_for_a_webhook_of_an_asset(pages):
    if pages.auth != "fab":
        return  # SimpleAuthManager's roles are for everything
    view = (("can_read", "Webhooks"), ("can_create", "Webhooks"))
    client = pages.client(
        "eva", role(pages, "creates", *view, ("can_read", "Assets"), ("can_create", "Assets"))
    )
    assert client.get("/new").status_code == 200
    form = {"name": new_name(), "asset": ASSET, "disabled_status": "403", "invalid_status": "422"}
    form |= {"response_content_type": "application/json", "enabled": "1", "action": "save"}
    assert client.post("/new", form, script=True).status_code == 200
    refused = client.post("/new", form | {"name": new_name(), "asset": "", "dag_id": "orders"}, script=True)
    assert (refused.status_code, list(refused.json["problems"])) == (422, ["dag_id"])


def test_the_view_alone_shows_a_webhook_that_starts_nothing_without_its_requests(api, pages, of_nothing):
    if pages.auth != "fab":
        return  # SimpleAuthManager's roles are for everything
    delivery = store_delivery(of_nothing, dag_id="", state="succeeded", **BODY)
    reader = api("rita", role(pages, "reads", ("can_read", "Webhooks")))
    editor = api("ed", role(pages, "edits", ("can_read", "Webhooks"), ("can_edit", "Webhooks")))
    assert (shown(reader, delivery), shown(editor, delivery)) == ((200, False), (200, True))
    assert of_nothing.id in listed(reader)
    assert reader("POST", f"/webhooks/{of_nothing.id}/disable").status_code == 403
    assert editor("POST", f"/webhooks/{of_nothing.id}/disable").status_code == 200


def test_deliveries_of_a_deleted_webhook_without_a_dag_are_for_those_who_see_all_dags(api, pages, of_nothing):
    from inbound_webhooks.webhooks import service

    delivery = store_delivery(of_nothing, dag_id="", state="succeeded", **BODY)
    service.delete(of_nothing.id, actor="a tester")
    assert shown(api("ada"), delivery) == (200, True)
    assert delivery in api("ada")("GET", "/deliveries/search").text
    if pages.auth == "fab":
        one_dag = [("can_read", "DAG:orders"), ("can_read", "DAG Runs")]
        for name, rights in (("reads", []), ("reads the runs of one", one_dag)):
            ask = api(f"rita {name}", role(pages, name, ("can_read", "Webhooks"), *rights))
            assert shown(ask, delivery) == (404, False)
            assert delivery not in ask("GET", "/deliveries/search").text + ask("GET", "/deliveries").text


def test_a_delivery_keeps_the_permission_on_its_own_asset(api, pages, of_nothing):
    """The webhook has another target by now."""
    if pages.auth != "fab":
        return
    delivery = store_delivery(of_nothing, dag_id="", asset=ASSET, state="succeeded", **BODY)
    ask = api("rita", role(pages, "reads", ("can_read", "Webhooks")))
    assert shown(ask, delivery) == (404, False)
    assert delivery not in ask("GET", "/deliveries/search").text + ask("GET", "/deliveries").text


@pytest.mark.parametrize("kind", ["of_asset", "of_nothing"])
def test_every_page_of_a_webhook_without_a_dag_is_there(pages, request, kind):
    hook = request.getfixturevalue(kind)
    asset = ASSET if kind == "of_asset" else None
    states = ("accepted", "succeeded", "failed", "undeliverable", "refused", "unmatched")
    deliveries = [store_delivery(hook, dag_id="", asset=asset, state=state, **BODY) for state in states]
    store_rejection(hook)
    ada = pages.client("ada")
    paths = ["/", "/?text=webhook", "/?state=broken", "/?sort=dag", "/deliveries", "/rejections", "/activity"]
    paths += [f"/hook/{hook.id}{part}" for part in ("", "/deliveries", "/activity", "/export")]
    paths += [f"/delivery/{each}{part}" for each in deliveries for part in ("", "/live")]
    found = {path: ada.get(path) for path in paths}
    assert {
        path: response.status_code
        for path, response in found.items()
        if response.status_code not in (200, 286)
    } == {}
    assert [
        path for path, response in found.items() if 'dags/"' in response.text or "dags//" in response.text
    ] == []
    assert hook.name not in found["/?state=broken"].text
