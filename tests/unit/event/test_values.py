"""How values become text, JSON and XML."""

from __future__ import annotations

import pytest

from inbound_webhooks.errors import ExpressionFailed
from inbound_webhooks.event.multidict import MultiDict, SingleValue
from inbound_webhooks.event.values import (
    MAX_TEXT_CHARS,
    JsonText,
    Missing,
    Path,
    check_length,
    follow,
    look_up,
    reading_chars,
    to_json_output,
    to_json_string,
    to_json_value,
    to_json_value_at_all_levels,
    to_plain_text,
    to_text,
    to_xml,
)
from tests.unit.event.builders import sources

NOTHING = Missing(name="x")
QUERY = MultiDict([("a", "1"), ("b", "2"), ("b", "3")])
BODY = sources(b' {"a": [1, 2]}').body
PICTURE = sources(b"\xff\xd8", "image/jpeg").body


@pytest.mark.parametrize(
    ("value", "as_text", "as_plain", "as_written_json"),
    [
        pytest.param(NOTHING, "", "", "null", id="nothing"),
        pytest.param(None, "", "", "null", id="null"),
        pytest.param(True, "true", "true", "true", id="true"),
        pytest.param(False, "false", "false", "false", id="false"),
        pytest.param(0, "0", "0", "0", id="zero"),
        pytest.param(820982911946154508, *["820982911946154508"] * 3, id="past 2**53"),
        pytest.param(1.1, "1.1", "1.1", "1.1", id="float"),
        pytest.param(1e22, "1e+22", "1e+22", "1e+22", id="large float"),
        pytest.param('a"b\n', 'a"b\n', 'a"b\n', '"a\\"b\\n"', id="text"),
        pytest.param("ü😀", "ü😀", "ü😀", '"ü😀"', id="not ASCII"),
        pytest.param(SingleValue("1"), "1", "1", '"1"', id="an only value"),
        pytest.param([1, None], "[1,null]", "", "[1,null]", id="list"),
        pytest.param((1, None), "[1,null]", "", "[1,null]", id="tuple"),
        pytest.param({"a": {}}, '{"a":{}}', "", '{"a":{}}', id="object"),
        pytest.param(QUERY, '{"a":["1"],"b":["2","3"]}', "", '{"a":["1"],"b":["2","3"]}', id="source"),
        pytest.param(BODY, ' {"a": [1, 2]}', ' {"a": [1, 2]}', '{"a":[1,2]}', id="body"),
        pytest.param(PICTURE, "/9g=", "/9g=", '"/9g="', id="binary body"),
        pytest.param(JsonText('{"a": 1}'), '{"a": 1}', '{"a": 1}', '{"a": 1}', id="JSON text"),
    ],
)
def test_a_value_is_written(value, as_text, as_plain, as_written_json):
    assert to_text(value) == as_text
    assert to_plain_text(value) == as_plain
    assert to_json_output(value) == as_written_json


@pytest.mark.parametrize(
    ("value", "inside"),
    [
        ('a"b', 'a\\"b'),
        ("a\\b", "a\\\\b"),
        ("a\nb\x01", "a\\nb\\u0001"),
        ("ü", "ü"),
        (7, "7"),
        (None, ""),
        (NOTHING, ""),
        ({"a": "b"}, '{\\"a\\":\\"b\\"}'),
    ],
)
def test_a_value_inside_a_json_string_is_escaped_without_quotes(value, inside):
    assert to_json_string(value) == inside


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("<a b='c'>&\"", "&lt;a b=&apos;c&apos;&gt;&amp;&quot;"),
        ("]]>", "]]&gt;"),
        ("a\tb\r\nc", "a\tb\r\nc"),
        ("\x00\x08\x0b\x1f\ufffe\uffff\ud800", "\ufffd" * 7),
        ("ü😀", "ü😀"),
        (5, "5"),
        (["a"], ""),
        (NOTHING, ""),
    ],
)
def test_a_value_in_xml_is_escaped(value, written):
    assert to_xml(value) == written


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), 10**4300, {1, 2}, object()],
    ids=["NaN", "infinity", "minus infinity", "4301 digits", "set", "object"],
)
def test_what_json_does_not_have_is_not_written(value):
    for write in (to_text, to_json_output, to_json_string, to_plain_text, to_xml):
        with pytest.raises(ExpressionFailed):
            write(value)


@pytest.mark.parametrize(
    ("value", "made"),
    [
        (NOTHING, None),
        (SingleValue("1"), "1"),
        (JsonText("1"), "1"),
        (QUERY, {"a": ["1"], "b": ["2", "3"]}),
        (BODY, {"a": [1, 2]}),
        (PICTURE, "/9g="),
        ([1], [1]),
    ],
)
def test_plain_values_are_json_types(value, made):
    assert (type(to_json_value(value)), to_json_value(value)) == (type(made), made)


def test_deep_plain_goes_into_what_an_expression_built():
    built = {"a": [NOTHING, (SingleValue("1"), BODY)], 1: QUERY}
    assert to_json_value_at_all_levels(built) == {
        "a": [None, ["1", {"a": [1, 2]}]],
        "1": {"a": ["1"], "b": ["2", "3"]},
    }


def test_deep_plain_leaves_nothing_nothing():
    assert to_json_value_at_all_levels(NOTHING) is NOTHING


@pytest.mark.parametrize(
    ("container", "key"),
    [
        ({"a": 1}, "keys"),
        ({"a": 1}, 0),
        ({"a": 1}, None),
        ([1], "append"),
        ([1], True),
        ([1], "²"),
        ("abc", "upper"),
        (5, "real"),
        (None, "x"),
        (QUERY, "lists"),
        (QUERY, 0),
        (BODY, "content"),
        (PICTURE, "text"),
        (NOTHING, "x"),
    ],
)
def test_looking_up_what_is_not_an_item_finds_nothing(container, key):
    assert isinstance(look_up(container, key), Missing)


def test_the_longest_dotted_key_wins():
    container = {"a": {"b": {"c": 1}, "b.c": 2}, "a.b": {"c": 3}, "a.b.c": 4}
    assert follow(container, Path(("a", "b", "c"))) == 4
    del container["a.b.c"]
    assert follow(container, Path(("a", "b", "c"))) == 3
    del container["a.b"]
    assert follow(container, Path(("a", "b", "c"))) == 2


def test_a_quoted_step_is_never_joined():
    container = {"a.b": 1, "a": {"b": 2}}
    assert follow(container, Path((("a",), ("b",)))) == 2
    assert follow(container, Path(("a", ("b",)))) == 2


@pytest.mark.parametrize("steps", [(), ("a",), ("a", "bc", "d"), ("a", 0, "bc", "d"), (("a",), "b" * 9, "c")])
def test_the_readings_of_a_path_are_as_long_as_is_charged_for_them(steps):
    made = sum(len(key) + 1 for readings in Path(steps).readings for key, _ in readings)
    assert reading_chars(steps) == made


def test_the_longest_text_is_allowed_and_one_more_is_not():
    check_length(MAX_TEXT_CHARS)
    with pytest.raises(ExpressionFailed, match=str(MAX_TEXT_CHARS)):
        check_length(MAX_TEXT_CHARS + 1)
