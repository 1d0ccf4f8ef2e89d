"""What is kept of responses: what the sender got, without secrets, written after it was sent."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.infrastructure.asgi_endpoint import JSON
from tests.infrastructure.loop import new_receiver
from tests.infrastructure.webhooks_builder import delivery, made_delivery, rows, store_webhook

ECHO = '{"id": "${Webhook::Delivery.id}", "seen": {{ headers }}, "who": "${Webhook::Headers.Authorization}"}'


@pytest.fixture
def kept(sqlite_database):
    """A function that posts to a webhook, and returns the reply and what is kept of it."""
    from inbound_webhooks.deliveries.sent_response import sent_response
    from inbound_webhooks.receiver.instance import get_receiver
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import find_delivery
    from tests.infrastructure.asgi_endpoint import AsgiEndpoint

    def post(hook, body: bytes = b"{}", headers=JSON, query: bytes = b"") -> tuple[Any, Any]:
        headers = [*headers, ("content-length", str(len(body)))]
        reply = AsgiEndpoint().request("POST", hook.path, headers=headers, chunks=[body], query=query)
        get_receiver().responses.flush()
        newest = max(row.id for row in rows("delivery"))
        with transaction() as connection:
            return reply, sent_response(connection, find_delivery(connection, newest))

    return post


FIELDS: dict[str, dict[str, Any]] = {
    "the default": {},
    "no content": {"response_status": 204},
    "filtered": {"filter": "false"},
    "filtered without content": {"filter": "false", "response_status": 204},
    "a template": {"response_template": ECHO, "response_status": 201},
    "an empty template": {"response_template": "", "response_content_type": "text/plain"},
    "text": {"response_template": "seen: {{ query.a }}", "response_content_type": "text/plain"},
    "a filtered template": {"filter": "false", "response_template": '"no"'},
    "refused": {"mapping": {"a": "${Webhook::Body.a.b | int}"}},
}


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS.keys())
def test_it_is_the_response_that_was_sent_whatever_the_webhook_answers(kept, fields):
    reply, found = kept(store_webhook(**fields), query=b"a=b")
    assert (found.status, found.body, found.note) == (reply.status, reply.body.decode(), "")
    sent = {name.lower(): value for name, value in reply.headers}
    assert found.headers or reply.status == 204
    assert {name.lower(): value for name, value in found.headers}.items() <= sent.items()


def test_a_standard_response_takes_no_row_and_a_rendered_one_takes_one(kept):
    kept(store_webhook("standard"))
    assert (rows("response"), rows("delivery")[0].custom_response) == ([], False)
    kept(store_webhook("rendered", response_template='"yes"'))
    assert [row.body for row in rows("response")] == [b'"yes"']


def test_a_repeated_event_keeps_the_response_to_the_first_one(kept):
    hook = store_webhook(dedup="${Webhook::Body.id}", response_template='"${Webhook::Body.name}"')
    kept(hook, b'{"id": 1, "name": "first"}')
    reply, found = kept(hook, b'{"id": 1, "name": "second"}')
    assert (reply.body, found.body) == (b'"second"', '"first"')


def test_the_sender_has_its_response_before_a_statement_writes_it(sqlite_orders, sqlite_database):
    from inbound_webhooks.receiver.instance import get_receiver
    from tests.infrastructure.asgi_endpoint import AsgiEndpoint

    hook = store_webhook("rendered", response_template='"yes"')
    assert AsgiEndpoint().post(hook.path).body == b'"yes"'
    assert rows("response") == []
    get_receiver().responses.flush()
    assert len(rows("response")) == 1


def test_both_databases_keep_what_a_response_may_hold(database, configure):
    from inbound_webhooks.event.response import Response

    receiver = new_receiver()
    odd = "\x00 \N{SNOWMAN} \ud800".encode("utf-8", "replace")
    receiver.responses.add(made_delivery(store_webhook(), 1), Response(200, odd, "text/plain"))
    receiver.responses.flush()
    assert [bytes(row.body) for row in rows("response")] == [odd]


CREDENTIALS = [
    ("authorization", 'Bearer can"ary-1'),
    ("cookie", "a=1; session=canary-2"),
    ("x-api-key", "canary-3"),
]


@pytest.mark.parametrize(
    ("template", "content_type"),
    [
        (ECHO, "application/json"),
        ("{{ headers }} {{ query.token }}", "text/plain"),
        ("{{ headers.Authorization }} {{ query.token }}", "text/plain"),
        ("<a>{{ headers.Authorization }}{{ headers.Cookie }}</a>", "application/xml"),
        ('{{ headers.Authorization | replace("Bearer ", "") }}', "text/plain"),
        ("{{ query }}", "application/json"),
    ],
)
def test_credentials_of_the_request_are_masked_where_the_response_repeats_them(kept, template, content_type):
    hook = store_webhook(response_template=template, response_content_type=content_type)
    reply, found = kept(hook, headers=[*JSON, *CREDENTIALS], query=b"token=canary%2D4&page=7")
    assert b"ary-" in reply.body
    assert "ary-" not in str(found.document())
    assert b"ary-" not in rows("response")[0].body


def test_the_first_eight_kibibytes_are_kept_and_no_part_of_a_credential_at_their_end(kept):
    from inbound_webhooks.receiver.response_log import KEPT_BYTES

    template = "{{ body.filling }}${Webhook::Headers.Authorization}"
    hook = store_webhook(response_template=template, response_content_type="text/plain")
    body = json.dumps({"filling": "x" * (KEPT_BYTES - 10)}).encode()
    reply, found = kept(hook, body, [*JSON, ("authorization", "canary" * 5)])
    assert b"canary" in reply.body
    assert found.body == "x" * (KEPT_BYTES - 10) + "***"
    reply, found = kept(hook, json.dumps({"filling": "\N{SNOWMAN}" * KEPT_BYTES}).encode())
    assert found.body == "\N{SNOWMAN}" * (KEPT_BYTES // 3)
    assert found.note == f"Only the first 8,192 of {3 * KEPT_BYTES:,} bytes are kept."


def test_what_waits_is_bounded_and_one_webhook_takes_half_of_it(sqlite_database):
    from inbound_webhooks.event.response import Response
    from inbound_webhooks.receiver.response_log import ENTRY_BYTES, ResponseLog

    log = ResponseLog(max_waiting_bytes=10 * (ENTRY_BYTES + 1))
    one, other, third = (store_webhook(name) for name in ("one", "other", "third"))
    for number, hook in enumerate([one] * 20 + [other] * 20 + [third]):
        log.add(made_delivery(hook, number), Response(200, b"x"))
    log.flush()
    assert [int(row.id) for row in rows("response")] == [*range(5), *range(20, 25)]
    log.add(made_delivery(one, 99), Response(200, b"x"))
    log.flush()
    assert int(rows("response")[-1].id) == 99


def test_many_are_written_in_batches_and_all_of_them_at_the_end(sqlite_database):
    from inbound_webhooks.event.response import Response
    from inbound_webhooks.receiver.response_log import BATCH_SIZE, ResponseLog

    log = ResponseLog()
    hook = store_webhook()
    for number in range(2 * BATCH_SIZE + 1):
        log.add(made_delivery(hook, number), Response(200, b"x"))
    assert log.flush() is True
    assert len(rows("response")) == BATCH_SIZE
    log.stop()
    assert len(rows("response")) == 2 * BATCH_SIZE + 1


def test_one_that_cannot_be_written_costs_the_others_nothing(sqlite_database):
    from inbound_webhooks.event.response import Response
    from inbound_webhooks.receiver.response_log import ResponseLog

    log, hook = ResponseLog(), store_webhook()
    log.add(made_delivery(hook, 1, credentials="not encrypted"), Response(200, b"x"))
    log.add(made_delivery(hook, 2), Response(200, b"x"))
    log.flush()
    assert [int(row.id) for row in rows("response")] == [2]


def test_a_response_that_is_not_known_says_why(kept, sqlite_database):
    from inbound_webhooks.deliveries.replay import replay
    from inbound_webhooks.deliveries.sent_response import NOT_KEPT, OLDER, REPLAYED, sent_response
    from inbound_webhooks.receiver.instance import get_receiver
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import find_delivery
    from tests.infrastructure.webhooks_builder import store_delivery

    hook = store_webhook()
    cases = {OLDER: store_delivery(hook), NOT_KEPT: store_delivery(hook, custom_response=True)}
    cases[REPLAYED] = replay(get_receiver(), cases[NOT_KEPT], actor="ada").id
    with transaction() as connection:
        for note, delivery_id in cases.items():
            found = sent_response(connection, find_delivery(connection, delivery_id))
            assert (found.note, found.body) == (note, None)
    assert delivery(cases[REPLAYED]).custom_response is None


def test_the_retention_deletes_them_with_their_deliveries(database, configure):
    from inbound_webhooks.dispatch.retention import RetentionJob
    from inbound_webhooks.event.response import Response
    from inbound_webhooks.settings import Settings
    from inbound_webhooks.storage.listing import first_id_at

    receiver, at = new_receiver(), datetime(2030, 1, 1, tzinfo=timezone.utc)
    hook = store_webhook()
    ages = {days: first_id_at(at - timedelta(days=days)) for days in (29, 31)}
    for delivery_id in ages.values():
        made = made_delivery(hook, 0)
        receiver.responses.add(type(made)(**_fields(made) | {"id": delivery_id}), Response(200, b"x"))
    receiver.responses.flush()
    RetentionJob(Settings(), now=lambda: at, pause=lambda _: None).clean()
    assert [row.id for row in rows("response")] == [ages[29]]


def _fields(made: Any) -> dict[str, Any]:
    return {name: getattr(made, name) for name in made.__struct_fields__}
