"""No page is a dead end: errors lead back, and the address of an action can be loaded again."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import store_delivery, store_webhook
from tests.integration.web.route_table import ACTIONS
from tests.integration.web.site import BASE, ROOT

LIST = f"/pluginsv2{ROOT}/"


@pytest.fixture(scope="module")
def hook(pages):
    store_dag("orders")
    return store_webhook("a way back", dag_id="orders")


@pytest.fixture(scope="module")
def delivery(hook):
    return store_delivery(hook, dag_id="orders", state="succeeded")


@pytest.mark.parametrize("path", sorted(ACTIONS))
def test_the_address_of_an_action_leads_to_the_page_of_its_form(pages, hook, delivery, path):
    values = {"webhook_id": hook.id, "delivery_id": delivery, "dag_id": "orders"}
    for name, value in values.items():
        path = path.replace(f"<{name}>", value)
    admin = pages.client("ada")
    response = admin.get(path.removeprefix(ROOT))
    assert response.status_code == 303
    page = urlsplit(response.location).path.removeprefix("/pluginsv2").removeprefix(ROOT)
    assert admin.get(page).status_code == 200


def test_an_error_page_leads_back_and_to_all_webhooks(pages, hook):
    came_from = f"{BASE}{ROOT}/hook/{hook.id}"
    page = pages.client("ada").get("/hook/nothing", headers={"Referer": came_from})
    assert page.status_code == 404
    assert f'href="{LIST}hook/{hook.id}">Back' in page.text
    assert f'href="{LIST}">All webhooks' in page.text


@pytest.mark.parametrize("referer", ["https://evil.example/webhooks/", f"{BASE}{ROOT}/hook/nothing", ""])
def test_an_error_page_leads_to_the_list_where_the_user_came_from_elsewhere(pages, hook, referer):
    page = pages.client("ada").get("/hook/nothing", headers={"Referer": referer})
    assert f'href="{LIST}">Back' in page.text


def test_a_failed_action_leaves_the_user_on_the_page_with_a_message(pages, hook):
    viewer = pages.client("vera", "Viewer")
    back = f"{LIST}?text=way"
    response = viewer.post(f"/hook/{hook.id}/enabled", {"enabled": "0", "back": back})
    assert (response.status_code, response.location) == (303, back)
    page = viewer.get("/", query_string={"text": "way"}).text
    assert 'class="toast bad">Changing this webhook requires the permission' in page


def post_from(client, page: str, hook):
    """Sends the form for the deletion of a webhook; the browser says that it was on this page."""
    form, path = {"csrf_token": client.csrf_token()}, f"{ROOT}/hook/{hook.id}/delete"
    return client.browser.post(path, data=form, base_url=BASE, headers={"Referer": page})


def test_a_failed_action_whose_form_names_no_page_leads_back_by_the_browsers_word(pages, hook):
    viewer = pages.client("vera", "Viewer")
    page = f"{BASE}{ROOT}/hook/{hook.id}"
    own = post_from(viewer, page, hook)
    assert (own.status_code, urlsplit(own.location).path) == (303, f"{LIST}hook/{hook.id}")
    foreign = post_from(viewer, page.replace("localhost", "evil.example"), hook)
    assert foreign.status_code == 403


def test_a_failed_action_never_leads_to_another_site(pages, hook):
    viewer = pages.client("vera", "Viewer")
    for back in ("https://evil.example/", "//evil.example/webhooks/", f"{LIST}\\evil", "/home"):
        response = viewer.post(f"/hook/{hook.id}/enabled", {"enabled": "0", "back": back})
        assert response.status_code == 403
        assert "evil" not in response.text


def test_after_a_deletion_on_a_dags_tab_the_list_of_that_dag_is_shown(pages):
    gone = store_webhook("soon gone", dag_id="orders")
    form = {"confirmed": "1", "back": f"{LIST}hook/{gone.id}", "home": f"{LIST}dag/orders"}
    response = pages.client("ada").post(f"/hook/{gone.id}/delete", form)
    assert response.location == f"{LIST}dag/orders"


def test_the_login_leads_back_to_the_page_or_to_the_window_that_shows_it(pages, hook):
    page = f"{BASE}{ROOT}/hook/{hook.id}"
    window = "http://localhost/dags/orders/plugin/webhooks-of-dag"
    for referer, expected in (("", page), (window, window), ("https://evil.example/", page)):
        answer = pages.client().get(f"/hook/{hook.id}", headers={"Referer": referer})
        assert answer.status_code == 401
        login = answer.text.split('class="button primary" href="')[1].split('"')[0]
        assert parse_qs(urlsplit(login).query)["next"] == [expected]


def test_a_request_of_htmx_without_a_login_gets_a_message_with_the_way_to_it(pages, hook):
    answer = pages.client().get("/rows", headers={"HX-Request": "true"})
    message = json.loads(answer.headers["HX-Trigger"])["toast"]
    assert (answer.status_code, answer.text, message["tone"]) == (401, "", "bad")
    assert "login" in message["login"]
