"""What a conf holds is in no error, mail, log record or response, whichever part refuses it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import Param

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import rows, store_delivery, store_webhook

VALUE, KEY = "canary-4111-1111", "canary-key"

SCHEMAS: dict[str, tuple[dict[str, Any], Any]] = {
    "type": ({"type": ["integer", "null"]}, VALUE),
    "enum": ({"enum": [None, "a"]}, VALUE),
    "const": ({"const": None}, VALUE),
    "pattern": ({"pattern": "^b"}, VALUE),
    "slow pattern": ({"pattern": "^(?=b)"}, VALUE),
    "format": ({"format": "date"}, VALUE),
    "maxLength": ({"maxLength": 3}, VALUE),
    "items": ({"items": {"type": "integer"}}, [VALUE]),
    "uniqueItems": ({"uniqueItems": True}, [VALUE, VALUE]),
    "contains": ({"contains": {"type": "integer"}}, [VALUE]),
    "a key beside those that are named": ({"additionalProperties": False}, {KEY: VALUE}),
    "its value": ({"additionalProperties": {"type": "integer"}}, {KEY: VALUE}),
    "a key that matches a pattern": ({"patternProperties": {"^c": {"type": "integer"}}}, {KEY: VALUE}),
    "a key's name": ({"propertyNames": {"maxLength": 3}}, {KEY: VALUE}),
    "a key that another one requires": ({"dependentRequired": {"canary-key": ["id"]}}, {KEY: VALUE}),
    "alternatives": ({"anyOf": [{"type": "null"}, {"items": False, "type": "array"}]}, {KEY: [VALUE]}),
    "one alternative": ({"oneOf": [{"type": "object"}, {"required": [KEY[::-1]]}, {}]}, {KEY: VALUE}),
    "what is excluded": ({"not": {"type": "string"}}, VALUE),
    "a recursive schema": (
        {"additionalProperties": {"$ref": "#"}, "type": ["object", "null"]},
        {KEY: {KEY: VALUE}},
    ),
    "no schema": ({"type": "nothing"}, VALUE),
}


@pytest.fixture(params=SCHEMAS)
def case(request, database):
    """A webhook whose DAG refuses a value, and the value."""
    schema, value = SCHEMAS[request.param]
    # Without a default, which Airflow would check when it reads the DAG's file.
    store_dag("orders", params={"value": Param(**schema)})
    hook = store_webhook(
        mapping={"value": "${Webhook::Body.value}"}, notify_failure=("owner@example.com",), notify_success=()
    )
    return hook, value


def test_no_response_stored_error_or_log_record_of_the_endpoint_has_it(case, asgi, caplog, capfd):
    hook, value = case
    reply = asgi.post(hook.path, json.dumps({"value": value}).encode())
    (stored,) = rows("delivery")
    assert (reply.status, stored.state) == (422, "refused")
    assert_private(reply.body.decode(), stored.error, caplog.text, *capfd.readouterr())


def test_no_error_or_mail_of_the_dispatcher_has_it(case, caplog, capfd):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    hook, value = case
    store_delivery(hook, conf=json.dumps({"value": value}))
    dispatcher = Dispatcher(Settings())
    while dispatcher.dispatch_due():
        continue
    (stored,) = rows("delivery")
    assert stored.state == "undeliverable"
    mails = [str(mail) for mail in rows("mail")] + [str(each) for each in mail_deliveries()]
    assert len(mails) >= 2
    assert_private(stored.error, *mails, caplog.text, *capfd.readouterr())


def test_no_preview_has_it(case):
    from inbound_webhooks.deliveries.preview import preview_request
    from inbound_webhooks.receiver.instance import get_receiver
    from inbound_webhooks.webhooks import service

    hook, value = case
    shown = preview_request(
        get_receiver(),
        service.get(hook.id),
        method="POST",
        query_string="",
        headers=[("Content-Type", "application/json")],
        body=json.dumps({"value": value}).encode(),
    )
    assert shown["state"] == "refused"
    assert_private(shown["error"], shown["body"])


def assert_private(*texts: str) -> None:
    for text in texts:
        assert VALUE not in text
        assert KEY not in text


def mail_deliveries() -> list[Any]:
    from airflow import settings

    from inbound_webhooks.storage import tables

    with settings.engine.connect() as connection:
        return list(connection.execute(tables.mail_delivery.select()))
