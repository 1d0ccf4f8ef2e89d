"""A delivery's page in a real browser: why it failed, what happens to it, what came in and went out."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest

from tests.acceptance.browser import RUN_MILLISECONDS, Person, axe_problems
from tests.acceptance.webhooks import SHOPIFY_MAPPING, Webhook, create, deliver, maps, post

ORDER = {
    "id": 1,
    "currency": "EUR",
    "customer": {"name": "Ada"},
    "line_items": [{"quantity": 1, "price": "9"}],
}
CLIPBOARD = "() => navigator.clipboard.readText()"


@pytest.fixture(scope="module")
def orders(airflow) -> Webhook:
    """A webhook whose response is a template of its own."""
    airflow.wait_for_dag("order_pipeline")
    template = '{"got": "${Webhook::Body.currency}", "by": "${Webhook::Headers.Authorization}"}'
    arguments = ("--dag-id", "order_pipeline", *maps(SHOPIFY_MAPPING), "--response-template", template)
    return create(airflow, "orders to look into", *arguments)


def refused(orders: Webhook) -> str:
    response = post(
        orders, json.dumps(ORDER | {"id": "seven"}).encode(), {"Authorization": "Bearer s3cret-one"}
    )
    assert response.status_code == 422, response.text
    return str(response.json()["delivery_id"])


def of_run(delivery_id: str) -> str:
    return f"dags/event_log/runs/webhook__{delivery_id}/plugin/webhook-of-run"


def test_a_user_finds_out_within_five_clicks_why_a_delivery_failed(person, airflow, orders):
    delivery_id = refused(orders)
    clicks = [
        lambda: person.page.get_by_role("button", name="Browse").click(),
        lambda: person.page.get_by_role("menuitem", name="Webhooks").click(),
        lambda: person.frame.get_by_role("link", name=orders.name, exact=True).click(),
        lambda: person.frame.get_by_role("link", name="Deliveries", exact=True).click(),
        lambda: person.frame.locator(f'a[href$="/delivery/{delivery_id}"]').click(),
    ]
    for click in clicks:
        click()
    cause = person.frame.get_by_text("parameter order_id: expected integer, not string")
    cause.first.wait_for()
    person.frame.get_by_role("link", name="Edit mapping").click()
    field = person.frame.get_by_label("Expression for order_id")
    field.wait_for()
    assert field.input_value() == SHOPIFY_MAPPING["order_id"]


@pytest.mark.long
@pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)
def test_a_page_follows_its_delivery_and_a_replay_to_the_end_without_a_reload(person, airflow):
    airflow.wait_for_dag("event_log")
    hook = create(airflow, "one to follow", "--dag-id", "event_log")
    delivery_id = deliver(hook, b'{"hello": "world"}')
    page = person.page
    person.open(f"pluginsv2/webhooks/delivery/{delivery_id}")
    page.get_by_role("tab", name="Run").click()
    page.evaluate("window.isTheSame = true")
    page.locator(".timeline .step", has_text="Run succeeded").wait_for(timeout=RUN_MILLISECONDS)
    # Its other part changes as well, and the chosen tab stays.
    page.locator("#delivery-run").get_by_text("Tasks").wait_for(timeout=RUN_MILLISECONDS)
    assert page.get_by_role("tab", name="Run").get_attribute("aria-selected") == "true"
    assert page.evaluate("window.isTheSame")

    frame = person.open(of_run(delivery_id))
    frame.get_by_role("button", name="Replay", exact=True).click()
    replays = frame.locator(".replays")
    replays.locator(".badge", has_text=re.compile("^succe", re.IGNORECASE)).wait_for(timeout=RUN_MILLISECONDS)
    assert frame.get_by_text("Replay of").count() == 0
    replays.get_by_role("link", name="Its run").click()
    page.wait_for_url(re.compile("/dags/event_log/runs/webhook__(?!" + delivery_id + ")"))


@pytest.mark.long
@pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)
def test_the_response_and_the_command_are_those_of_the_request(person, orders):
    delivery_id = refused(orders)
    accepted = post(orders, json.dumps(ORDER).encode(), {"Authorization": "Bearer s3cret-one"})
    assert accepted.json() == {"got": "EUR", "by": "Bearer s3cret-one"}
    page = person.page
    person.open(f"pluginsv2/webhooks/delivery/{delivery_id}#response")
    assert "expected integer" in page.locator("#response-tree").inner_text()
    page.get_by_role("tab", name="Request").click()
    page.get_by_role("button", name="Copy as curl").click()
    page.get_by_role("button", name="Copied").wait_for()
    command = page.evaluate(CLIPBOARD)
    assert "s3cret" not in command
    done = subprocess.run(
        ["bash", "-c", command.replace("curl ", "curl -sS --noproxy '*' ")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["error"] == "parameter order_id: expected integer, not string"


@pytest.mark.long
@pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)
def test_the_link_of_a_mail_opens_the_delivery_inside_of_airflows_frame(person, orders):
    delivery_id = refused(orders)
    frame = person.open(f"plugin/webhooks?delivery={delivery_id}")
    frame.get_by_text("parameter order_id: expected integer, not string").first.wait_for()
    assert person.page.get_by_role("button", name="Browse").is_visible()
    # The list is still reachable.
    frame.get_by_role("navigation", name="Breadcrumb").get_by_role("link", name="Webhooks").click()
    frame.get_by_role("heading", name="Webhooks", exact=True).wait_for()
    evil = person.open("plugin/webhooks?delivery=//evil.example")
    evil.get_by_role("heading", name="Webhooks", exact=True).wait_for()


def shown(person: Person, path: str) -> Any:
    person.open(path)
    person.page.wait_for_load_state("networkidle")
    return person.page


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.long
@pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)
def test_axe_finds_no_serious_problem_in_any_tab_or_view_of_either_width(person, orders, mode):
    delivery_id = refused(orders)
    person.page.evaluate(f"localStorage.setItem('theme', '{mode}')")
    problems = {}
    for width in (1440, 390):
        person.page.set_viewport_size({"width": width, "height": 900})
        page = shown(person, f"pluginsv2/webhooks/delivery/{delivery_id}")
        for tab in ("Request", "Response", "Conf", "Run"):
            page.get_by_role("tab", name=tab).click()
            for view in page.locator("[data-panel]:visible .views label").all():
                view.click()
                problems[width, tab, view.inner_text()] = axe_problems(person.page)
            problems[width, tab, ""] = axe_problems(person.page)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert {key: found for key, found in problems.items() if found} == {}


@pytest.mark.long
@pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)
def test_tabs_views_and_the_tree_work_by_keyboard(person, orders):
    page = shown(person, f"pluginsv2/webhooks/delivery/{refused(orders)}")
    page.get_by_role("tab", name="Request").press("ArrowRight")
    assert page.locator("#response").is_visible()
    assert page.locator("#request").is_hidden()
    page.get_by_role("tab", name="Response").press("Home")
    page.get_by_label("Tree", exact=True).first.press("ArrowRight")
    assert page.locator("#request-text").is_visible()
    page.get_by_label("Text", exact=True).first.press("ArrowLeft")
    body = page.locator("#request-tree > li").first
    body.press("ArrowLeft")
    assert body.get_attribute("aria-expanded") == "false"
