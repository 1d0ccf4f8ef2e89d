"""A person finds deliveries of all webhooks in a real browser, and replays many."""

from __future__ import annotations

import re

import pytest

from tests.acceptance.browser import RUN_MILLISECONDS, Person, axe_problems, curl
from tests.acceptance.webhooks import create


@pytest.mark.long
def test_a_person_finds_deliveries_of_all_webhooks_and_replays_two_and_then_all(person):
    name = f"found and replayed on {person.airflow.auth}"
    person.airflow.wait_for_dag("event_log")
    url = create(person.airflow, name, "--dag-id", "event_log").url
    frame = person.open("plugin/webhooks")
    frame.get_by_role("link", name="Deliveries", exact=True).click()
    frame.get_by_role("heading", name="Deliveries", exact=True).wait_for()
    frame.get_by_label("Webhook", exact=True).fill(name)
    frame.get_by_role("button", name="Search").click()
    frame.get_by_text("No delivery matches").wait_for()

    # New deliveries and their states come without a reload.
    for number in range(3):
        assert "accepted" in curl(url, f'{{"order": {number}}}')
    frame.get_by_text("3 deliveries").wait_for()
    boxes = frame.get_by_role("checkbox", name=re.compile("^Select the delivery"))
    boxes.nth(0).check()
    boxes.nth(2).check()
    frame.locator(".badge", has_text=re.compile("^succe", re.I)).nth(2).wait_for(timeout=2 * RUN_MILLISECONDS)
    assert [boxes.nth(each).is_checked() for each in range(3)] == [True, False, True]
    assert axe_problems(person.page) == []

    frame.get_by_role("button", name="Replay 2").click()
    frame.get_by_role("heading", name="Replay of 2 deliveries").wait_for()
    frame.locator(".badge", has_text="completed").wait_for()
    assert axe_problems(person.page) == []
    frame.locator("#replays-title").wait_for()
    assert frame.locator("#replay-progress tbody tr").count() == 2

    # All that match a text in the body: the sender's request and its replays, if it is one of those two.
    frame.get_by_role("link", name="Replays", exact=True).click()
    frame.get_by_role("link", name="Deliveries", exact=True).click()
    frame.get_by_label("Webhook", exact=True).fill(name)
    frame.get_by_label("Text in the body").fill('"order": 1')
    frame.get_by_role("button", name="Search").click()
    frame.locator("""input[value='"order": 1']""").wait_for()
    frame.get_by_role("link", name="Replay all…").click()
    frame.get_by_role("heading", name="Replay the deliveries that match").wait_for()
    frame.get_by_role("radio", name=re.compile("Current mapping")).check()
    frame.get_by_role("button", name="Replay").click()
    frame.locator(".badge", has_text="completed").wait_for()
    assert frame.locator("#replay-progress tbody tr").count() == 1


@pytest.mark.long
def test_the_pages_of_all_deliveries_fit_a_phone(browser, airflow):
    person = Person(browser, airflow, width=390)
    person.log_in()
    for path in (
        "deliveries",
        "deliveries?state=failed",
        "rejections",
        "replays",
        "replays/new?state=failed",
    ):
        person.page.goto(f"{airflow.url}/pluginsv2/webhooks/{path}")
        person.page.locator("h1").wait_for()
        width = person.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, path
    person.close()
    assert person.problems == []
