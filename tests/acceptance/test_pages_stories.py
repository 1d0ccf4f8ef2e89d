"""Whole stories in a real browser, under both auth managers: by a few clicks, and without a pointer."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from tests.acceptance.browser import (
    CLIPBOARD,
    MOST_CLICKS,
    MOST_SECONDS,
    RUN_MILLISECONDS,
    SAID_NEXT,
    Person,
    wait_for_scripts,
)
from tests.acceptance.webhooks import SHOPIFY_MAPPING, create, deliver, maps
from tests.infrastructure.airflow_processes import ADMIN, PASSWORD

pytestmark = pytest.mark.long

NEW = re.compile("^(New webhook|Create the first webhook)$")
MOST_TABS = 120
FOCUSED = "element => element === document.activeElement && document.hasFocus()"


def test_a_test_event_leads_from_the_login_to_a_succeeded_run(event_log, person):
    page, frame = person.page, person.frame
    person.click(page.get_by_role("button", name="Browse"))
    person.click(page.get_by_role("menuitem", name="Webhooks"))
    person.click(frame.get_by_role("link", name=NEW))
    wait_for_scripts(frame)
    person.click(frame.locator("#name"))
    page.keyboard.type("one that sends to itself")
    person.click(frame.locator("#dag_id"))
    page.keyboard.type(event_log)
    person.click(frame.get_by_role("button", name="Create webhook"))
    person.click(frame.get_by_role("button", name="Send test event"))
    frame.locator(".timeline .done", has_text="Run succeeded").wait_for(timeout=RUN_MILLISECONDS)
    assert person.clicks <= MOST_CLICKS
    assert time.monotonic() - person.began_at <= MOST_SECONDS


def test_the_failed_task_of_a_delivery_and_its_log_are_five_clicks_away(person, airflow):
    airflow.wait_for_dag("order_pipeline")
    hook = create(airflow, "orders that fail", "--dag-id", "order_pipeline", *maps(SHOPIFY_MAPPING))
    line = {"quantity": "two", "price": "9"}
    order = {"id": 1, "currency": "EUR", "customer": {}, "line_items": [line]}
    delivery_id = deliver(hook, json.dumps(order).encode())
    airflow.wait_for_run("order_pipeline", f"webhook__{delivery_id}", state="failed")
    before = person.clicks
    person.click(person.page.get_by_role("button", name="Browse"))
    person.click(person.page.get_by_role("menuitem", name="Webhooks"))
    person.click(person.frame.get_by_role("link", name="Deliveries", exact=True))
    person.click(person.frame.locator(f'a[href$="/delivery/{delivery_id}"]'))
    person.frame.get_by_text("Task price failed.").wait_for()
    wait_for_scripts(person.frame)
    person.click(person.frame.get_by_role("link", name="Log of price"))
    person.page.get_by_text("invalid literal for int").first.wait_for()
    assert person.clicks - before <= 5


@pytest.fixture
def stranger(browser, airflow):
    """A user who has not logged in yet."""
    found = Person(browser, airflow)
    yield found
    found.close()
    assert found.problems == []


def tab_to(person: Person, place: Any) -> None:
    """Press Tab until a part of the page has the focus."""
    place.wait_for()
    for _ in range(MOST_TABS):
        if place.evaluate(FOCUSED):
            return
        person.page.keyboard.press("Tab")
    raise AssertionError(f"{place} is no stop of the Tab key")


def press(person: Person, place: Any, key: str = "Enter") -> None:
    tab_to(person, place)
    person.page.keyboard.press(key)


def write(person: Person, place: Any, text: str) -> None:
    tab_to(person, place)
    person.page.keyboard.type(text)


def log_in_by_keys(person: Person) -> None:
    person.page.goto(f"{person.airflow.url}/")
    if person.airflow.auth == "fab":
        write(person, person.page.locator("input[name=username]"), ADMIN)
        write(person, person.page.locator("input[name=password]"), PASSWORD)
        person.page.keyboard.press("Enter")
    person.page.get_by_role("heading", name="Welcome").wait_for()


def choose_in_menu(person: Person, button: str, entry: str) -> None:
    press(person, person.page.get_by_role("button", name=button))
    chosen = person.page.get_by_role("menuitem", name=entry)
    chosen.wait_for()
    for _ in range(MOST_TABS):
        if chosen.evaluate("item => 'highlighted' in item.dataset || item === document.activeElement"):
            break
        person.page.keyboard.press("ArrowDown")
    person.page.keyboard.press("Enter")


def test_the_keyboard_alone_leads_from_the_login_to_the_run_of_a_test_event(event_log, stranger):
    page, frame = stranger.page, stranger.frame
    log_in_by_keys(stranger)
    choose_in_menu(stranger, "Browse", "Webhooks")
    press(stranger, frame.get_by_role("link", name=NEW))
    frame.get_by_role("heading", name="New webhook").wait_for()
    wait_for_scripts(frame)
    write(stranger, frame.locator("#name"), "made without a pointer")
    write(stranger, frame.locator("#dag_id"), event_log)
    tab_to(stranger, frame.locator("#description"))
    page.keyboard.press("Control+Enter")

    copy = frame.locator("[data-copy='#url']")
    copy.wait_for()
    wait_for_scripts(frame)
    copy.evaluate(SAID_NEXT)
    press(stranger, copy)
    assert copy.evaluate("button => button.said") == "Copied"
    assert page.evaluate(CLIPBOARD) == frame.locator("#url").input_value()

    press(stranger, frame.get_by_role("button", name="Send test event"))
    frame.get_by_role("heading", name=re.compile("^Delivery")).wait_for()
    frame.locator(".timeline .done", has_text="Run succeeded").wait_for(timeout=RUN_MILLISECONDS)
    wait_for_scripts(frame)
    press(stranger, frame.get_by_role("tab", name="Request"), "ArrowLeft")
    assert frame.locator("#run").is_visible()
    press(stranger, frame.get_by_role("link", name=re.compile("^webhook__")).first)
    page.wait_for_url(re.compile("/dags/event_log/runs/webhook__"))
