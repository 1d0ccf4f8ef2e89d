"""What a task compares the events of a webhook with."""

from __future__ import annotations

import pytest

from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.wait_match import (
    MAX_VALUE_CHARS,
    Comparison,
    canonical,
    compared,
    condition_key,
    match_key,
    path_source,
    path_text,
)
from tests.infrastructure.webhooks_builder import now

WORK = 1_000_000


def event(body: bytes) -> DataSources:
    request = InboundRequest(
        method="POST",
        query_string="kind=push",
        headers=(("Content-Type", "application/json"), ("X-GitHub-Event", "push")),
        body=body,
        source_ip="192.0.2.1",
        received_at=now(),
    )
    return DataSources(request, body, delivery_id="1", webhook="dbt")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1"),
        (1.5, "1.5"),
        (True, "true"),
        ("True", "true"),
        ("TRUE", "TRUE"),
        ("01", "01"),
        (10**30, "1" + 30 * "0"),
        (None, None),
        ([1], None),
        ({"a": 1}, None),
    ],
)
def test_a_value_is_compared_as_text(value, text):
    assert compared(value) == text


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("body.data.runId", "${Webhook::Body.data.runId}"),
        ("headers.X-GitHub-Event", "${Webhook::Headers.X-GitHub-Event}"),
        ("body.items[0].id", "${Webhook::Body.items[0].id}"),
        ('${Webhook::Body["odd key"]}', '${Webhook::Body["odd key"]}'),
    ],
)
def test_a_path_is_written_as_in_an_expression(path, source):
    assert path_source(path) == source


def test_a_path_is_shown_as_users_write_it():
    assert path_text("${Webhook::Body.data.runId}") == "body.data.runId"
    assert path_text('${Webhook::Body["odd key"]}') == '${Webhook::Body["odd key"]}'


@pytest.mark.parametrize("path", ["runId", "body", "", 7, "{{ body.a | length }}", "${Webhook::Body.a} b"])
def test_another_text_is_no_path(path):
    with pytest.raises(ValueError, match="is no path of an event"):
        path_source(path)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "must be a text, a number or a boolean"),
        ([], "must be a text, a number or a boolean"),
        ("", "the template found nothing"),
        ("None", "the template found nothing"),
        ("x" * (MAX_VALUE_CHARS + 1), "is longer than 500 characters"),
    ],
)
def test_a_value_that_no_event_can_have_is_refused(value, sentence):
    with pytest.raises(ValueError, match=sentence):
        canonical({"body.a": value})


@pytest.mark.parametrize("match", [{}, {f"body.a{number}": 1 for number in range(11)}])
def test_a_match_has_some_paths_and_not_too_many(match):
    with pytest.raises(ValueError, match="1 to 10 paths"):
        canonical(match)


def test_the_order_of_paths_does_not_matter():
    one, other = canonical({"body.a": 1, "body.b": 2}), canonical({"body.b": 2, "body.a": 1})
    assert match_key(one) == match_key(other)
    assert match_key(one) != match_key(canonical({"body.a": 2, "body.b": 1}))


def test_an_event_has_the_hash_of_each_list_of_paths_that_it_has():
    wanted = canonical({"body.id": 7, "headers.X-GitHub-Event": "push", "query.kind": "push"})
    missing = canonical({"body.id": 7, "body.other": 1})
    comparison = Comparison([list(wanted), list(missing)], [], work=WORK)
    assert comparison.keys(event(b'{"id": "7"}')) == {match_key(wanted)}
    assert comparison.keys(event(b'{"id": 8}')) not in ({match_key(wanted)}, set())


def test_a_body_that_cannot_be_read_has_no_hash():
    wanted = canonical({"body.id": 7})
    comparison = Comparison([list(wanted)], ["body.id == 7"], work=WORK)
    assert comparison.keys(event(b"{")) == set()


def test_each_condition_has_a_share_of_the_work():
    costly = "body.items | tojson | length > 0"
    conditions = [costly, "body.id == 7"]
    body = b'{"id": 7, "items": [%s]}' % b",".join(b"%d" % number for number in range(1000))
    assert Comparison([], conditions, work=100_000_000).keys(event(body)) == set(
        map(condition_key, conditions)
    )
    assert Comparison([], conditions, work=20_000).keys(event(body)) == {condition_key("body.id == 7")}


def test_a_condition_that_does_not_compile_leaves_the_others():
    conditions = ["body.id | nothing", "body.id == 7"]
    found = Comparison([], conditions, work=WORK).keys(event(b'{"id": 7}'))
    assert found == {condition_key("body.id == 7")}
