"""What the API makes of webhooks and deliveries, and how it reports what is wrong."""

from __future__ import annotations

import json

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.outdated_tables import RUN_MIGRATE, outdated_tables
from tests.infrastructure.webhooks_builder import (
    change_webhook,
    store_delivery,
    store_rejection,
    store_webhook,
)
from tests.integration.rest.conftest import new_name

SECRET = "canary-of-the-secret-0123456789abcdef"
HEADERS = json.dumps([["Content-Type", "application/json"]])

HEADERS_OF_JSON = [["Content-Type", "application/json"]]


def test_a_webhook_is_created_once_and_its_secret_is_never_shown(admin):
    body = {
        **{"name": new_name(), "dag_id": "orders", "preset": "github"},
        **{"secrets": {"signing": SECRET}, "mapping": {"ref": "${Webhook::Body.ref}"}},
    }
    made, again = admin("POST", "/webhooks", body), admin("POST", "/webhooks", body)
    other = admin("POST", "/webhooks", body | {"filter": "body.a"})
    assert [response.status_code for response in (made, again, other)] == [201, 200, 409]
    assert made.json()["id"] == again.json()["id"]
    assert (made.json()["preset"], made.json()["mapping"]) == ("github", body["mapping"])
    assert made.json()["url"].count(made.json()["id"]) == 1
    assert SECRET not in made.text + again.text + other.text


def test_outdated_tables_are_reported_with_the_fix(admin):
    with outdated_tables():
        response = admin("GET", "/webhooks")
    assert (response.status_code, response.json()) == (503, {"detail": RUN_MIGRATE})
    assert "Retry-After" in response.headers


def test_the_id_of_another_webhook_is_refused_as_a_name(admin):
    hook, other = store_webhook(new_name()), store_webhook(new_name())
    made = admin("POST", "/webhooks", {"name": hook.id, "dag_id": "orders"})
    renamed = admin("PATCH", f"/webhooks/{other.id}", {"name": hook.id})
    for response in (made, renamed):
        (detail,) = response.json()["detail"]
        assert (response.status_code, detail["loc"]) == (422, ["body", "name"])
        assert detail["msg"] == "it is the id of another webhook; choose another name"


def test_a_webhook_that_has_such_a_name_already_is_found_again_by_it(admin):
    hook, other = store_webhook(new_name()), store_webhook(new_name())
    change_webhook(other.id, name=hook.id)
    again = admin("POST", "/webhooks", {"name": hook.id, "dag_id": "orders"})
    assert (again.status_code, again.json()["id"]) == (200, other.id)


def test_a_patch_changes_what_it_says_and_nothing_else(admin):
    hook = store_webhook(new_name(), mapping={"a": "1"}, max_per_second=5)
    patched = admin("PATCH", f"/webhooks/{hook.id}", {"filter": "body.a", "max_per_second": None}).json()
    assert (patched["filter"], patched["max_per_second"], patched["mapping"]) == ("body.a", None, {"a": "1"})
    assert patched["version"] == 2


def test_a_patch_of_a_webhook_that_has_changed_is_refused(admin):
    hook = store_webhook(new_name())
    assert admin("PATCH", f"/webhooks/{hook.id}", {"filter": "body.a", "version": 7}).status_code == 409


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"filter": "body.("}, ["body", "filter"]),
        ({"filtr": "x"}, ["body", "filtr"]),
        ({"enabled": None}, ["body", "enabled"]),
    ],
    ids=str,
)
def test_a_field_that_cannot_be_used_is_reported_as_airflow_does(admin, fields, place):
    response = admin("POST", "/webhooks", {"name": new_name(), "dag_id": "orders"} | fields)
    (detail,) = response.json()["detail"]
    assert (response.status_code, detail["loc"]) == (422, place)
    assert detail["msg"]


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("", {"name": "new", "dag_id": "orders", "proofs": []}, ["body", "proofs"]),
        ("/{id}/try", {"draft": {"proofs": []}}, ["body", "draft", "proofs"]),
        ("/{id}/backTest", {"draft": {"proofs": []}}, ["body", "draft", "proofs"]),
    ],
)
def test_a_field_with_its_old_name_is_answered_with_the_new_one(admin, path, body, place):
    hook = store_webhook(new_name())
    response = admin("POST", f"/webhooks{path}".format(id=hook.id), body)
    (detail,) = response.json()["detail"]
    assert (response.status_code, detail["loc"]) == (422, place)
    assert detail["msg"] == "proofs is now `verification`"


