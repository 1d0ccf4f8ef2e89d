"""A sender whose public key is not known yet: asked to retry, and accepted once the key is fetched."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.loop import answer_of, new_receiver
from tests.infrastructure.webhooks_builder import rows, store_webhook

CASE = json.loads((Path(__file__).parents[2] / "unit/presets/cases/aws-sns.json").read_text())[0]
MESSAGE = json.loads(CASE["body"])
CERTIFICATE_URL = MESSAGE["SigningCertURL"]
SENT_AT = datetime(2026, 3, 6, 19, 56, tzinfo=timezone.utc)
CERTIFICATE = CASE["secrets"][0]


@pytest.fixture
def hook(database):
    store_dag("orders")
    return store_webhook(preset="aws-sns", refresh_keys=True)


@pytest.fixture
def receiver(hook):
    return new_receiver(now=lambda: SENT_AT)


def post(receiver, hook, body=CASE["body"]):
    from inbound_webhooks.event.request import InboundRequest
    from inbound_webhooks.receiver.admission import RequestHead

    head = RequestHead(
        method="POST", webhook_id=hook.id, token=hook.token, declared_length=None, source_ip="192.0.2.1"
    )
    request = InboundRequest(
        method="POST",
        query_string="",
        headers=tuple(tuple(header) for header in CASE["headers"]),
        body=body.encode(),
        source_ip="192.0.2.1",
        received_at=SENT_AT,
    )
    response = answer_of(receiver, head, request)
    receiver.rejections.flush()
    return response


def fetch_keys() -> None:
    from inbound_webhooks.dispatch.key_refresher import KeyRefresher

    KeyRefresher({CERTIFICATE_URL: CERTIFICATE}.__getitem__, now=lambda: SENT_AT).refresh_due()


def test_a_message_whose_certificate_is_not_known_is_to_come_again(receiver, hook):
    response = post(receiver, hook)
    assert (response.status, dict(response.all_headers)["Retry-After"], rows("delivery")) == (503, "15", [])
    (rejection,) = rows("rejection")
    assert (rejection.key_url, rejection.status) == (CERTIFICATE_URL, 503)


def test_it_is_accepted_once_the_certificate_is_fetched(receiver, hook):
    post(receiver, hook)
    fetch_keys()
    assert (post(receiver, hook).status, len(rows("delivery"))) == (200, 1)
    assert rows("secret")[0].last_used_at is not None


def test_a_forged_message_under_a_fetched_certificate_is_refused_for_good(receiver, hook):
    post(receiver, hook)
    fetch_keys()
    forged = CASE["body"].replace("no subject", "another text")
    assert (post(receiver, hook, forged).status, rows("delivery")) == (401, [])


def test_an_old_message_is_refused_before_its_certificate_matters(hook):
    late = new_receiver(now=lambda: SENT_AT + timedelta(hours=2))
    assert post(late, hook).status == 401


def test_a_request_itself_fetches_nothing(receiver, hook, monkeypatch):
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("a request called out")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert post(receiver, hook).status == 503
