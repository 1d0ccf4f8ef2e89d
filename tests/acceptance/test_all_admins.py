"""SimpleAuthManager with all-admins: senders that authenticate by a header that Airflow itself appends to."""

from __future__ import annotations

import base64
import json

import pytest

from tests.acceptance.webhooks import Webhook, create, post
from tests.unit.presets.signed_cases import read

pytestmark = [pytest.mark.long, pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)]

ECHO = ("--dag-id", "event_log", "--response-template", '{"auth": ${Webhook::Headers.Authorization}}')


def shown_of(airflow, webhook: Webhook) -> str:
    """What the command line shows of a webhook's only delivery, conf included."""
    (listed,) = json.loads(printed_by(airflow, "deliveries", webhook.name))
    return printed_by(airflow, "delivery", listed["id"])


def printed_by(airflow, *arguments: str) -> str:
    done = airflow.airflow("webhooks", *arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def test_dbt_cloud_signs_into_that_header(airflow):
    (case,) = [case for case in read("dbt-cloud") if case.outcome == "accepted"]
    secret = airflow.home / "dbt-cloud.secret"
    secret.write_text(case.secrets["signing"][0])
    webhook = create(
        airflow,
        "dbt of admins",
        "--preset",
        "dbt-cloud",
        "--dag-id",
        "event_log",
        "--secret",
        f"@{secret}",
    )
    response = post(webhook, case.request.body, dict(case.request.headers))
    assert response.ok, response.text
    assert "eyJ" not in response.text + shown_of(airflow, webhook)


def test_a_password_is_in_that_header(airflow):
    secret = airflow.home / "basic.secret"
    secret.write_text("a password of a test")
    verification = json.dumps({"kind": "basic", "username": "sender"})
    webhook = create(airflow, "basic", *ECHO, "--verify", verification, "--secret", f"@{secret}")
    sent = "Basic " + base64.b64encode(b"sender:a password of a test").decode()
    response = post(webhook, b"{}", {"Authorization": sent})
    assert response.json() == {"auth": sent}
    assert "eyJ" not in shown_of(airflow, webhook)
    assert post(webhook, b"{}").status_code == 401