def test_a_patch_with_an_old_name_is_answered_with_the_new_one(admin):
    response = admin("PATCH", f"/webhooks/{store_webhook(new_name()).id}", {"proofs": []})
    assert response.status_code == 422
    assert "proofs is now `verification`" in response.text


def test_a_list_has_pages_and_an_order(admin):
    for name in ("page a", "page b", "page c"):
        store_webhook(name, dag_id="paged")
    store_dag("paged")
    query = "/webhooks?dag_id=paged&order_by=-name&limit=2&offset=1"
    response = admin("GET", query).json()
    assert ([hook["name"] for hook in response["webhooks"]], response["total_entries"]) == (
        ["page b", "page a"],
        3,
    )
    assert admin("GET", "/webhooks?order_by=token").status_code == 400
    assert admin("GET", "/webhooks?limit=-1").status_code == 422


def test_it_is_enabled_disabled_rotated_and_deleted(admin):
    hook = store_webhook(new_name())
    path = f"/webhooks/{hook.id}"
    assert [admin("POST", f"{path}/{what}").json()["enabled"] for what in ("disable", "enable")] == [
        False,
        True,
    ]
    assert hook.token not in admin("POST", f"{path}/rotate", {}).json()["url"]
    assert [admin(method, path).status_code for method in ("DELETE", "GET")] == [204, 404]


def test_a_request_and_a_change_are_tried(admin):
    hook = store_webhook(new_name(), mapping={"n": "${Webhook::Body.n}"})
    store_delivery(hook, body=b'{"n": 1}', headers=HEADERS)
    path, draft = f"/webhooks/{hook.id}", {"mapping": {"n": "2"}}
    tried = admin("POST", f"{path}/try", {"body": '{"n": 5}', "headers": HEADERS_OF_JSON}).json()
    tested = admin("POST", f"{path}/backTest", {"last": 5, "draft": draft}).json()
    assert (tried["state"], tried["conf"]) == ("accepted", {"n": 5})
    assert (tested["judged"], tested["changed"]) == (1, 1)
    assert tested["deliveries"][0]["changes"] == [{"field": "conf.n", "before": 1, "after": "2"}]


def test_deliveries_are_listed_read_and_replayed(admin):
    hook = store_webhook(new_name())
    ids = [store_delivery(hook, body=b"{}", headers=HEADERS, state="succeeded") for _ in range(3)]
    listed = admin("GET", f"/deliveries?webhook_id={hook.id}&state=succeeded&limit=2").json()
    assert [one["id"] for one in listed["deliveries"]] == ids[:0:-1]
    assert (listed["total_entries"], admin("GET", f"/deliveries/{ids[0]}").json()["conf"]) == (3, {})
    replayed = admin("POST", f"/deliveries/{ids[0]}/replay")
    assert (replayed.status_code, replayed.json()["replay_of"]) == (201, ids[0])
    assert admin("GET", "/deliveries?state=lost").status_code == 400


def test_the_api_describes_itself_with_examples(admin):
    schemas = admin("GET", "/openapi.json").json()["components"]["schemas"]
    for name in ("WebhookBody", "TryBody", "BackTestBody"):
        assert schemas[name]["examples"], name


def test_the_same_webhook_with_another_secret_is_another_one(admin):
    body = {"name": new_name(), "dag_id": "orders", "preset": "github", "secrets": {"signing": SECRET}}
    again = body | {"secrets": {"signing": f"{SECRET} of today"}}
    assert [admin("POST", "/webhooks", one).status_code for one in (body, again, body)] == [201, 409, 200]


