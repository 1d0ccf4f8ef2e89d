"""Hostile input: it is reported as the caller's problem, never as ours, and repeats no secret."""

from __future__ import annotations

import pytest

from tests.infrastructure.webhooks_builder import store_webhook
from tests.integration.rest.conftest import new_name

SECRET = "canary-of-the-secret-0123456789abcdef"


def test_a_nul_is_refused_before_a_database_sees_it(admin):
    for path in ("/webhooks?dag_id=%00", "/deliveries?webhook_id=%00", "/deliveries?cursor=%00"):
        assert admin("GET", path).status_code == 422
    for path in ("/webhooks/%00", "/deliveries/%00", "/presets/%00"):
        assert admin("GET", path).status_code == 404


@pytest.mark.parametrize("character", ["\\u0000", "\\ud800", "\\udfff"])
@pytest.mark.parametrize(
    "field",
    [
        '"filter": "x{}"',
        '"mapping": {{"a{}": "b"}}',
        '"mapping": {{"a": "{}"}}',
        '"x{}": 1',
        '"name": "{}"',
        '"dag_id": "{}"',
        '"preset": "{}"',
        '"secrets": {{"signing": "{}"}}',
        '"verification": [{{"kind": "hmac", "header": ["{}"]}}]',
        '"notify_failure": ["{}@example.com"]',
    ],
)
def test_a_text_that_no_database_holds_is_reported_as_a_problem(admin, field, character):
    base = f'"name": "{new_name()}", "dag_id": "orders"'
    body = f"{{{base}, {field.format(character)}}}"
    response = admin("POST", "/webhooks", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422, response.text
    assert response.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="cut"),
        pytest.param(b'{"name": NaN}', id="nan"),
        pytest.param(b"\xed\xa0\x80", id="bytes"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"max_per_second": ' + b"9" * 5_000 + b"}", id="long"),
        pytest.param(b'{"verification": [{"a": ' + b"[" * 900 + b"]" * 900 + b"}]}", id="deep verification"),
    ],
)
def test_what_is_no_json_of_ours_is_reported_as_a_problem(admin, body):
    hook = store_webhook(new_name())
    for method, path in (("POST", "/webhooks"), ("PATCH", f"/webhooks/{hook.id}")):
        response = admin(method, path, content=body, headers={"Content-Type": "application/json"})
        assert response.status_code in (400, 422), response.text


def test_no_problem_repeats_a_secret(admin):
    hook = store_webhook(new_name(), preset="github", secrets={"signing": SECRET})
    wrong = {"secrets": {"signing": SECRET, "other": SECRET}}
    asked = [
        ("POST", "/webhooks", wrong),
        ("POST", "/webhooks", {"name": new_name(), "dag_id": "orders", "filter": "\0"} | wrong),
        ("POST", "/webhooks", {"name": new_name(), "dag_id": "orders", "secrets": {"signing": [SECRET]}}),
        ("PATCH", f"/webhooks/{hook.id}", wrong),
        ("POST", f"/webhooks/{hook.id}/rotate", {"secret": SECRET}),
        ("POST", f"/webhooks/{hook.id}/rotate", {"secret": f" {SECRET}", "purpose": "signing"}),
    ]
    responses = [admin(*one) for one in asked]
    assert [response.status_code for response in responses] == [422] * len(asked)
    assert SECRET not in "".join(response.text for response in responses)
