"""Each example DAG, from the sender's request to the log of the task."""

from __future__ import annotations

import base64
import json

import pytest

from tests.acceptance.payloads import body_of, headers_of
from tests.acceptance.webhooks import deliver

SENT = {
    "pushes": "github/push__new_branch",
    "orders": "shopify/orders_create__sample",
    "events": "twilio/incoming_sms__text",
}


@pytest.fixture(scope="module")
def run_ids(webhooks):
    """One request to each webhook; Airflow works on all three at once."""
    delivered = {
        name: deliver(webhooks[name], body_of(case), headers_of(case)) for name, case in SENT.items()
    }
    return {name: f"webhook__{delivery_id}" for name, delivery_id in delivered.items()}


def conf_in_log(airflow, dag_id: str, run_id: str, task_id: str) -> dict:
    """What the task has printed after ``conf:`` once its run has succeeded."""
    airflow.wait_for_run(dag_id, run_id)
    log = airflow.task_log(dag_id, run_id, task_id)
    return json.loads(next(line for line in log.splitlines() if line.startswith("conf: "))[6:])


def test_a_push_to_github_is_built(airflow, run_ids):
    conf = conf_in_log(airflow, "github_push_build", run_ids["pushes"], "build")
    assert conf == {
        "repository": "Codertocat/Hello-World",
        "ref": "refs/heads/master",
        "commit": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
        "event": "push",
        "pusher": "Codertocat",
    }


def test_an_order_of_shopify_reaches_the_pipeline_with_all_its_digits_and_lines(airflow, run_ids):
    order = json.loads(body_of(SENT["orders"]))
    conf = conf_in_log(airflow, "order_pipeline", run_ids["orders"], "price")
    assert conf["order_id"] == 820982911946154508
    assert (conf["currency"], conf["customer"]) == ("USD", order["customer"])
    assert conf["lines"] == order["line_items"]
    assert "costs 414.95 USD" in airflow.task_log("order_pipeline", run_ids["orders"], "ship")


def test_a_form_reaches_the_log_as_it_was_sent_but_for_its_signature(airflow, run_ids):
    event = conf_in_log(airflow, "event_log", run_ids["events"], "log_event")["webhook"]
    assert base64.b64decode(event["body"]) == body_of(SENT["events"])
    assert event["headers"]["Content-Type"] == ["application/x-www-form-urlencoded"]
    assert event["headers"]["User-Agent"] == ["TwilioProxy/1.1"]
    assert "X-Twilio-Signature" not in event["headers"]
