"""Charsets at the endpoint: PayPal's forms, what cannot be decoded, and the same values wherever judged."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from tests.infrastructure.asgi_endpoint import Reply
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.loop import new_receiver
from tests.infrastructure.webhooks_builder import ACTOR, Hook, rows, store_webhook

FORM = "application/x-www-form-urlencoded"
PAYPAL = b"payment_type=instant&last_name=M%FCller&mc_gross=19.95&mc_currency=EUR&charset=windows-1252"
"""After https://developer.paypal.com/api/nvp-soap/ipn/IPNIntro/, in which PayPal encodes by default."""
NAME = {"name": "${Webhook::Body.last_name}"}
SECRET = "a secret of a test"


def send(asgi: Any, hook: Hook, body: bytes, content_type: str = FORM, **more: Any) -> Reply:
    headers = [("content-type", content_type), ("content-length", str(len(body))), *more.pop("headers", ())]
    return asgi.request("POST", hook.path, headers=headers, chunks=[body], **more)


def conf() -> dict[str, Any]:
    return json.loads(rows("delivery")[-1].conf)


@pytest.fixture
def hook(sqlite_database) -> Hook:
    store_dag("orders")
    return store_webhook(mapping=NAME)


def test_a_form_of_paypal_is_read_in_its_own_charset(asgi, hook):
    assert send(asgi, hook, PAYPAL).status == 202
    assert conf() == {"name": "Müller"}


def test_raw_utf8_in_a_form_is_accepted(asgi, hook):
    assert send(asgi, hook, "last_name=Müller".encode()).status == 202
    assert conf() == {"name": "Müller"}


@pytest.mark.parametrize(
    ("body", "content_type", "query", "error"),
    [
        (
            b"last_name=M%FCller",
            FORM,
            b"",
            "Field 1 of the form is not utf-8 text: invalid byte at position 1.",
        ),
        (
            b"last_name=M\xfcller",
            FORM,
            b"",
            "Field 1 of the form is not utf-8 text: invalid byte at position 1.",
        ),
        (PAYPAL, f"{FORM}; charset=klingon", b"", "The charset 'klingon' is not supported."),
        (b"\xfc", "text/plain", b"", "The body is not utf-8 text: invalid byte at position 0."),
        (b"x", "text/plain; charset=rot13", b"", "The charset 'rot13' is not supported."),
        (b"last_name=x", FORM, b"user=%FC", "The query is not percent-encoded UTF-8."),
        (b"last_name=x", FORM, b"user=\xfc", "The query is not percent-encoded UTF-8."),
    ],
)
def test_what_cannot_be_decoded_is_400_and_kept(asgi, sqlite_database, body, content_type, query, error):
    store_dag("orders")
    whole = "${Webhook::Body}" if content_type.startswith("text") else NAME["name"]
    hook = store_webhook(mapping={"name": whole, "user": "${Webhook::Query.user}"})
    reply = send(asgi, hook, body, content_type, query=query)
    assert (reply.status, reply.json["status"], reply.json["error"]) == (400, "refused", error)
    (kept,) = rows("delivery")
    assert (kept.state, kept.body, kept.conf, kept.error) == ("refused", body, None, error)


def test_a_query_that_no_expression_needs_may_be_anything(asgi, hook):
    assert send(asgi, hook, PAYPAL, query=b"%FF").status == 202


def test_the_whole_event_needs_its_query(asgi, sqlite_database):
    assert send(asgi, store_webhook(), b"a=1", query=b"a=%FF").status == 400


def test_a_signature_is_over_the_bytes_as_received(asgi, sqlite_database):
    store_dag("orders")
    verification = [{"kind": "hmac", "header": "X-Signature"}]
    hook = store_webhook(mapping=NAME, verification=verification, secrets={"signing": SECRET})

    def signed(body: bytes) -> list[tuple[str, str]]:
        return [("x-signature", hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest())]

    assert send(asgi, hook, PAYPAL, headers=signed(PAYPAL)).status == 202
    decoded = PAYPAL.replace(b"%FC", b"%C3%BC")
    assert send(asgi, hook, PAYPAL, headers=signed(decoded)).status == 401


def test_preview_back_test_and_replay_read_the_same_value(asgi, hook):
    from inbound_webhooks.deliveries.backtest import back_test
    from inbound_webhooks.deliveries.preview import preview_request
    from inbound_webhooks.deliveries.replay import replay
    from inbound_webhooks.receiver.instance import get_receiver
    from inbound_webhooks.webhooks import service

    assert send(asgi, hook, PAYPAL).status == 202
    webhook = service.get(hook.id)
    headers = [("Content-Type", FORM)]
    previewed = preview_request(
        get_receiver(), webhook, method="POST", query_string="", headers=headers, body=PAYPAL
    )
    assert previewed["conf"] == conf()
    (tested,) = back_test(new_receiver(), webhook, webhook, limit=1).judged
    assert (tested.before.conf, tested.after.conf) == (conf(), conf())
    (stored,) = rows("delivery")
    replay(get_receiver(), stored.id, actor=ACTOR, remap=True)
    assert [json.loads(row.conf) for row in rows("delivery")] == [{"name": "Müller"}] * 2


def test_a_body_that_a_user_types_is_what_its_charset_says(hook):
    from inbound_webhooks.deliveries.preview import typed_body

    headers = [("content-type", f"{FORM}; charset=windows-1252")]
    assert typed_body("last_name=Müller", headers) == b"last_name=M\xfcller"
    assert typed_body("last_name=да", headers) == "last_name=да".encode()
