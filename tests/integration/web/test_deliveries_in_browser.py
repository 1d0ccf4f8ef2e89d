"""The pages in Chromium: times in Airflow's zone, and widths between those of a phone and a desktop."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from inbound_webhooks.web.documentation_text import CONTENTS
from tests.acceptance.browser import wait_for_scripts
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import store_delivery, store_rejection, store_webhook
from tests.integration.web.conftest import made
from tests.integration.web.window import Window, windows

LONG = "a_name_of_forty_characters_without_space"
LAPTOP = 1208
"""Pixels of the frame in Airflow's own page, in a window of 1280."""


@pytest.fixture(scope="module")
def open_window(template) -> Iterator:
    for pages in made("fab", template):
        store_dag(LONG)
        with windows(pages) as opened:
            yield opened


@pytest.fixture(scope="module")
def hook(open_window):
    """A webhook with deliveries in several states, and a rejection; all names are long."""
    stored = store_webhook(LONG, dag_id=LONG, description=LONG, owner=LONG)
    for state in ("accepted", "dispatched", "succeeded", "failed", "refused", "filtered"):
        more = {"event_type": LONG, "run_id": f"webhook__{LONG}{state}", "error": f"{LONG} " * 4}
        store_delivery(stored, dag_id=LONG, state=state, **more)
    store_rejection(stored, reason=f"{LONG} " * 4)
    return stored


@pytest.fixture
def window(open_window) -> Iterator[Window]:
    opened = open_window()
    yield opened
    opened.context.close()
    assert opened.problems == []


def choose_zone(window: Window, zone: str) -> None:
    """What Airflow's own window does when a user chooses a time zone."""
    window.page.evaluate(f"""localStorage.setItem("timezone", '"{zone}"')""")


def query(window: Window) -> dict[str, str]:
    """The query of the page in the frame."""
    [frame] = [frame for frame in window.page.frames if "/pluginsv2/" in frame.url]
    return {name: values[0] for name, values in parse_qs(urlsplit(frame.url).query).items()}


def search(frame) -> None:
    """Press the button, and wait for the page of the results and its scripts."""
    frame.locator("html").evaluate("html => { html.dataset.isOld = '1' }")
    frame.get_by_role("button", name="Search").click()
    frame.locator("html:not([data-is-old])").wait_for()
    wait_for_scripts(frame)


def test_from_and_to_are_typed_in_airflows_time_zone_and_sent_in_utc(window, hook):
    window.open("/deliveries")
    choose_zone(window, "Asia/Tokyo")
    frame = window.open("/deliveries")
    frame.get_by_label("From (Asia/Tokyo)").fill("2026-07-01T09:30")
    search(frame)
    assert query(window)["from"] == "2026-07-01T00:30:00Z"
    assert frame.get_by_label("From (Asia/Tokyo)").input_value() == "2026-07-01T09:30"

    # The zone is chosen anew while the page is open.
    choose_zone(window, "America/New_York")
    field = frame.get_by_label("From (America/New_York)")
    field.wait_for()
    assert field.input_value() == "2026-06-30T20:30"
    frame.locator("#event").fill("another")
    search(frame)
    assert query(window)["event"] == "another"
    assert query(window)["from"] == "2026-07-01T00:30:00Z"


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        pytest.param("2026-03-08T01:59", "2026-03-08T06:59:00Z", marks=pytest.mark.long),
        ("2026-03-08T03:00", "2026-03-08T07:00:00Z"),
        ("2026-11-01T02:30", "2026-11-01T07:30:00Z"),
        pytest.param("2026-12-31T23:59:59", "2027-01-01T04:59:59Z", marks=pytest.mark.long),
    ],
)
def test_a_time_on_either_side_of_a_change_of_the_clocks_is_the_one_that_was_typed(window, hook, typed, sent):
    window.open("/deliveries")
    choose_zone(window, "America/New_York")
    frame = window.open("/deliveries")
    frame.get_by_label("To (America/New_York)").fill(typed)
    search(frame)
    assert (query(window)["to"], frame.get_by_label("To (").input_value()) == (sent, typed)


