"""Users with all rights to one DAG, under FabAuthManager: what they see and change of others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.infrastructure.webhooks_builder import ACTOR, change_webhook, rows, store_delivery, store_webhook
from tests.integration.rest.conftest import new_name
from tests.integration.web.conftest import made
from tests.integration.web.site import Site
from tests.integration.web.test_listening_page import capture

BODY = {"body": b'{"canary": 1}', "headers": '[["Content-Type", "application/json"]]'}
RIGHTS = (
    *((action, "Webhooks") for action in ("can_read", "can_create", "can_edit", "can_delete")),
    *((action, "DAG:orders") for action in ("can_read", "can_edit")),
    *((action, "DAG Runs") for action in ("can_read", "can_create", "can_edit")),
)
"""FAB's rights to runs are for all DAGs, and count for those that the user has the right to."""


@pytest.fixture(scope="module")
def pages(pytestconfig: pytest.Config, template_of) -> Iterator[Site]:
    yield from made("fab", template_of(pytestconfig.getoption("database") or "postgresql"))


@pytest.fixture
def olga(api, pages):
    pages.role("orders alone", *RIGHTS)
    return api("olga", "orders alone")


def route_to(source, dag_id: str, **fields):
    from inbound_webhooks.webhooks import service

    given = {"name": new_name(), "dag_id": dag_id, "source": source.id} | fields
    draft = service.drafted(preset=None, **given)
    return service.create(draft, actor=ACTOR)


def test_a_hold_of_all_by_them_does_not_cover_the_webhooks_that_others_create(api, olga):
    from inbound_webhooks.webhooks import service

    for row in rows("webhook"):
        service.delete(row.id, actor=ACTOR)
    own = store_webhook(new_name(), dag_id="orders")
    held = olga("POST", "/holdOfAll").json()
    assert (held["changed"], held["covers_new"]) == (1, False)
    created = api("ada")("POST", "/webhooks", {"name": new_name(), "dag_id": "billing"}).json()
    assert created["held_by_all"] is False
    api("ada")("POST", "/holdOfAll")
    service.delete(created["id"], actor=ACTOR)
    olga("POST", "/holdOfAll/release")
    assert olga("GET", f"/webhooks/{own.id}").json()["held_by_all"] is False
    assert olga("GET", "/holdOfAll").json()["is_on"] is True
    api("ada")("POST", "/holdOfAll/release")


def test_they_neither_see_nor_cancel_a_replay_of_deliveries_without_a_dag(api, olga):
    hook = store_webhook(new_name(), dag_id="", asset="s3://shop/bills")
    delivery = store_delivery(hook, dag_id="", asset="s3://shop/bills", state="failed", **BODY)
    job = api("ada")("POST", "/replays", {"ids": [delivery]}).json()["id"]
    assert olga("GET", f"/deliveries/{delivery}").status_code == 404
    assert job not in olga("GET", "/replays").text
    assert olga("GET", f"/replays/{job}").status_code == 404
    assert olga("POST", f"/replays/{job}/cancel").status_code == 404


def test_a_preview_names_no_route_that_they_may_not_see(api, olga):
    source = store_webhook(new_name(), dag_id="orders", routes="all")
    own, other = route_to(source, "orders"), route_to(source, "billing", mapping={"amount": "9876"})
    request = {"body": '{"n": 1}', "headers": [["Content-Type", "application/json"]]}
    shown = olga("POST", f"/webhooks/{source.id}/try", request)
    assert shown.status_code == 200
    assert own.name in [line["webhook"] for line in shown.json()["routes"]]
    assert (other.name in shown.text, "9876" in shown.text) == (False, False)
    assert "9876" in api("ada")("POST", f"/webhooks/{source.id}/try", request).text


def test_a_back_test_names_no_route_that_they_may_not_see(olga):
    source = store_webhook(new_name(), dag_id="orders", routes="all")
    route_to(source, "orders")
    other = route_to(source, "billing", mapping={"amount": "9876"})
    store_delivery(source, dag_id="orders", state="split", **BODY)
    shown = olga("POST", f"/webhooks/{source.id}/backTest", {"draft": {"filter": "body.canary == 2"}})
    assert (shown.status_code, shown.json()["changed"]) == (200, 1)
    assert (other.name in shown.text, "9876" in shown.text) == (False, False)


def test_a_refused_change_names_no_route_that_they_may_not_see(olga):
    source = store_webhook(new_name(), dag_id="orders", routes="all")
    other = route_to(source, "billing", name="secret route")
    for refused in (
        olga("DELETE", f"/webhooks/{source.id}"),
        olga("PATCH", f"/webhooks/{source.id}", {"routes": None}),
    ):
        assert (refused.status_code, other.name in refused.text) == (422, False)


def test_the_problem_of_a_route_names_no_source_that_they_may_not_see(olga):
    source = store_webhook("secret source", dag_id="billing", routes="all")
    route = route_to(source, "orders")
    change_webhook(source.id, enabled=False)
    shown = olga("GET", f"/webhooks/{route.id}").json()
    assert "source-disabled" in [reason["code"] for reason in shown["reasons"]]
    assert "secret source" not in str(shown)


def test_they_do_not_route_the_events_of_a_source_whose_requests_they_may_not_read(olga):
    source = store_webhook(new_name(), dag_id="", routes="all")
    delivery = store_delivery(source, dag_id="", state="split", **BODY)
    route_to(source, "billing")
    assert "canary" not in olga("GET", f"/deliveries/{delivery}").text
    body = {"name": new_name(), "dag_id": "orders", "source": source.id}
    assert olga("POST", "/webhooks", body).status_code == 403


def test_they_do_not_give_themselves_requests_that_they_may_not_read(olga):
    source = store_webhook(new_name(), dag_id="", routes="all")
    delivery = store_delivery(source, dag_id="", state="split", **BODY)
    route_to(source, "billing")
    for fields in ({"waiting_dags": ["orders"]}, {"dag_id": "orders"}):
        assert olga("PATCH", f"/webhooks/{source.id}", fields).status_code == 403
    assert "canary" not in olga("GET", f"/deliveries/{delivery}").text


def test_a_webhook_that_becomes_theirs_shows_no_request_that_was_captured_before(api, pages, olga):
    hook = store_webhook(new_name(), dag_id="billing")
    ada, theirs = pages.client("ada"), pages.client("olga", "orders alone")
    ada.post(f"/hook/{hook.id}/listen")
    capture(hook, body=b'{"canary": 1}')
    assert "canary" in ada.get(f"/hook/{hook.id}/listener").text
    assert api("ada")("PATCH", f"/webhooks/{hook.id}", {"dag_id": "orders"}).status_code == 200
    shown = [theirs.get(f"/hook/{hook.id}{part}") for part in ("", "/listener")]
    assert [(each.status_code, "canary" in each.text) for each in shown] == [(200, False), (286, False)]
    assert theirs.post(f"/hook/{hook.id}/listen").status_code == 303
