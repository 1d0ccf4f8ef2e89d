"""Our check of a param's value comes to the same verdict as Airflow's own, which each task repeats."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from airflow.serialization.definitions.param import SerializedParam, SerializedParamsDict
from hypothesis import example, given
from hypothesis import strategies as st

from inbound_webhooks.airflow_bridge.check_process import CHECK_PROCESS
from inbound_webhooks.event.conf.linear_check import LinearCheck
from inbound_webhooks.event.conf.parameter import Parameter, check_conf

# The warning of jsonschema for a $schema that it does not know.
pytestmark = pytest.mark.filterwarnings("ignore:The metaschema specified by")

DRAFT = "http://json-schema.org/draft-{:02}/schema#"
NESTED = {"$defs": {"id": {"type": "integer", "minimum": 1}}, "items": {"$ref": "#/$defs/id"}}

LINEAR: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": ["null", "integer"]},
    {"type": "integer"},
    {"type": "number", "minimum": -1.5, "exclusiveMaximum": 10**30},
    {"type": "string", "minLength": 2, "maxLength": 3},
    {"type": "string", "pattern": "^a"},
    {"pattern": r"^\w+$"},
    {"pattern": r"\d\Z"},
    {"pattern": r"[^\s\d]"},
    {"pattern": r"^(?:[a-c]|é+?){1,2}.x?$"},
    {"patternProperties": {"^i": {"type": "integer"}}, "additionalProperties": False},
    *({"type": "string", "format": name} for name in ("date", "email", "ipv4", "ipv6", "time", "uuid")),
    *({"format": name} for name in ("date-time", "hostname", "uri", "json-pointer", "no such format")),
    {"type": "integer", "minimum": 2, "multipleOf": 3},
    {"multipleOf": 0.1},
    {"multipleOf": 0.01},
    {"multipleOf": 1e-7},
    {"maximum": 10**25},
    {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}},
    {"properties": {"pattern": {"type": "integer"}, "$id": {"type": "string"}, "id": False}},
    {"additionalProperties": {"type": "integer"}, "maxProperties": 1, "propertyNames": {"maxLength": 2}},
    {"dependentRequired": {"id": ["name"]}, "minProperties": 1},
    {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    {"uniqueItems": True, "minItems": 1, "maxItems": 2},
    {"prefixItems": [{"type": "integer"}], "items": {"type": "string"}},
    {"contains": {"type": "integer"}, "minContains": 1, "maxContains": 2},
    {"anyOf": [{"type": "string"}, {"type": "integer", "maximum": 3}]},
    {"oneOf": [{"type": "number"}, {"type": "integer"}]},
    {"not": {"type": "string"}},
    {"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"type": ["integer", "null"]}},
    NESTED,
    {"enum": ["a", 1, None, True, [1], {"pattern": "("}]},
    {"enum": [0, False]},
    {"const": {"a": 1}},
    {"const": 1.0},
    {"contentEncoding": "base64", "contentMediaType": "application/json"},
    {"values_display": {"$id": "x"}, "section": "S", "title": "T", "examples": [{"$schema": 1}]},
    {
        "$schema": DRAFT.format(7),
        "definitions": {"a": {"type": "null"}},
        "$ref": "#/definitions/a",
        "type": "string",
    },
    {"$schema": DRAFT.format(7), "items": [{"type": "string"}], "additionalItems": False},
    {"$schema": DRAFT.format(7), "dependencies": {"id": ["name"], "a": {"maxProperties": 1}}},
    {"$schema": DRAFT.format(7), "contentEncoding": "base64", "contentMediaType": "application/json"},
    {"$schema": DRAFT.format(6), "const": 1, "exclusiveMinimum": 0},
    {"$schema": "https://json-schema.org/draft/2019-09/schema", "items": [{"type": "string"}]},
]
"""Checked in linear time."""

SLOW: list[dict[str, Any]] = [
    {"pattern": r"^(?=a)\w+$"},
    {"pattern": r"(?i)^A"},
    {"pattern": r"(.)\1"},
    {"pattern": r"a\b"},
    {"pattern": "(?:a$)?b"},
    {"pattern": "^a$\n"},
    {"format": "regex"},
    {"format": "duration"},
    {"properties": {"a": {"$ref": "#"}}, "type": ["object", "integer"]},
    {"$defs": {"a": {"items": {"$ref": "#/$defs/a"}, "type": ["array", "null"]}}, "$ref": "#/$defs/a"},
    {"$id": "https://example.com/s", "type": "integer"},
    {"unevaluatedProperties": False, "properties": {"id": {}}},
    {"$schema": DRAFT.format(4), "type": "integer", "minimum": 1, "exclusiveMinimum": True},
    {"$schema": DRAFT.format(3), "divisibleBy": 2},
    {"$schema": "https://example.com/unknown", "type": "integer"},
    {"$ref": "#/nowhere"},
]
"""Checked by the process for slow checks."""

NO_SCHEMAS: list[dict[str, Any]] = [
    {"type": "no such type"},
    {"minLength": "2"},
    {"anyOf": 5},
    {"pattern": "("},
]

VALUES: list[Any] = [
    None, True, False, 0, 1, 3, 2.5, 1.0, -0.0, 0.1, 0.3, 0.7, 1e300, 5e-324, 10**25, 10**30, -(10**400),
    2**53 + 1,
    "", "a", "ab", "abc", "é", "éa", "ax", "a\n", "a\n\n", "\u0663", "\u200d", "a\u0301", "😀", "😀😀😀",
    "\x1c",
    "2026-02-28", "2026-02-30", "12:00:00", "nobody@example.com", "@", "::1", "127.0.0.1", "127.0.0.01", "-",
    "9f0d6d8e-2f0b-4a53-9e53-4a5c2b1d5a11", "9f0d6d8e2f0b4a539e534a5c2b1d5a11", "http://a b", "e30=", "P1D",
    [], [1], ["a", "a"], [1, True], [1, 1.0], [{"a": 1}, {"a": 1.0}], [0], [1, "a"], ["a", 1], [[]],
    [None, 2, 3], {}, {"id": 1}, {"id": "1"}, {"a": 1}, {"a": {}}, {"pattern": "x"}, {"name": 1, "id": 2},
    {"ix": 1}, {"é": 1},
]  # fmt: skip

ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "a", "ix"]) | st.text(), inner),
    max_leaves=10,
)


def airflow_accepts(schema: dict[str, Any], value: Any) -> bool:
    try:
        SerializedParamsDict({"value": SerializedParam(**schema)}).deep_merge({"value": value}).validate()
    except ValueError:
        return False
    return True


def ours(schema: dict[str, Any]) -> Parameter:
    return Parameter("value", schema, check_slowly=CHECK_PROCESS.refusal)


@pytest.mark.parametrize("schema", LINEAR + SLOW + NO_SCHEMAS, ids=json.dumps)
def test_every_value_gets_airflows_verdict(schema):
    param = ours(schema)
    verdicts = {json.dumps(value): (param.refusal(value) is None) for value in VALUES}
    assert verdicts == {json.dumps(value): airflow_accepts(schema, value) for value in VALUES}


@pytest.mark.parametrize("schema", LINEAR, ids=json.dumps)
def test_common_schemas_are_checked_in_linear_time(schema):
    assert isinstance(ours(schema).check.linear, LinearCheck)


@pytest.mark.parametrize("schema", SLOW, ids=json.dumps)
def test_other_schemas_are_not(schema):
    assert ours(schema).not_linear is not None


@given(schema=st.sampled_from(LINEAR), value=ANY_VALUE)
@example(schema={"multipleOf": 0.01}, value=19.99)
def test_any_value_gets_airflows_verdict(schema, value):
    if _has_surrogate(value):
        return  # refused where it is stored, see test_unstorable_values.py
    assert (ours(schema).refusal(value) is None) == airflow_accepts(schema, value)


PATTERN_PARTS = st.sampled_from(
    [
        "a",
        "é",
        ".",
        r"\w",
        r"\W",
        r"\d",
        r"\D",
        r"\s",
        r"\S",
        "[a-c]",
        r"[^a\d]",
        r"[\W_]",
        "^",
        "$",
        r"\Z",
        r"\A",
    ]
)
QUANTIFIERS = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}", "+?"])


@st.composite
def patterns(draw: st.DrawFn) -> str:
    def part() -> str:
        atom = draw(PATTERN_PARTS)
        return atom if atom in ("^", "$", r"\Z", r"\A") else atom + draw(QUANTIFIERS)

    def sequence() -> str:
        return "".join(part() for _ in range(draw(st.integers(1, 3))))

    inner = f"(?:{sequence()}|{sequence()}){draw(QUANTIFIERS)}" if draw(st.booleans()) else sequence()
    return draw(st.sampled_from(["", "^"])) + inner + sequence() + draw(st.sampled_from(["", "$"]))


@given(pattern=patterns(), text=st.text("aéb1 \n_\u0663\u0301\x1c\u2028", max_size=6))
def test_any_pattern_matches_what_it_matches_in_python(pattern, text):
    param = ours({"pattern": pattern})
    assert (param.refusal(text) is None) == (re.search(pattern, text) is not None)


def test_every_character_is_in_the_same_classes():
    characters = [chr(code) for code in range(0x3100) if not 0x378 <= code < 0x380]
    for category in (r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", "."):
        check = ours({"pattern": f"^{category}"}).check.linear
        assert isinstance(check, LinearCheck)
        differing = [
            f"{ord(character):x}"
            for character in characters
            if (check.refusal(character) is None) != bool(re.match(category, character))
            and character.isprintable()  # assigned in this Python's version of Unicode
        ]
        assert differing == [], category


def test_a_default_counts_where_conf_has_no_value():
    params = {"value": Parameter("value", {"type": "integer"}, 7)}
    check_conf({}, params)
    airflows = SerializedParamsDict({"value": SerializedParam(7, type="integer")})
    assert airflows.deep_merge({}).validate() == {"value": 7}


def _has_surrogate(value: Any) -> bool:
    return re.search(r"\\ud[89a-f]", json.dumps(value)) is not None
