"""The setup of a sender whose secret exists only after the URL, in a whole Airflow."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time

import pytest
import requests

from tests.acceptance.browser import RUN_MILLISECONDS, create_on_tab

SECRET = "whsec_a_secret_of_a_test"
EVENT = json.dumps({"id": "evt_1", "type": "invoice.paid", "data": {"object": {"id": "in_1"}}}).encode()


def send(url: str, secret: str) -> int:
    """What Stripe does: the status of the response to a signed event."""
    at = str(int(time.time()))
    signature = hmac.new(secret.encode(), f"{at}.".encode() + EVENT, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "Stripe-Signature": f"t={at},v1={signature}"}
    return requests.post(url, data=EVENT, headers=headers, timeout=60).status_code


@pytest.mark.long
def test_a_sender_is_set_up_whose_secret_comes_after_the_url(person, airflow):
    airflow.wait_for_dag("event_log")
    frame = person.open("dags/event_log/plugin/webhooks-of-dag")
    frame.get_by_role("link", name="Add trigger").click()
    frame.locator("#name").fill("payments of the shop")
    frame.get_by_label("Kind of sender").select_option("stripe")
    frame.get_by_text("reveal its signing secret").wait_for()
    frame.get_by_role("button", name="Create webhook").click()
    card = frame.locator("#setup")
    card.get_by_text("Until the secret is stored").wait_for()
    url = frame.locator("#url").input_value()
    assert send(url, SECRET) == 503
    card.get_by_text("Rejected with status 503").wait_for()

    card.get_by_label("Paste the secret").fill(SECRET)
    card.get_by_role("button", name="Save secret").click()
    card.get_by_text("Signing secret is stored.").wait_for()
    assert send(url, "whsec_another") == 401
    card.get_by_text("Rejected with status 401").wait_for()
    assert send(url, SECRET) == 200
    card.get_by_text("A verified request arrived").wait_for()
    card.get_by_role("link", name="Show deliveries").click()
    frame.locator(".badge", has_text=re.compile("^succe", re.IGNORECASE)).wait_for(timeout=RUN_MILLISECONDS)


@pytest.mark.long
@pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)
def test_a_click_before_the_scripts_are_loaded_takes_effect_afterwards(person, airflow, event_log):
    webhook_id = create_on_tab(person, event_log, "clicked early").split("/")[-2]
    page, held = person.page, []
    page.route("**/static/pages.js*", lambda route: held.append(route))
    page.goto(f"{airflow.url}/pluginsv2/webhooks/hook/{webhook_id}", wait_until="commit")
    page.get_by_role("button", name="Send test event").click()
    held.pop().continue_()
    page.get_by_role("heading", name=re.compile("^Delivery")).wait_for()

    frame = person.open("plugin/webhooks")
    frame.get_by_role("link", name=event_log, exact=True).first.click()
    held.pop().continue_()
    page.wait_for_url(re.compile(f"/dags/{event_log}$"))