def test_a_list_of_deliveries_goes_on_behind_its_cursor(admin):
    hook = store_webhook(new_name())
    ids = [store_delivery(hook, state=state) for state in ("failed", "succeeded", "failed")]
    path = f"/deliveries?webhook_id={hook.id}"
    first = admin("GET", f"{path}&cursor={ids[2]}").json()
    upwards = admin("GET", f"{path}&order_by=id&cursor={ids[0]}&state=failed").json()
    assert [one["id"] for one in first["deliveries"]] == [ids[1], ids[0]]
    assert ([one["id"] for one in upwards["deliveries"]], upwards["total_entries"]) == ([ids[2]], 1)
    assert first["next_cursor"] is None


def test_rejections_are_listed_in_both_orders_and_read(admin):
    hook = store_webhook(new_name())
    ids = [store_rejection(hook, reason=reason) for reason in ("one", "two")]
    path = f"/webhooks/{hook.id}/rejections"
    down, up = (admin("GET", f"{path}{query}").json() for query in ("", "?order_by=rejected_at"))
    assert [one["id"] for one in down["rejections"]] == ids[::-1]
    assert [one["id"] for one in up["rejections"]] == ids
    assert admin("GET", f"{path}/{ids[0]}").json()["reason"] == "one"
    assert admin("GET", f"{path}/{10**30}").status_code == 404


def test_the_activity_of_a_webhook_is_that_of_its_page(admin):
    hook = store_webhook(new_name())
    for state in ("succeeded", "failed", "failed"):
        store_delivery(hook, state=state)
    found = admin("GET", f"/webhooks/{hook.id}/activity?hours=2").json()
    assert (found["webhook_id"], found["is_complete"], len(found["hours"])) == (hook.id, True, 2)
    assert (found["total"]["deliveries"], found["total"]["states"]) == (3, {"succeeded": 1, "failed": 2})
    for hours in ("0", "745", "many"):
        assert admin("GET", f"/webhooks/{hook.id}/activity?hours={hours}").status_code == 422


def test_it_is_put_on_hold_and_released_at_a_rate(admin):
    path = f"/webhooks/{store_webhook(new_name()).id}"
    held = admin("POST", f"{path}/hold").json()
    assert (held["hold"], next(reason["code"] for reason in held["reasons"])) == ("held", "held")
    released = admin("POST", f"{path}/release", {"per_minute": 60, "window": "22:00-06:00"}).json()
    assert [released[name] for name in ("hold", "release_per_minute", "release_window")] == [
        "releasing",
        60,
        "22:00-06:00",
    ]
    refused = admin("POST", f"{path}/release", {"window": "at night"})
    assert (refused.status_code, "no window of time" in refused.text) == (422, True)


def test_all_are_put_on_hold_and_released(admin):
    path = f"/webhooks/{store_webhook(new_name()).id}"
    held = admin("POST", "/holdOfAll").json()
    assert (held["not_permitted"], held["covers_new"]) == ([], True)
    found = admin("GET", "/holdOfAll").json()
    assert (found["is_on"], found["actor"]) == (True, "ada")
    assert admin("GET", path).json()["held_by_all"]
    assert admin("POST", "/holdOfAll/release").json()["covers_new"] is False
    assert not admin("GET", path).json()["held_by_all"]


def test_a_refused_preview_has_the_parameters_as_computed(admin):
    from airflow.sdk import Param

    store_dag("limited", params={"n": Param(type="integer", minimum=10), "missing": Param(type="string")})
    hook = store_webhook(new_name(), dag_id="limited", mapping={"n": "${Webhook::Body.n}"})
    request = {"body": '{"n": 12}', "headers": HEADERS_OF_JSON}
    tried = admin("POST", f"/webhooks/{hook.id}/try", request).json()
    assert (tried["state"], tried["conf"], tried["computed"]) == ("refused", None, {"n": 12})
