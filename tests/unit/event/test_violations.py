"""Sentences about values that break a schema."""

from __future__ import annotations

import pytest

from inbound_webhooks.event.conf.linear_check import LinearCheck
from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.event.conf.schema_check import SchemaCheck

CASES = [
    ({"type": ["integer", "null"]}, "canary", "expected integer or null, not string"),
    ({"type": "integer"}, 1.5, "expected integer, not number"),
    ({"type": "string"}, None, "expected string, not null"),
    ({"required": ["a", "b"]}, {"a": 1}, "b is missing"),
    ({"enum": ["a", 1]}, "canary", "must be one of ['a', 1]"),
    ({"const": {"a": 1}}, "canary", "must be {'a': 1}"),
    ({"minimum": 3}, 1, "must be at least 3"),
    ({"exclusiveMaximum": 1.5}, 2, "must be less than 1.5"),
    ({"multipleOf": 0.5}, 0.7, "must be a multiple of 0.5"),
    ({"maxLength": 3}, "canary", "must have at most 3 characters"),
    ({"pattern": r"^\d+$"}, "canary", r"must match the pattern '^\\d+$'"),
    ({"format": "date"}, "canary", "must have the format 'date'"),
    ({"minItems": 2}, [1], "must have at least 2 items"),
    ({"maxProperties": 0}, {"canary": 1}, "must have at most 0 keys"),
    ({"items": {"type": "integer"}}, [1, "canary"], "at [1]: expected integer, not string"),
    (
        {"properties": {"a": {"items": {"type": "null"}}}},
        {"a": [None, 1]},
        "at ['a'][1]: expected null, not integer",
    ),
    ({"additionalProperties": {"type": "null"}}, {"canary": 1}, "at […]: expected null, not integer"),
    ({"anyOf": [{"type": "null"}, {"type": "array", "maxItems": 0}]}, "canary", None),
    ({"not": {}}, "canary", "must not match what the schema excludes"),
    ({"additionalProperties": False}, {"canary": 1}, None),
    ({"contains": {"type": "null"}}, ["canary"], "must contain an item that the schema asks for"),
]


@pytest.mark.parametrize(("schema", "value", "sentence"), CASES, ids=str)
def test_a_sentence_names_the_rule_and_the_place_and_not_the_value(schema, value, sentence):
    found = Parameter("p", schema).refusal(value)
    assert found is not None
    assert found == (sentence or found)
    assert "canary" not in found


@pytest.mark.parametrize(("schema", "value", "sentence"), CASES, ids=str)
def test_the_backtracking_check_says_the_same(schema, value, sentence):
    slow = SchemaCheck({"$anchor": "slow", **schema})
    assert not isinstance(slow.linear, LinearCheck)
    found = slow.unlimited_refusal(value)
    assert found is not None
    assert found == (sentence or found)
    assert "canary" not in found


def test_a_long_rule_is_cut():
    found = Parameter("p", {"enum": [f"choice {number}" for number in range(1_000)]}).refusal("x")
    assert found is not None
    assert len(found) < 300
