"""A new user's story in a real browser: from the login to a run, and again."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.acceptance.browser import (
    CLIPBOARD,
    MOST_CLICKS,
    MOST_SECONDS,
    RUN_MILLISECONDS,
    SAID_NEXT,
    axe_problems,
    create_on_tab,
    curl,
    open_section,
    wait_for_scripts,
)
from tests.acceptance.webhooks import SHOPIFY_MAPPING, create, deliver, maps


def test_a_new_user_gets_from_the_login_to_a_run_and_replays_it(event_log, person):
    person.click(person.page.get_by_role("link", name="Dags", exact=True))
    person.click(person.page.get_by_role("link", name=event_log, exact=True))
    person.click(person.page.get_by_role("link", name="Webhooks", exact=True))
    person.click(person.frame.get_by_role("link", name="Add trigger"))
    person.click(person.frame.locator("#name"))
    person.page.keyboard.type("a first webhook")
    person.click(person.frame.get_by_role("button", name="Create webhook"))
    button = person.frame.locator("[data-copy='#url']")
    button.wait_for()
    wait_for_scripts(person.frame)
    button.evaluate(SAID_NEXT)
    person.click(button)
    assert button.evaluate("button => button.said") == "Copied"
    url = person.page.evaluate(CLIPBOARD)

    person.click(person.frame.get_by_role("link", name="Deliveries"))
    person.frame.get_by_text("No deliveries yet").wait_for()
    assert "accepted" in curl(url, '{"hello": "world"}')
    person.frame.locator(".badge", has_text="Success").wait_for(timeout=RUN_MILLISECONDS)
    assert person.clicks <= MOST_CLICKS
    assert time.monotonic() - person.began_at <= MOST_SECONDS

    person.frame.get_by_role("link", name=re.compile("^webhook__")).click()
    person.page.wait_for_url(re.compile("/dags/event_log/runs/webhook__"))
    person.page.get_by_role("link", name="Webhook", exact=True).click()
    person.frame.get_by_role("heading", name=re.compile("^Delivery")).wait_for()
    wait_for_scripts(person.frame)
    person.frame.get_by_text("Text", exact=True).first.click()
    assert '"hello": "world"' in person.frame.locator("#request-text").inner_text()

    person.frame.get_by_role("button", name="Replay", exact=True).click()
    person.frame.get_by_text("Replayed. The new delivery").wait_for()
    person.frame.locator(".replays").get_by_role("link", name="Its run").wait_for()


@pytest.mark.long
def test_airflows_own_pages_still_know_the_user(person, airflow):
    create_on_tab(person, "event_log", "one before the security page")
    if airflow.auth == "fab":
        response = person.page.goto(f"{airflow.url}/auth/users/list/")
        assert response.status == 200
        assert "/login" not in person.page.url
    person.open("plugin/webhooks").get_by_role("heading", name="Webhooks", exact=True).wait_for()


@pytest.mark.long
def test_the_side_bar_leads_to_the_list_and_to_no_page_of_airflow_2(person, airflow):
    person.page.get_by_role("button", name="Browse").click()
    person.page.get_by_role("menuitem", name="Webhooks").click()
    person.frame.get_by_role("heading", name="Webhooks", exact=True).wait_for()
    assert person.page.get_by_text("Legacy").count() == 0
    assert person.frame.get_by_text("deprecat").count() == 0
    assert person.frame.locator(".navbar").count() == 0


@pytest.mark.long
def test_the_pages_follow_airflows_colour_mode_at_once(person, airflow):
    frame = person.open("plugin/webhooks")
    frame.get_by_role("heading", name="Webhooks", exact=True).wait_for()
    for mode, colour in (("dark", "rgb(22, 29, 45)"), ("light", "rgb(255, 255, 255)")):
        person.page.evaluate(f"localStorage.setItem('theme', '{mode}')")
        shown = frame.locator("body")
        person.page.wait_for_timeout(500)
        assert shown.evaluate("body => getComputedStyle(body).backgroundColor") == colour


@pytest.fixture(scope="module")
def shown(airflow, webhooks):
    """The paths of pages with something on them, by name."""
    from tests.acceptance.payloads import body_of, headers_of
    from tests.acceptance.webhooks import deliver

    push = webhooks["pushes"]
    case = "github/push__new_branch"
    delivery = deliver(push, body_of(case), headers_of(case))
    airflow.wait_for_run("github_push_build", f"webhook__{delivery}")
    root = "pluginsv2/webhooks"
    return {
        "list": f"{root}/",
        "new": f"{root}/new",
        "webhook": f"{root}/hook/{push.id}",
        "deliveries": f"{root}/hook/{push.id}/deliveries",
        "delivery": f"{root}/delivery/{delivery}",
        "no webhook": f"{root}/hook/nothing",
    }


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.long
@pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)
def test_axe_finds_no_serious_problem_on_any_page_in_either_width(person, shown, mode):
    person.page.evaluate(f"localStorage.setItem('theme', '{mode}')")
    problems = {}
    for width in (1280, 390):
        person.page.set_viewport_size({"width": width, "height": 900})
        for name, path in shown.items():
            person.open(path)
            person.page.wait_for_load_state("networkidle")
            problems[name, width] = axe_problems(person.page)
            assert person.page.evaluate("document.documentElement.scrollWidth") <= width, name
    assert {key: found for key, found in problems.items() if found} == {}


@pytest.mark.long
@pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)
def test_the_form_is_filled_by_a_sender_and_tried_before_it_is_saved(person, airflow):
    airflow.wait_for_dag("github_push_build")
    person.open("pluginsv2/webhooks/new")
    page = person.page
    page.locator("#dag_id").fill("github_push_build")
    page.get_by_text("The number of commits").wait_for()
    page.get_by_label("Kind of sender").select_option("github")
    page.get_by_role("button", name="Use the sender's example").click()
    assert page.get_by_label("Expression for ref").input_value() == "${Webhook::Body.ref}"
    page.get_by_role("button", name="Generate").click()
    assert len(page.get_by_label("Secret", exact=True).input_value()) == 64
    page.get_by_role("button", name="Try it").click()
    # The sender's sample event fits the DAG's params.
    page.locator("#preview").get_by_role("heading", name="Conf").wait_for()
    commit = "0123456789abcdef0123456789abcdef01234567"
    body = {"repository": {"full_name": "octo/cat"}, "ref": "refs/heads/main", "after": commit}
    page.locator("#try-body").fill(json.dumps(body))
    page.get_by_role("button", name="Try it").click()
    page.locator("#preview pre").get_by_text(commit).wait_for()


@pytest.mark.long
@pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)
def test_kinds_of_events_are_picked_with_the_keyboard_and_stand_in_the_filter(person):
    person.open("pluginsv2/webhooks/new?dag=event_log")
    page = person.page
    page.get_by_label("Kind of sender").select_option("github")
    filter_ = page.get_by_label("Condition", exact=True)
    page.get_by_label("push", exact=True).press("Space")
    assert filter_.input_value() == 'delivery.event_type in ["push"]'
    filter_.fill("(body.a) or (body.b)")
    page.get_by_label("release", exact=True).press("Space")
    assert filter_.input_value() == 'delivery.event_type in ["release"] and ((body.a) or (body.b))'
    page.get_by_label("release", exact=True).press("Space")
    assert filter_.input_value() == "(body.a) or (body.b)"
    filter_.fill("{{ body.a }}")
    assert page.get_by_label("push", exact=True).is_disabled()


@pytest.mark.long
@pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)
def test_mistakes_come_beside_their_fields_and_what_was_typed_stays(person):
    person.open("pluginsv2/webhooks/new?dag=event_log")
    page = person.page
    page.get_by_label("Kind of sender").select_option("stripe")
    page.get_by_label("Signing secret").fill("whsec_1234567890")
    page.get_by_label("Condition", exact=True).fill("body.")
    page.get_by_role("button", name="Create webhook").click()
    page.get_by_text("Enter a name.").wait_for()
    assert page.locator("#problem-filter").is_visible()
    assert page.get_by_label("Signing secret").input_value() == "whsec_1234567890"


@pytest.mark.long
@pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)
def test_expressions_are_completed_with_the_keyboard(person, shown):
    person.open(shown["webhook"])
    person.page.wait_for_load_state("networkidle")
    field = person.page.get_by_label("Expression for commits")
    field.press_sequentially("${Webhook::Body.rep")
    person.page.locator("#completions [role=option]").first.wait_for()
    field.press("ArrowDown")
    field.press("Enter")
    assert field.input_value() == "${Webhook::Body.repository}"


@pytest.mark.long
@pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)
def test_deleting_asks_in_a_dialog_and_a_no_deletes_nothing(person, airflow):
    create_on_tab(person, "event_log", "kept or not")
    person.open("pluginsv2/webhooks/?text=kept+or+not")
    page = person.page
    for response in ("Cancel", "Delete"):
        assert page.get_by_role("link", name="kept or not", exact=True).is_visible()
        page.get_by_role("button", name="Delete kept or not").click()
        page.get_by_role("dialog").get_by_role("button", name=response).click()
    page.get_by_text("Deleted kept or not.").wait_for()


@pytest.fixture
def orders(airflow):
    """The page of a webhook of its own, to which an order in euros and one in dollars have come."""
    hook = create(airflow, "orders to judge", "--dag-id", "order_pipeline", *maps(SHOPIFY_MAPPING))
    for currency in ("EUR", "USD"):
        line = {"quantity": 1, "price": "9.90"}
        order = {"id": 1, "currency": currency, "customer": {"name": "<b>Ada</b>"}, "line_items": [line]}
        deliver(hook, json.dumps(order).encode())
    yield f"pluginsv2/webhooks/hook/{hook.id}"
    airflow.airflow("webhooks", "delete", hook.id, "--yes")


@pytest.mark.long
@pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)
def test_past_deliveries_are_judged_by_the_form_as_it_is_typed(person, orders):
    person.open(orders)
    page = person.page
    page.get_by_role("tab", name="A request").press("ArrowRight")
    open_section(page, "Filter")
    page.get_by_label("Condition", exact=True).fill('body.currency == "EUR"')
    page.get_by_label("Expression for customer").fill("${Webhook::Body.customer.name}")
    page.get_by_role("button", name="Run back-test").click()
    page.get_by_text("2 of 2 would change.").wait_for()
    results = page.locator("#judged")
    assert results.locator("li").count() == 2
    results.get_by_label(re.compile("filtered")).press("Space")
    assert results.locator("li:visible").count() == 1
    results.get_by_label(re.compile("filtered")).press("Space")
    results.get_by_text("conf and response").last.click()
    assert "<b>Ada</b>" in results.locator("del:visible").first.inner_text()
    page.get_by_label("Condition", exact=True).fill("")
    page.get_by_text("The form has changed since").wait_for()
    page.get_by_label("Expression for customer").fill("${Webhook::Body.customer}")
    page.get_by_role("button", name="Run back-test").click()
    page.get_by_text("None of 2 would change.").wait_for()
    assert results.locator("li").count() == 0


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.long
@pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)
def test_axe_finds_no_serious_problem_in_what_was_judged(person, orders, mode):
    person.page.evaluate(f"localStorage.setItem('theme', '{mode}')")
    page, problems = person.page, {}
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        person.open(orders)
        page.get_by_role("tab", name="Past deliveries").click()
        open_section(page, "Filter")
        page.get_by_label("Condition", exact=True).fill('body.currency == "EUR"')
        page.get_by_label("Expression for currency").fill("euros")
        page.get_by_role("button", name="Run back-test").click()
        page.locator("#judged li").first.wait_for()
        for folded in page.locator("#judged summary").all():
            folded.click()
        problems[width] = axe_problems(person.page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert problems == {1280: [], 390: []}
