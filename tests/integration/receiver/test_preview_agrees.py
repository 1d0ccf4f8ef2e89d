"""The preview judges as the endpoint does: the same status, headers, body, state and conf."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from inbound_webhooks.presets import PRESETS
from tests.infrastructure.webhooks_builder import now, rows
from tests.integration.receiver.signed_posts import OF_OURS, Sender
from tests.unit.presets.signed_cases import Case, read

OURS = {"content-type", "x-content-type-options", "content-security-policy", "cache-control", "allow"}
OURS |= {"www-authenticate"}
"""Headers that the judge decides about; a server adds others."""


def reaches_a_webhook(case: Case) -> bool:
    """Whether the vendor signed no URL, or one that a webhook of ours can have."""
    signs_url = any(one["kind"] == "twilio" or "{url}" in one.get("signed", "") for one in case.verification)
    return not signs_url or OF_OURS.fullmatch(case.request.url) is not None


CASES = {name: [case for case in read(name) if reaches_a_webhook(case)] for name in PRESETS}


def previewed(sender: Sender, **changes: Any) -> dict[str, Any]:
    from inbound_webhooks.deliveries.preview import preview_request
    from inbound_webhooks.webhooks import service

    request = sender.case.request
    sent = {
        "method": request.method,
        "query_string": request.query_string,
        "headers": [*request.headers, ("content-length", str(len(request.body)))],
        "body": request.body,
    }
    webhook = service.get(sender.hook.id)
    return preview_request(sender.receiver, webhook, now=sender.case.now, **{**sent, **changes})


def differences(sender: Sender, preview: dict[str, Any]) -> list[str]:
    """What the endpoint does otherwise, with the ids of deliveries left out."""
    reply = sender.send()
    stored = next(iter(rows("delivery")), None)
    delivery_id = "" if stored is None else stored.id
    said = json.dumps(preview["body"])
    for word in said.split('"'):
        if len(word.rstrip("\\")) == 32 and delivery_id:
            said = said.replace(word.rstrip("\\"), delivery_id)
    headers = {name.lower(): value for name, value in preview["headers"]} | {
        "content-type": preview["content_type"]
    }
    pairs = {
        "status": (reply.status, preview["status"]),
        "body": (reply.body.decode("utf-8", "replace"), json.loads(said)),
        "headers": (
            {name.lower(): value for name, value in reply.headers if name.lower() in OURS},
            {name: value for name, value in headers.items() if name in OURS},
        ),
    }
    if stored is not None:
        conf = None if stored.conf is None else json.loads(stored.conf)
        pairs |= {"state": (stored.state, preview["state"]), "conf": (conf, preview["conf"])}
    else:
        pairs["leaves no delivery"] = (True, preview["state"] in ("rejected", "handshake", "verified"))
    return [
        f"{sender.case}: {what}: {ours!r}, {shown!r}"
        for what, (ours, shown) in pairs.items()
        if ours != shown
    ]


@pytest.mark.parametrize("name", CASES)
def test_preview_and_endpoint_agree_on_each_case_of_a_preset(sqlite_template, name):
    from tests.infrastructure.databases import connect_airflow, disconnect_airflow

    found = []
    for case in CASES[name]:
        connect_airflow(sqlite_template.fresh().url)
        try:
            sender = Sender.of(case)
            preview = previewed(sender)
            if preview["note"] is None:
                found += differences(sender, preview)
            else:
                assert sender.send().status == 401
        finally:
            disconnect_airflow()
    assert found == []


def test_a_webhook_of_meta_shows_the_challenge_or_refuses_the_token(sqlite_database):
    case = next(case for case in read("meta") if case.request.method == "GET" and case.response)
    sender = Sender.of(case)
    shown = previewed(sender)
    assert (shown["state"], shown["status"]) == ("handshake", 200)
    assert shown["body"] in case.request.query_string
    wrong = case.request.query_string.replace(case.secrets["verify"][0], "another")
    shown = previewed(sender, query_string=wrong)
    assert (shown["state"], shown["status"]) == ("rejected", 403)


def test_a_request_without_its_signature_is_judged_and_the_note_says_so(sqlite_database):
    case = next(case for case in read("github") if case.outcome == "accepted")
    sender = Sender.of(case)
    headers = [pair for pair in case.request.headers if "signature" not in pair[0].lower()]
    shown = previewed(sender, headers=headers)
    assert (shown["state"], shown["status"]) == ("accepted", 202)
    assert shown["note"] == "The request has no signature, so none was checked."


def test_a_stored_request_is_judged_although_its_signature_is_masked(sqlite_database):
    case = next(case for case in read("github") if case.outcome == "accepted")
    masked = [(name, "***" if "signature" in name.lower() else value) for name, value in case.request.headers]
    shown = previewed(Sender.of(case), headers=masked)
    assert (shown["state"], shown["status"]) == ("accepted", 202)
    assert shown["note"] == "The request's credentials are masked, so none were checked."


def test_a_wrong_signature_is_rejected_as_the_endpoint_does(sqlite_database):
    case = next(case for case in read("github") if case.outcome == "accepted")
    sender = Sender.of(case)
    # Asterisks in a text are no mask.
    for more in (b" ", b" *** "):
        shown = previewed(sender, body=case.request.body + more)
        assert (shown["state"], shown["status"]) == ("rejected", 401)


def test_an_expired_secret_is_rejected_as_the_endpoint_does(sqlite_database):
    case = next(case for case in read("github") if case.outcome == "accepted")
    sender = Sender.of(case)
    sender.rotate("the new secret of a test", grace_hours=1)
    for hours, status in ((0, 202), (2, 401)):
        later = replace(case, now=now() + timedelta(hours=hours))
        assert previewed(replace(sender, case=later))["status"] == status


def test_no_content_type_is_made_up(sqlite_database):
    case = next(case for case in read("generic-api-key") if case.outcome == "accepted")
    headers = [pair for pair in case.request.headers if pair[0].lower() != "content-type"]
    shown = previewed(Sender.of(case), headers=headers, body=b'{"a": 1}')
    assert shown["conf"]["webhook"]["body"] == "eyJhIjogMX0="
