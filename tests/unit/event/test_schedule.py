"""When a run starts, for which logical date, and with which note."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from inbound_webhooks.errors import DefinitionError
from inbound_webhooks.event.judge import Outcome, decide
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.rules import compile_rules
from inbound_webhooks.records.webhook import Draft

RECEIVED = datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=timezone.utc)


def verdict(body=None, **fields):
    """The verdict on a JSON body by a webhook with these fields."""
    content = json.dumps(body or {}).encode()
    request = InboundRequest(
        method="POST",
        query_string="",
        headers=(("Content-Type", "application/json"),),
        body=content,
        source_ip="192.0.2.7",
        received_at=RECEIVED,
    )
    rules = compile_rules(Draft(name="a", dag_id="b", mapping={"a": "1"}, **fields))
    return decide(rules, request, content, None, delivery_id="0" * 32, secrets={})


def schedule(body=None, **fields):
    found = verdict(body, **fields)
    assert found.outcome == Outcome.ACCEPTED, found.error
    return found.schedule


def test_a_webhook_without_the_fields_has_no_schedule():
    assert schedule() is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-02-28", datetime(2026, 2, 28)),
        ("2026-02-28T10:00:00Z", datetime(2026, 2, 28, 10)),
        ("2026-02-28T10:00:00+02:00", datetime(2026, 2, 28, 8)),
        ("2026-02-28T10:00:00.5", datetime(2026, 2, 28, 10, 0, 0, 500000)),
    ],
)
def test_a_logical_date_is_a_time_in_iso_8601(given, expected):
    found = schedule({"day": given}, logical_date="${Webhook::Body.day}")
    assert found.logical_date == expected.replace(tzinfo=timezone.utc)


def test_the_logical_date_may_be_the_time_of_receipt():
    assert schedule(logical_date="received").logical_date == RECEIVED


@pytest.mark.parametrize(
    ("given", "seconds"), [("600", 600), (600, 600), (0.5, 0.5), ("2026-03-01T13:00:00Z", 1799.876544)]
)
def test_a_run_starts_after_seconds_or_at_a_time(given, seconds):
    found = schedule({"when": given}, run_after="${Webhook::Body.when}")
    assert found.run_after == RECEIVED + timedelta(seconds=seconds)


def test_what_is_missing_in_the_request_leaves_the_field_out():
    found = schedule(logical_date="${Webhook::Body.day}", run_after="${Webhook::Body.when}", note="")
    assert (found.logical_date, found.run_after, found.note) == (None, None, None)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("logical_date", "soon", "logical date: it is not received, or a time such as 2026-03-01T12:00:00Z"),
        ("logical_date", 5, "logical date: it is not received, or a time such as 2026-03-01T12:00:00Z"),
        ("logical_date", "0001-01-01", "logical date: its year is not between 1970 and 2199"),
        ("run_after", "soon", "run_after: it is not a number of seconds, or a time such as"),
        ("run_after", -1, "run_after: the delay is not between 0 seconds and 366 days"),
        ("run_after", 1e300, "run_after: it is not a number of seconds, or a time"),
        ("run_after", "2199-01-01", "run_after: it is more than 366 days away"),
    ],
)
def test_an_unusable_value_refuses_the_request_with_a_sentence(field, value, sentence):
    found = verdict({"value": value}, **{field: "${Webhook::Body.value}"})
    assert (found.outcome, found.response.status) == (Outcome.REFUSED, 422)
    assert found.error.message.startswith(sentence)


@pytest.mark.parametrize("field", ["logical_date", "run_after"])
@pytest.mark.parametrize("text", ["tomorrow", "12:00", "{{ body. }}", "9e99"])
def test_a_constant_that_is_no_time_is_refused_when_it_is_saved(field, text):
    with pytest.raises(DefinitionError) as caught:
        compile_rules(Draft(name="a", dag_id="b", **{field: text}))
    assert caught.value.problem.field == field


def test_a_note_has_at_most_a_thousand_characters_and_never_refuses():
    assert schedule({"a": "x" * 5_000}, note="Order ${Webhook::Body.a}").note == "Order " + "x" * 993 + "…"
    assert schedule({"a": "\0b"}, note="${Webhook::Body.a}").note == "b"
    assert schedule({"a": []}, note="{{ body.a | first }}").note is None


def test_a_webhook_with_plain_fields_is_judged_on_the_loop():
    plain = compile_rules(Draft(name="a", dag_id="b", run_after="60", logical_date="received"))
    computed = compile_rules(Draft(name="a", dag_id="b", run_after="{{ body.a | int }}"))
    assert (plain.inline_bytes > 0, computed.inline_bytes) == (True, -1)
