"""The judge: which outcome a request has, with what response and which effects."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
from datetime import datetime, timezone
from typing import Any

import pytest

from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.event.judge import (
    Outcome,
    Verdict,
    Verified,
    authenticate,
    decide,
    decide_as_received,
    duplicate,
)
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.rules import Rules, compile_rules
from inbound_webhooks.records.webhook import Draft
from inbound_webhooks.webhooks.secrets import preset_fields
from tests.unit.event.builders import parameter

AT = datetime(2026, 11, 30, tzinfo=timezone.utc)
URL = "https://hooks.example.com/webhook/abcdefghij/token"
SECRETS = {"signing": ["new secret", "old secret"]}
ORDER = b'{"id": 7, "kind": "order", "item": {"number": 3}}'
MAPPING = {"number": "${Webhook::Body.item.number}"}


def rules_of(preset: str | None = None, **fields: Any) -> Rules:
    filled = preset_fields(preset, SECRETS)
    return compile_rules(Draft(**(filled | {"name": "a", "dag_id": "a", "preset": preset} | fields)))


def asked(body: bytes = ORDER, method: str = "POST", query: str = "", **headers: str) -> InboundRequest:
    named = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return InboundRequest(
        method=method,
        query_string=query,
        headers=tuple(named.items()),
        body=body,
        source_ip="192.0.2.7",
        received_at=AT,
    )


def signed(body: bytes, secret: str) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X_Hub_Signature_256": f"sha256={digest}"}


def authenticated(rules: Rules, request: InboundRequest) -> Verified | Verdict:
    return authenticate(rules, request, SECRETS, AT, url=URL)


def decided(
    rules: Rules, request: InboundRequest, params: dict[str, Parameter] | None = None, **more: Any
) -> Verdict:
    return decide(rules, request, request.body, params, delivery_id="0" * 32, secrets=SECRETS, **more)


# --- authenticate ---------------------------------------------------------------------------


@pytest.mark.parametrize(("secret", "index"), [("new secret", 0), ("old secret", 1)])
def test_a_signature_names_the_secret_that_matched(secret, index):
    rules = rules_of("github")
    assert authenticated(rules, asked(**signed(ORDER, secret))) == Verified({"signing": index})


@pytest.mark.parametrize("headers", [{}, signed(ORDER, "another"), signed(b"{}", "new secret")])
def test_a_wrong_or_missing_signature_is_401_without_detail(headers):
    verdict = authenticated(rules_of("github"), asked(**headers))
    assert isinstance(verdict, Verdict)
    assert (verdict.outcome, verdict.response.status) == (Outcome.REJECTED, 401)
    assert b"secret" not in verdict.response.body
    assert b"sha256" not in verdict.response.body
    assert verdict.error is not None


def test_the_bytes_as_received_are_verified():
    packed = gzip.compress(ORDER)
    rules = rules_of("github")
    assert isinstance(
        authenticated(rules, asked(packed, Content_Encoding="gzip", **signed(packed, "new secret"))), Verified
    )
    assert isinstance(
        authenticated(rules, asked(packed, Content_Encoding="gzip", **signed(ORDER, "new secret"))), Verdict
    )


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_starts_nothing_needs_no_signature(method):
    assert authenticated(rules_of("github"), asked(b"", method)) == Verified()


def test_a_handshake_before_verification_ends_the_request():
    query = "hub.mode=subscribe&hub.challenge=42&hub.verify_token=new%20secret"
    rules = rules_of("meta")
    verdict = authenticate(rules, asked(b"", "GET", query), {"verify": ["new secret"]}, AT, url=URL)
    assert isinstance(verdict, Verdict)
    assert (verdict.outcome, verdict.response.status, verdict.response.body) == (
        Outcome.HANDSHAKE,
        200,
        b"42",
    )
    wrong = authenticate(rules, asked(b"", "GET", query), {"verify": ["another"]}, AT, url=URL)
    assert isinstance(wrong, Verdict)
    assert (wrong.outcome, wrong.response.status) == (Outcome.REJECTED, 403)


# --- decide ---------------------------------------------------------------------------------

OUTCOMES = {
    "accepted": ({}, ORDER, Outcome.ACCEPTED, 202, '{"number":3}'),
    "a template answers with 200": (
        {"response_template": '{"ok": "${Webhook::Body.id}"}'},
        ORDER,
        Outcome.ACCEPTED,
        200,
        '{"number":3}',
    ),
    "its own status": ({"response_status": 201}, ORDER, Outcome.ACCEPTED, 201, '{"number":3}'),
    "filtered": ({"filter": 'body.kind == "invoice"'}, ORDER, Outcome.FILTERED, 200, None),
    "violates the params": ({"mapping": {"number": "x"}}, ORDER, Outcome.REFUSED, 422, None),
    "violates the params, as accepted": (
        {"mapping": {"number": "x"}, "invalid_status": 202},
        ORDER,
        Outcome.REFUSED,
        202,
        None,
    ),
    "not of its type": ({}, b"{", Outcome.REFUSED, 400, None),
    "a param is missing": ({}, b"{}", Outcome.REFUSED, 422, None),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_the_content_decides(case):
    fields, body, outcome, status, conf = OUTCOMES[case]
    rules = rules_of(**({"mapping": MAPPING} | fields))
    verdict = decided(
        rules, asked(body), {"number": parameter("number", {"type": "integer"})}, params_version="v1"
    )
    assert (verdict.outcome, verdict.response.status, verdict.conf) == (outcome, status, conf)
    assert (verdict.error is not None) == (outcome == Outcome.REFUSED)
    assert verdict.params_version == (None if conf is None else "v1")
    assert verdict.delivery_id == "0" * 32


def test_a_get_is_verified_and_gets_the_template_without_a_body():
    rules = rules_of(response_template="${Webhook::Query.token}", response_content_type="text/plain")
    verdict = decided(rules, asked(b"", "GET", "token=abc"))
    assert (verdict.outcome, verdict.response.status, verdict.response.body) == (
        Outcome.VERIFIED,
        200,
        b"abc",
    )
    assert (verdict.conf, verdict.delivery_id) == (None, "")


def test_event_type_and_deduplication_key_are_of_the_content():
    rules = rules_of(event_type="${Webhook::Body.kind}", dedup="${Webhook::Body.id}")
    verdict = decided(rules, asked())
    assert verdict.event_type == "order"
    assert verdict.deduplication_key == hashlib.sha256(b"7").hexdigest()
    assert decided(rules, asked(b'{"kind": ["a"]}')).deduplication_key is None


def test_without_a_mapping_the_conf_is_the_whole_event_without_credentials():
    verdict = decided(rules_of(), asked(Authorization="Bearer abc"))
    conf = json.loads(verdict.conf or "")
    assert conf["webhook"]["body"] == json.loads(ORDER)
    assert "abc" not in (verdict.conf or "")


def test_a_dag_that_is_not_known_yet_takes_what_the_mapping_makes():
    verdict = decided(rules_of(mapping={"number": "x"}), asked(), None)
    assert (verdict.outcome, verdict.conf) == (Outcome.ACCEPTED, '{"number":"x"}')


def test_a_packed_body_is_decided_by_its_content_and_within_its_limit():
    rules, packed = rules_of(mapping=MAPPING), gzip.compress(ORDER)

    def at_most(limit: int) -> Verdict:
        return decide_as_received(
            rules,
            asked(packed),
            None,
            delivery_id="0" * 32,
            max_content_bytes=limit,
            encoding="gzip",
            secrets={},
        )

    assert at_most(1_000).conf == '{"number":3}'
    assert (at_most(10).outcome, at_most(10).response.status) == (Outcome.REJECTED, 413)


def test_a_repeated_event_gets_the_first_deliverys_id():
    rules, request = rules_of(dedup="${Webhook::Body.id}"), asked()
    verdict = decided(rules, request)
    response = duplicate(rules, request, verdict, "f" * 32, max_content_bytes=1_000)
    assert response.status == verdict.response.status == 202
    assert json.loads(response.body) == {"status": "duplicate", "delivery_id": "f" * 32}