def test_a_search_finds_what_was_received_at_the_shown_time(window, hook):
    window.open("/deliveries")
    choose_zone(window, "Asia/Kolkata")
    frame = window.open("/deliveries")
    row = frame.locator("tr[id^=delivery-]").last
    shown = row.locator("time").get_attribute("title")[: len("2026-01-31 08:00")].replace(" ", "T")
    frame.get_by_label("From (").fill(shown)
    search(frame)
    assert frame.locator("tr[id^=delivery-]").count() >= 6


@pytest.mark.parametrize(
    "width",
    [*(pytest.param(some, marks=pytest.mark.long) for some in (761, 900, 1000, 1101, 1201, 1376)), 800],
)
def test_no_page_scrolls_sideways_between_a_phone_and_a_desktop(open_window, hook, width):
    window = open_window(width=width)
    failed = store_delivery(hook, dag_id=LONG, state="failed", error=f"{LONG} " * 4)
    too_wide = {}
    for path in (
        *("/", f"/dag/{LONG}", "/new", f"/hook/{hook.id}", f"/hook/{hook.id}/deliveries"),
        *(f"/hook/{hook.id}/activity", f"/delivery/{failed}"),
        *(
            "/deliveries",
            "/activity",
            "/rejections",
            "/replays",
            "/replays/new?state=failed",
            "/help/presets",
        ),
    ):
        frame = window.open(path)
        found = frame.locator("html").evaluate("html => html.scrollWidth")
        if found > width:
            too_wide[path] = found
    window.context.close()
    assert too_wide == {}


def test_every_action_of_a_row_is_in_a_laptops_frame(open_window, hook):
    waits = store_webhook(f"{LONG}_of_a_sender", dag_id=LONG, preset="gitlab")
    store_rejection(waits)
    window = open_window(width=LAPTOP)
    last = window.open("/").locator(f"#webhook-{waits.id}").get_by_role("button", name="Delete")
    box = last.bounding_box()
    window.context.close()
    assert box["x"] + box["width"] <= LAPTOP


def test_the_list_of_a_viewer_who_can_select_nothing_works(open_window, hook):
    window = open_window("vera", role="Viewer")
    frame = window.open("/")
    frame.get_by_text("You can view these webhooks.").wait_for()
    wait_for_scripts(frame)
    problems, boxes = window.problems, frame.get_by_role("checkbox").count()
    window.context.close()
    assert (problems, boxes) == ([], 0)


@pytest.mark.long
def test_the_documentation_fits_a_phone_and_breaks_no_short_word(open_window):
    window = open_window(width=390)
    too_wide = {}
    for name in CONTENTS:
        found = window.open(f"/help/{name}").locator("html").evaluate("html => html.scrollWidth")
        if found > 390:
            too_wide[name] = found
    word = window.open("/help/pages").locator("td em", has_text=re.compile("^Response$"))
    assert word.evaluate("word => word.getClientRects().length") == 1
    window.context.close()
    assert too_wide == {}


def test_a_value_deep_in_a_body_is_found_in_its_tree(window, hook):
    body = {"lines": [{"product": {"sku": f"sku-{number}", "colour": "blue"}} for number in range(9)]}
    more = {"body": json.dumps(body).encode(), "headers": json.dumps([["Content-Type", "application/json"]])}
    frame = window.open(f"/delivery/{store_delivery(hook, dag_id=LONG, state='succeeded', **more)}")
    wait_for_scripts(frame)
    value = frame.locator("#request-tree .value", has_text="sku-7")
    assert not value.is_visible()
    search = frame.get_by_label("Find in the request")
    search.press_sequentially("SKU-7")
    value.wait_for()
    status = frame.locator("#request-viewer [data-tree-search] + [role=status]")
    assert status.inner_text() == "1 of 1"
    search.fill("blue")
    search.press("Enter")
    assert status.inner_text() == "2 of 9"
    search.fill("no such value")
    assert status.inner_text() == "Not found"
