"""The form of a webhook in Chromium: widths, keys, completions, questions and warnings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import rows, store_delivery, store_webhook
from tests.integration.web.conftest import made
from tests.integration.web.window import Window, windows

LONG = "x" * 300
NARROWEST_FIELD = 200
"""Pixels that an expression has at least, on the narrowest screen."""

SAVE = re.compile("^(Save|Create webhook)$")


@pytest.fixture(scope="module")
def open_window(template) -> Iterator:
    from airflow.sdk import Param

    for pages in made("fab", template):
        store_dag("orders", params={"number": Param(type="integer"), "customer": Param("nobody")})
        store_dag("long", params={"long": Param(LONG, description=LONG), "list": Param([LONG], type="array")})
        params = {f"param_{number:03}": Param(LONG, type="string") for number in range(200)}
        store_dag("many", params={**params, "needed": Param(type="string")})
        with windows(pages) as opened:
            yield opened


@pytest.fixture
def window(open_window) -> Iterator[Window]:
    opened = open_window()
    yield opened
    opened.context.close()
    assert opened.problems == []


def stored(name: str):
    return next((row for row in rows("webhook") if row.name == name), None)


def expression(frame, parameter: str):
    return frame.get_by_label(f"Expression for {parameter}", exact=True)


@pytest.mark.parametrize(
    "width", [390, *(pytest.param(width, marks=pytest.mark.long) for width in (800, 1440))]
)
@pytest.mark.parametrize("dag_id", ["long", pytest.param("many", marks=pytest.mark.long)])
def test_a_long_default_leaves_the_expression_its_width(open_window, width, dag_id):
    window = open_window(width=width)
    for path in (f"/new?dag={dag_id}", "/new"):
        frame = window.open(path)
        if path == "/new":
            frame.get_by_label("Dag", exact=False).first.fill(dag_id)
        frame.locator("tr.line code").first.wait_for()
        shown = frame.locator("[name=mapping_expression]:visible")
        assert min(box.bounding_box()["width"] for box in shown.all()) >= NARROWEST_FIELD
        assert frame.locator("html").evaluate("html => html.scrollWidth") <= width
    window.context.close()


@pytest.mark.long
def test_of_many_parameters_those_that_matter_are_shown_and_a_search_finds_the_others(window):
    frame = window.open("/new?dag=many")
    lines = frame.locator("tr.line:visible")
    assert (lines.count(), expression(frame, "needed").is_visible()) == (15, True)
    frame.get_by_label("Search the parameters").fill("param_19")
    assert (lines.count(), frame.locator("#lines-count").inner_text()) == (10, "10 of 201")
    expression(frame, "param_199").fill("kept")
    frame.get_by_label("Search the parameters").fill("")
    assert expression(frame, "param_199").is_visible()
    frame.get_by_role("button", name="Show all 201").click()
    assert lines.count() == 201


def test_enter_saves_nothing_and_control_enter_does(window):
    frame = window.open("/new?dag=orders")
    frame.locator("#name").fill("by keyboard")
    frame.locator("#name").press("Enter")
    expression(frame, "number").fill("1")
    expression(frame, "number").press("Escape")
    expression(frame, "number").press("Enter")
    window.page.wait_for_timeout(500)
    assert stored("by keyboard") is None
    frame.locator("#description").press("Control+Enter")
    frame.locator("#url").wait_for()
    assert json.loads(stored("by keyboard").mapping) == {"number": "1"}


def test_a_dag_that_airflow_does_not_know_is_saved_after_a_confirmation(window):
    frame = window.open("/new?dag=ordres")
    frame.locator("#name").fill("misspelt dag")
    frame.get_by_role("button", name=SAVE).click()
    dialog = frame.get_by_role("dialog")
    dialog.get_by_text("Airflow has no Dag ordres.").wait_for()
    dialog.get_by_role("button", name="Cancel").click()
    assert stored("misspelt dag") is None
    frame.get_by_role("button", name=SAVE).click()
    dialog.get_by_role("button", name="Save anyway").click()
    frame.locator("#url").wait_for()
    assert stored("misspelt dag").dag_id == "ordres"


def test_a_path_without_braces_becomes_an_expression_with_one_click(window):
    frame = window.open("/new?dag=orders")
    expression(frame, "customer").fill("body.customer.name")
    frame.get_by_role("button", name="Use ${Webhook::Body.customer.name}").click()
    assert expression(frame, "customer").input_value() == "${Webhook::Body.customer.name}"
    assert frame.get_by_text("This is plain text, not a value").locator("visible=true").count() == 0
    expression(frame, "customer").fill("a customer")
    window.page.wait_for_timeout(400)
    assert frame.get_by_text("This is plain text, not a value").locator("visible=true").count() == 0


@pytest.fixture(scope="module")
def received(open_window) -> str:
    """The page of a webhook with a delivery."""
    hook = store_webhook("received", dag_id="orders", mapping={"number": "1"})
    body = json.dumps({"customer": {"name": "Ada"}, "odd key": 1}).encode()
    headers = json.dumps([["Content-Type", "application/json"], ["X-Shop", "one"]])
    store_delivery(
        hook, dag_id="orders", body=body, headers=headers, query_string="page=7", state="succeeded"
    )
    return f"/hook/{hook.id}"


@pytest.mark.parametrize(
    ("typed", "accepted"),
    [
        ("cust", "${Webhook::Body.customer}"),
        pytest.param("page", "${Webhook::Query.page}", marks=pytest.mark.long),
        pytest.param("shop", "${Webhook::Headers.X-Shop}", marks=pytest.mark.long),
        pytest.param("${Webhook::Body.customer.n", "${Webhook::Body.customer.name}", marks=pytest.mark.long),
        pytest.param("{{ cust", "{{ body.customer", marks=pytest.mark.long),
        ("a text ", "a text "),
    ],
)
def test_enter_accepts_the_completion_of_a_word_a_path_or_an_expression(window, received, typed, accepted):
    frame = window.open(received)
    field = expression(frame, "customer")
    field.click()
    frame.locator("#completions").get_by_text("Body.customer.name").wait_for()
    field.press_sequentially(typed)
    window.page.wait_for_timeout(200)
    field.press("Enter")
    assert field.input_value() == accepted
    assert frame.locator("#completions").is_hidden()


def test_a_path_behind_a_whole_expression_goes_on_with_it(window, received):
    frame = window.open(received)
    field = expression(frame, "customer")
    field.click()
    frame.locator("#completions").get_by_text("Body.customer.name").wait_for()
    field.press_sequentially("${Webhook::Body.customer}.na")
    window.page.wait_for_timeout(200)
    field.press("Enter")
    assert field.input_value() == "${Webhook::Body.customer.name}"


@pytest.mark.long
def test_a_condition_is_completed_without_braces(window, received):
    frame = window.open(received)
    frame.locator("#section-filter summary").click()
    field = frame.locator("#filter")
    field.click()
    frame.locator("#completions").get_by_text("Headers.X-Shop").wait_for()
    field.press_sequentially("x-shop")
    field.press("Enter")
    assert field.input_value() == 'headers["X-Shop"]'


@pytest.mark.long
def test_completions_at_the_end_of_the_window_open_above_the_field(window, received):
    frame = window.open(received)
    field = expression(frame, "customer")
    field.evaluate("field => field.scrollIntoView({block: 'end'})")
    field.focus()
    shown = frame.locator("#completions")
    shown.wait_for()
    place, box = shown.bounding_box(), field.bounding_box()
    assert place["y"] + place["height"] <= box["y"]
    assert place["y"] >= 0


def test_the_senders_sample_event_completes_before_a_delivery_has_come(window):
    frame = window.open("/new?dag=orders&sender=stripe")
    frame.locator("#sample-tree [role=treeitem]").first.wait_for()
    field = expression(frame, "customer")
    field.press_sequentially("customer_em")
    frame.locator("#completions").get_by_text("ada@example.com").wait_for()
    field.press("Enter")
    assert field.input_value() == "${Webhook::Body.data.object.customer_email}"


def test_a_click_in_the_event_closes_the_completions_and_leaves_the_next_field_free(window):
    frame = window.open("/new?dag=orders&sender=stripe")
    row = frame.locator("#sample-tree [data-source='Body.type'] > .node")
    row.wait_for()
    expression(frame, "customer").click()
    completions = frame.locator("#completions")
    completions.get_by_text("Body.type").wait_for()
    row.click()
    assert expression(frame, "customer").input_value() == "${Webhook::Body.type}"
    assert not completions.is_visible()


def test_the_sample_event_keeps_the_parameters_that_have_no_expression_yet(window):
    frame = window.open("/new?dag=orders")
    number = frame.locator("#sample-tree [data-source='Body.number'] > .node")
    number.wait_for()
    expression(frame, "number").fill("Body.number")
    expression(frame, "customer").fill("${Webhook::Body.buyer}")
    frame.locator("#name").click()
    frame.locator("#sample-tree [data-source='Body.buyer']").wait_for()
    assert number.is_visible()


def test_an_edited_form_is_not_left_by_accident(window, received):
    frame = window.open(received)
    frame.locator("#description").fill("edited")
    frame.get_by_role("link", name="Deliveries").click()
    dialog = frame.get_by_role("dialog")
    dialog.get_by_role("button", name="Cancel").click()
    assert frame.locator("#description").input_value() == "edited"
    asked = []
    window.page.on("dialog", lambda found: (asked.append(found.type), found.dismiss()))
    window.page.close(run_before_unload=True)
    window.page.wait_for_timeout(300)
    assert asked == ["beforeunload"]
    frame.get_by_role("link", name="Deliveries").click()
    dialog.get_by_role("button", name="Leave").click()
    frame.get_by_role("heading", name="Rejections").or_(frame.locator("table.deliveries")).first.wait_for()


def test_airflows_own_links_ask_before_they_replace_an_edited_form(window, received):
    frame = window.open(received)
    link = window.page.locator("#side-bar")
    frame.locator("#description").fill("edited again")
    link.dispatch_event("click")
    link.dispatch_event("click")  # while the question is asked
    frame.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert frame.locator("#description").input_value() == "edited again"
    link.dispatch_event("click")
    frame.get_by_role("dialog").get_by_role("button", name="Leave").click()
    window.page.locator("iframe").wait_for(state="detached")
    # Nothing of the form stays behind in Airflow's window.
    link.dispatch_event("click")
    assert window.page.title() == "Left 2"


@pytest.mark.long
def test_an_untouched_or_saved_form_is_left_without_a_question(window, received):
    frame = window.open(received)
    frame.get_by_role("link", name="Deliveries").click()
    frame.locator("[data-save]").wait_for(state="detached")
    frame = window.open(received)
    frame.locator("#description").fill("saved")
    frame.get_by_role("button", name=SAVE).click()
    frame.get_by_text("Saved received.").wait_for()


def test_all_problems_appear_at_once_in_sections_that_open(window):
    frame = window.open("/new?dag=orders&sender=stripe")
    frame.get_by_label("Signing secret").fill(" spaced")
    expression(frame, "number").fill("${Webhook::Nowhere}")
    for section, field, text in (
        ("limits", "max_backlog", "0"),
        ("notifications", "notify_failure", "nobody"),
    ):
        frame.locator(f"#section-{section} summary").click()
        frame.locator(f"#{field}").fill(text)
        frame.locator(f"#section-{section} summary").click()
    frame.get_by_role("button", name=SAVE).click()
    for place in ("name", "secrets:signing", "mapping:number", "max_backlog", "notify_failure"):
        frame.locator(f'[data-problem="{place}"]:visible').wait_for()


@pytest.mark.long
def test_users_are_suggested_as_recipients_and_owners(window):
    frame = window.open("/new?dag=orders")
    frame.locator("#section-notifications summary").click()
    field = frame.locator("#notify_failure")
    field.press_sequentially("ad")
    frame.locator("#recipients").get_by_text("ada@example.com").wait_for()
    field.press("Enter")
    assert field.input_value() == "ada@example.com"
    frame.locator("#owner").press_sequentially("ad")
    frame.locator("#user-names option[value=ada]").wait_for(state="attached")


@pytest.mark.long
def test_a_clone_has_everything_but_name_url_and_secrets(window):
    hook = store_webhook(
        "to be cloned", dag_id="orders", preset="github", secrets={"signing": "a secret"},
        mapping={"number": "${Webhook::Body.number}"}, owner="ada", max_backlog=5,
    )  # fmt: skip
    frame = window.open(f"/hook/{hook.id}")
    frame.get_by_role("link", name="Clone").click()
    frame.get_by_role("button", name="Create webhook").click()
    frame.get_by_text("Set up GitHub").wait_for()
    first, copy = stored("to be cloned"), stored("to be cloned copy")
    assert (copy.mapping, copy.owner, copy.max_backlog) == (first.mapping, "ada", 5)
    assert [row for row in rows("secret") if row.webhook_id == copy.id] == []
