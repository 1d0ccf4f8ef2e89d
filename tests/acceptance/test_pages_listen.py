"""Listening in a real browser: a real request appears beside the form, and clicks map it to parameters."""

from __future__ import annotations

import json
import re

import pytest

from tests.acceptance.browser import axe_problems, curl, wait_for_scripts


def expression(frame, parameter: str):
    return frame.get_by_label(f"Expression for {parameter}", exact=True)


@pytest.mark.long
def test_a_real_request_is_mapped_by_clicks_and_by_keys_and_starts_a_run(person, airflow):
    airflow.wait_for_dag("order_pipeline")
    frame = person.open("dags/order_pipeline/plugin/webhooks-of-dag")
    frame.get_by_role("link", name="Add trigger").click()
    frame.locator("#name").fill("orders that listen")
    frame.get_by_role("button", name="Save disabled and listen").click()
    frame.get_by_text("Listening until").wait_for()

    url = frame.locator("#url").input_value()
    order = {
        "order_id": 7,
        "currency": "USD",
        "items": [{"quantity": 2, "price": "3.50"}],
        "Customer": {"name": "Ada"},
    }
    assert "disabled" in curl(url, json.dumps(order))
    tree = frame.locator("#listener").get_by_role("tree")
    tree.wait_for()

    # A click on a value; then a key on another one.
    expression(frame, "order_id").focus()
    tree.locator('[data-source="Body.order_id"] > .node').click()
    assert expression(frame, "order_id").input_value() == "${Webhook::Body.order_id}"
    expression(frame, "lines").focus()
    tree.get_by_role("treeitem", name=re.compile("^Body")).first.focus()
    person.page.keyboard.press("i")
    person.page.keyboard.press("Enter")
    assert expression(frame, "lines").input_value() == "${Webhook::Body.items}"
    frame.get_by_role("button", name="Map all by name").click()
    assert expression(frame, "customer").input_value() == "${Webhook::Body.Customer}"
    frame.get_by_text("Mapped 2 of 3").wait_for()
    assert axe_problems(person.page) == []

    frame.get_by_label("Enabled: accepts").check()
    frame.get_by_role("button", name="Save", exact=True).click()
    frame.get_by_text("Saved orders that listen").wait_for()
    wait_for_scripts(frame)
    frame.get_by_role("button", name="Send test event").click()
    frame.get_by_role("heading", name=re.compile("^Delivery")).wait_for()
    # What was captured is what *Try it* sends.
    assert '"order_id": 7' in frame.get_by_label("Body", exact=True).text_content()
    assert "accepted" in curl(url, json.dumps(order))
