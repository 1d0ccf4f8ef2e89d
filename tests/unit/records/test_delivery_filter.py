"""Conditions of a search as people write them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from inbound_webhooks.errors import InvalidDefinition
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.delivery_filter import DeliveryFilter, parse

ID = "01a2265b464d7b1b90647ccb1f72f062"


def test_reads_every_condition():
    found = parse(
        [
            ("webhook", "shop"),
            ("dag", "orders"),
            ("state", "failed"),
            ("state", "refused"),
            ("event", "push"),
            ("from", "2030-01-01T08:00"),
            ("to", "2030-01-02T00:00:00Z"),
            ("id", ID),
            ("text", " a b "),
        ]
    )
    assert found == DeliveryFilter(
        webhook="shop",
        dag_id="orders",
        states=("failed", "refused"),
        event_type="push",
        since=datetime(2030, 1, 1, 8, tzinfo=timezone.utc),
        until=datetime(2030, 1, 2, tzinfo=timezone.utc),
        id=ID,
        text=" a b ",
    )
    assert parse(found.pairs()) == found


def test_empty_values_are_no_conditions():
    assert parse([("webhook", " "), ("state", ""), ("from", "")]).is_empty


@pytest.mark.parametrize("state", State.ALL)
def test_every_state_can_be_searched_for(state):
    assert parse([("state", state), ("state", state)]).states == (state,)


@pytest.mark.parametrize("written", [ID, f"webhook__{ID}", "01A2265B-464D-7B1B-9064-7CCB1F72F062"])
def test_a_delivery_is_found_by_its_id_and_by_its_run(written):
    assert parse([("id", written)]).id == ID


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("sate", "failed", "no such condition"),
        ("state", "broken", "none of refused"),
        ("from", "yesterday", "not a time such as"),
        ("to", "0001-01-01", "before 1970"),
        ("id", "manual__2030", "neither a delivery's id"),
        ("id", "01a2265", "neither a delivery's id"),
        ("text", "x" * 201, "more than 200 characters"),
        ("webhook", "a\x00b", "NUL"),
    ],
)
def test_says_what_is_wrong_with_a_condition(name, value, said):
    with pytest.raises(InvalidDefinition, match=said) as caught:
        parse([(name, value)])
    assert caught.value.problem.field == name
