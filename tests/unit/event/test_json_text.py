"""JSON that everything downstream can store."""

from __future__ import annotations

import gc
import json

import pytest

from inbound_webhooks.event.json_text import (
    COLLECTED_CHARS,
    MAX_DEPTH,
    MAX_INTEGER_DIGITS,
    JsonRefused,
    dump,
    parse,
    unstorable_reason,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        (' {"a": [1, 2.50, true, ""]} \n', {"a": [1, 2.5, True, ""]}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ("820982911946154508", 820982911946154508),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("-0", 0),
        ("1E2", 100.0),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("1e-400", 0.0),
        (r'"\ud83d\ude00"', "😀"),
    ],
)
def test_json_is_read(text, value):
    made = parse(text)
    assert (type(made), made) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value at line 1, column 1"),
        ('{\n "a": }', "Expecting value at line 2, column 7"),
        ("{'a': 1}", "double quotes"),
        ("[1,]", "line 1, column"),
        ("[1] 2", "Extra data at line 1, column 5"),
        ('"a\nb"', "control character"),
        ("\ufeff1", "BOM|Expecting"),
        ("NaN", "NaN is not JSON"),
        ("[Infinity]", "Infinity is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ("1e400", "too large"),
        ("-1e309", "too large"),
        ("1e200000", "too large"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(text, reason):
    with pytest.raises(JsonRefused, match=reason):
        parse(text)


@pytest.mark.parametrize("sign", ["", "-"])
def test_an_integer_has_a_largest_number_of_digits(sign):
    assert parse(sign + "9" * MAX_INTEGER_DIGITS) == int(sign + "9" * MAX_INTEGER_DIGITS)
    with pytest.raises(JsonRefused, match="4300 digits"):
        parse(sign + "9" * (MAX_INTEGER_DIGITS + 1))


@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")], ids=["lists", "objects", "both"]
)
def test_nesting_has_a_deepest_level(opening, closing):
    levels_each = 2 if opening.startswith("[{") else 1

    def nested(levels):
        times = levels // levels_each
        return opening * times + "1" + closing * times

    parse(nested(MAX_DEPTH))
    with pytest.raises(JsonRefused, match=f"deeper than {MAX_DEPTH} levels"):
        parse(nested(MAX_DEPTH + levels_each))
    with pytest.raises(JsonRefused, match=f"deeper than {MAX_DEPTH} levels"):
        parse(nested(200_000))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [-float("inf")], {"a": [float("nan")]}])
def test_numbers_that_are_not_finite_are_not_written(value):
    with pytest.raises(JsonRefused):
        dump(value)


def test_json_is_written_compactly_with_its_own_letters():
    assert dump({"ü": ["😀", None, 1.0]}) == '{"ü":["😀",null,1.0]}'


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a", None),
        ("a\0b", "NUL"),
        ({"a\0b": 1}, "NUL"),
        ([[{"a": ["\0"]}]], "NUL"),
        ("\\u0000", None),
        (["\\u0000", "x"], None),
        (["\\u0000", "\0"], "NUL"),
        ("\ud800", "surrogate"),
        ({"\udfff": 1}, "surrogate"),
        ("😀", None),
        ("\x01\x7f\uffff", None),
    ],
)
def test_what_postgresql_cannot_store_is_reported(value, reason):
    found = unstorable_reason(value, dump(value))
    assert (found is None) == (reason is None)
    assert (reason or "") in (found or "")


def test_what_is_written_is_read_as_the_same():
    value = {"a": [1, 1.5, True, None, "\x01", "\u2028"], "": {}}
    assert parse(dump(value)) == value == json.loads(dump(value))


def collections_during(text: str) -> int:
    """Parse a text; how often the garbage collector ran meanwhile."""
    phases: list[str] = []

    def note(phase: str, _info: object) -> None:
        phases.append(phase)

    gc.callbacks.append(note)
    try:
        parse(text)
    finally:
        gc.callbacks.remove(note)
    return phases.count("start")


def test_many_values_are_read_without_walking_through_them_again():
    # One may follow when the collector is on again; otherwise it is one for each 700 lists.
    assert collections_during("[" + "[]," * COLLECTED_CHARS + "[]]") <= 1
    assert gc.isenabled()


def test_the_collector_runs_again_after_a_text_that_is_not_json():
    with pytest.raises(JsonRefused):
        parse("[" + "[]," * COLLECTED_CHARS)
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off():
    gc.disable()
    try:
        parse("[" + "[]," * COLLECTED_CHARS + "[]]")
        assert not gc.isenabled()
    finally:
        gc.enable()
