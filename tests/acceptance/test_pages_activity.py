"""A person watches deliveries arrive in the charts of a real browser, and takes a webhook along as a file."""

from __future__ import annotations

import pytest
import yaml

from tests.acceptance.browser import RUN_MILLISECONDS, axe_problems, create_on_tab, curl


@pytest.mark.long
def test_charts_count_deliveries_as_they_arrive_and_a_webhook_is_downloaded(person):
    name = f"counted on {person.airflow.auth}"
    url = create_on_tab(person, "event_log", name)
    frame = person.frame
    frame.get_by_role("link", name="Activity", exact=True).click()
    frame.get_by_text("0 deliveries in the last 24 hours").wait_for()

    # The charts follow without a reload, and a fold that was opened stays open.
    assert "accepted" in curl(url, '{"order": 1}')
    frame.get_by_text("1 delivery in the last 24 hours").wait_for()
    frame.get_by_text("Numbers", exact=True).click()
    frame.locator(".legend", has_text="Success 1").wait_for(timeout=RUN_MILLISECONDS)
    # The run's first task has started, and the page knows when.
    frame.locator("figcaption", has_text="Received to first task median ≤").wait_for()
    assert frame.locator("details.numbers").evaluate("fold => fold.open")
    assert frame.locator("details.numbers tbody tr").first.locator("td").first.text_content() == "1"
    assert axe_problems(person.page) == []
    frame.get_by_role("link", name="7 days").click()
    frame.get_by_text("1 delivery in the last 7 days").wait_for()

    frame.get_by_role("link", name="Definition", exact=True).click()
    with person.page.expect_download() as started:
        frame.get_by_role("link", name="Export as YAML").click()
    frame.get_by_text("Downloading the definition file").wait_for()
    with open(started.value.path()) as file:
        assert [entry["name"] for entry in yaml.safe_load(file)["webhooks"]] == [name]
    assert started.value.suggested_filename == f"{name.replace(' ', '-')}.yaml"

    frame = person.open("plugin/webhooks")
    frame.get_by_role("link", name="Activity", exact=True).click()
    frame.get_by_text("in the last 24 hours").wait_for()
    assert axe_problems(person.page) == []
