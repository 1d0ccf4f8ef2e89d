"""Listening on a webhook's page: who may, what appears, and the sample and test event beside it."""

from __future__ import annotations

import html
import json
import re
from datetime import datetime, timezone
from typing import Any

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.loop import in_use, loop
from tests.infrastructure.webhooks_builder import Hook, audit_rows, rows, store_delivery, store_webhook
from tests.integration.web.test_webhook_page import form

SECRET = "a secret of the sender's"
MARKUP = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def ada(pages):
    """An admin; the DAG `orders` takes a required integer."""
    from airflow.sdk import Param

    from inbound_webhooks.receiver.instance import forget_receiver, get_receiver

    store_dag("orders", params={"number": Param(type="integer", minimum=10)})
    forget_receiver()
    # As the lifespan of the plugin's application does.
    in_use(get_receiver()).loop = loop()
    return pages.client("ada")


def capture(hook: Hook, **columns: Any) -> None:
    from inbound_webhooks.records.captured import Captured
    from inbound_webhooks.storage.captured import insert_captured
    from inbound_webhooks.storage.database import transaction

    now = datetime.now(timezone.utc)
    base = {
        "webhook_id": hook.id,
        "received_at": now,
        "source_ip": "192.0.2.7",
        "method": "POST",
        "status": 401,
        "reason": "The header X-Sig is missing.",
        "query_string": "page=2",
        "headers": json.dumps([["Content-Type", "application/json"]]),
        "body": json.dumps({"number": 12, "text": MARKUP}).encode(),
        "body_bytes": 40,
    }
    with transaction() as connection:
        assert insert_captured(connection, Captured(**base | columns), most=20, now=now)


def listening(ada: Any, name: str) -> Hook:
    hook = store_webhook(name)
    assert ada.post(f"/hook/{hook.id}/listen").status_code == 303
    return hook


def test_a_captured_request_appears_as_a_tree_with_the_reason(pages, ada) -> None:
    hook = listening(ada, f"tree {pages.auth}")
    assert ada.get(f"/hook/{hook.id}/listener?seen=0").status_code == 204
    capture(hook)
    shown = ada.get(f"/hook/{hook.id}/listener?seen=0")
    assert shown.status_code == 200
    assert 'data-source="Body.number"' in shown.text
    assert 'data-source="Query.page"' in shown.text
    assert "The header X-Sig is missing." in shown.text
    assert MARKUP not in shown.text
    assert 'data-source="Body.number"' in ada.get(f"/hook/{hook.id}").text


def test_a_captured_request_can_be_tried_as_it_came(pages, ada) -> None:
    hook = listening(ada, f"tried {pages.auth}")
    capture(hook)
    shown = ada.get(f"/hook/{hook.id}/listener?seen=0").text
    request = json.loads(html.unescape(re.search('data-request="([^"]*)"', shown)[1]))
    assert request == {
        "method": "POST",
        "query": "page=2",
        "headers": "Content-Type: application/json",
        "body": json.dumps({"number": 12, "text": MARKUP}),
    }


def test_a_captured_body_that_is_no_text_is_not_offered(pages, ada) -> None:
    hook = listening(ada, f"no text {pages.auth}")
    capture(hook, body=b"\xff\xfe")
    assert "data-request" not in ada.get(f"/hook/{hook.id}/listener?seen=0").text


def test_polling_ends_with_the_listener(pages, ada) -> None:
    hook = listening(ada, f"ends {pages.auth}")
    ada.post(f"/hook/{hook.id}/listen", {"do": "stop"})
    ended = ada.get(f"/hook/{hook.id}/listener?seen=0")
    assert ended.status_code == 286
    assert "every 2s" not in ended.text


def test_a_plain_form_listens_too(pages, ada) -> None:
    hook = store_webhook(f"plain {pages.auth}")
    response = ada.post(f"/hook/{hook.id}/listen", follow_redirects=True)
    assert "Listening until" in response.text


def test_a_body_that_is_not_kept_is_said_to_be_missing(pages, ada) -> None:
    hook = listening(ada, f"long {pages.auth}")
    capture(hook, body=None, body_bytes=300_000)
    shown = ada.get(f"/hook/{hook.id}/listener").text
    assert "it is longer than 256.0 KiB" in shown


def test_what_another_webhook_captured_is_not_shown(pages, ada) -> None:
    mine, other = listening(ada, f"mine {pages.auth}"), listening(ada, f"other {pages.auth}")
    capture(other)
    [row] = [row for row in rows("captured") if row.webhook_id == other.id]
    assert "Body.number" not in ada.get(f"/hook/{mine.id}/listener?show={row.id}").text


def test_a_new_webhook_is_saved_disabled_and_listens(pages, ada) -> None:
    name = f"first listens {pages.auth}"
    response = ada.post("/new", form(name=name, dag_id="orders", action="listen"), follow_redirects=True)
    hook = next(row for row in rows("webhook") if row.name == name)
    assert not hook.enabled
    assert hook.listening_until is not None
    assert "Listening until" in response.text


# --- samples --------------------------------------------------------------------------------


def maps(name: str, expression: str) -> dict[str, str]:
    return {"mapping_name": name, "mapping_expression": expression}


def test_the_sample_follows_the_form_as_typed(ada) -> None:
    typed = form(name="", dag_id="orders") | {
        "mapping_name": "number",
        "mapping_expression": "${Webhook::Body.n}",
    }
    sample = ada.post("/sample", typed, script=True).json
    assert json.loads(sample["body"]) == {"n": 10}
    assert 'data-source="Body.n"' in ada.post("/sample/tree", typed).text


def test_the_sample_of_a_sender_is_its_event(ada) -> None:
    sample = ada.post("/sample", form(name="", preset="github"), script=True).json
    assert ["X-GitHub-Event", "push"] in sample["headers"]
    assert json.loads(sample["body"])["ref"] == "refs/heads/main"


def test_try_it_accepts_the_sample_of_every_sender(pages, ada) -> None:
    from inbound_webhooks.presets import PRESETS
    from tests.unit.presets.vendor_secrets import vendor_secrets

    states = {}
    for name, preset in PRESETS.items():
        secrets = vendor_secrets(name)
        hook = store_webhook(f"{name} {pages.auth}", preset=name, dag_id="anything", secrets=secrets)
        typed = form(
            name=name, preset=name, dag_id="anything", verification=json.dumps(list(preset.verification))
        )
        typed |= {"mapping_name": "x", "mapping_expression": next(iter(preset.mapping_example.values()))}
        typed |= {"filter": preset.filter_example or "", "dedup": preset.dedup or ""}
        typed |= {"response_content_type": preset.response_content_type}
        sample = ada.post(f"/hook/{hook.id}/sample", typed, script=True).json
        typed |= {"try_body": sample["body"], "try_query": sample["query"], "try_method": "POST"}
        typed["try_headers"] = "\n".join(": ".join(pair) for pair in sample["headers"])
        reply = ada.post(f"/hook/{hook.id}/try", typed, script=True).json
        states[name] = reply.get("state", reply)
    assert {name: state for name, state in states.items() if state != "accepted"} == {}


def test_a_test_event_is_signed_and_becomes_a_delivery(pages, ada) -> None:
    hook = store_webhook(
        f"sent {pages.auth}", preset="github", dag_id="anything", secrets={"signing": SECRET}
    )
    fields = {
        "try_body": '{"ref": "main"}',
        "try_headers": "Content-Type: application/json\nX-GitHub-Event: push",
    }
    sent = ada.post(f"/hook/{hook.id}/send", fields, script=True).json
    [delivery] = [row for row in rows("delivery") if row.webhook_id == hook.id]
    assert sent["location"].endswith(f"/delivery/{delivery.id}")
    assert (delivery.state, delivery.event_type, delivery.body) == ("accepted", "push", b'{"ref": "main"}')
    [entry] = [row for row in audit_rows() if row.event == "webhook.test" and delivery.id in row.extra]
    assert entry.owner == "ada"
    assert SECRET not in entry.extra


def test_a_test_event_to_a_disabled_webhook_says_what_its_sender_gets(pages, ada) -> None:
    hook = store_webhook(f"disabled {pages.auth}", dag_id="anything", enabled=False)
    sent = ada.post(f"/hook/{hook.id}/send", {"try_body": "{}"}, script=True).json
    assert (sent["status"], sent["location"]) == (403, None)


def test_a_test_event_that_cannot_be_signed_says_why(pages, ada) -> None:
    key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    hook = store_webhook(
        f"unsigned {pages.auth}", preset="discord", dag_id="anything", secrets={"signing": key}
    )
    sent = ada.post(f"/hook/{hook.id}/send", {"try_body": "{}"}, script=True).json
    assert sent["status"] == 401
    assert "private key" in sent["note"]


def test_the_offered_curl_signs_and_has_no_secret(pages, ada) -> None:
    hook = store_webhook(
        f"curl {pages.auth}", preset="github", dag_id="anything", secrets={"signing": SECRET}
    )
    page = ada.get(f"/hook/{hook.id}").text
    assert "openssl dgst -sha256 -hmac" in page
    assert SECRET not in page


def test_the_offered_curl_is_folded_once_something_arrived(pages, ada) -> None:
    hook = store_webhook(f"folded curl {pages.auth}", dag_id="anything")
    assert '<details class="offered" open>' in ada.get(f"/hook/{hook.id}").text
    store_delivery(hook)
    assert '<details class="offered">' in ada.get(f"/hook/{hook.id}").text
