"""What each filter does, and that each stays within its bounds."""

from __future__ import annotations

import json

import pytest

from inbound_webhooks.errors import ExpressionFailed
from inbound_webhooks.event.expressions.engine import compile_expression
from inbound_webhooks.event.expressions.filters import FILTERS
from tests.unit.event.builders import FORM, JSON, evaluate, sources


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ('{{ body.missing | default("x") }}', "x"),
        ('{{ body.missing.deeper | d("x") }}', "x"),
        ("{{ body.missing | default }}", ""),
        ('{{ body.null | default("x") }}', None),
        ('{{ body.empty | default("x") }}', ""),
        ('{{ body.empty | default("x", true) }}', "x"),
        ('{{ body.null | default("x", boolean=true) }}', "x"),
        ('{{ body.none_left | default("x", true) }}', "x"),
        ('{{ {"a": 1, "b": none} | tojson }}', '{"a":1,"b":null}'),
        ("{{ body.missing | tojson }}", "null"),
        ('{{ "ä\\"" | tojson }}', '"ä\\""'),
        ("{{ ('{\"a\": [1]}' | fromjson).a }}", [1]),
        ('{{ "hello" | b64encode }}', "aGVsbG8="),
        ('{{ "ü" | b64encode }}', "w7w="),
        ('{{ "aGVsbG8=" | b64decode }}', "hello"),
        ('{{ "aGVsbG8" | b64decode }}', "hello"),
        ('{{ "8J-YgA" | b64decode }}', "😀"),
        ('{{ "8J+YgA==" | b64decode }}', "😀"),
        ('{{ "abc" | sha256 }}', "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            # RFC 4231, test case 2
            '{{ "what do ya want for nothing?" | hmac_sha256("Jefe") }}',
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        ('{{ "ÄB" | lower }}', "äb"),
        ('{{ "äb" | upper }}', "ÄB"),
        ('{{ "  a b \\n" | trim }}', "a b"),
        ('{{ "äöü" | length }}', 3),
        ("{{ body.list | length }}", 3),
        ("{{ body.list | count }}", 3),
        ("{{ query | length }}", 2),
        ("{{ 5 | length }}", 0),
        ("{{ body.missing | length }}", 0),
        ("{{ body.list | first }}", 1),
        ("{{ body.list | last }}", None),
        ('{{ "abc" | last }}', "c"),
        ('{{ body.list | join(", ") }}', "1, two, "),
        ("{{ body.list | join }}", "1two"),
        ('{{ "one" | join("-") }}', "one"),
        ('{{ "a,b,,c" | split(",") }}', ["a", "b", "", "c"]),
        ('{{ ("refs/heads/main" | split("/"))[2] }}', "main"),
        ('{{ "refs/heads/main" | replace("refs/heads/", "") }}', "main"),
        ('{{ "aaa" | replace("a", "bb") }}', "bbbbbb"),
        ("{{ 15 | string }}", "15"),
        ("{{ true | string }}", "true"),
        ('{{ " 42 " | int }}', 42),
        ('{{ "-7" | int }}', -7),
        ('{{ "x" | int(0) }}', 0),
        ('{{ "4.0" | int(9) }}', 9),
        ('{{ "1_0" | int(9) }}', 9),
        ('{{ "2.50" | float }}', 2.5),
        ('{{ "1e3" | float }}', 1000.0),
        ('{{ "nan" | float(0.5) }}', 0.5),
        ('{{ "inf" | float(0.5) }}', 0.5),
        ("{{ body.big | int }}", 820982911946154508),
    ],
)
def test_a_filter_computes(source, value):
    body = {"null": None, "empty": "", "none_left": [], "list": [1, "two", None], "big": "820982911946154508"}
    made = evaluate(source, body, query="a=1&b=2&b=3")
    assert (type(made), made) == (type(value), value) or (isinstance(made, str) and made == value)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-03-01T12:30:00Z", "2026-03-01T12:30:00+00:00"),
        ("2026-03-01T12:30:00+02:00", "2026-03-01T10:30:00+00:00"),
        ("2026-03-01 12:30:00", "2026-03-01T12:30:00+00:00"),
        ("2023-01-31T19:29:35.789265936Z", "2023-01-31T19:29:35.789265+00:00"),
        ("2026-03-01", "2026-03-01T00:00:00+00:00"),
        ("  2026-03-01 ", "2026-03-01T00:00:00+00:00"),
        (1561420781, "2019-06-24T23:59:41+00:00"),
        ("1561420781", "2019-06-24T23:59:41+00:00"),
        (1561420781500, "2019-06-24T23:59:41.500000+00:00"),
        ("1355517523.000005", "2012-12-14T20:38:43.000005+00:00"),
        (0, "1970-01-01T00:00:00+00:00"),
    ],
)
def test_to_datetime_reads_a_time(written, moment):
    assert evaluate("{{ body.at | to_datetime }}", {"at": written}) == moment


@pytest.mark.parametrize(
    ("written", "format", "moment"),
    [
        ("01/03/2026 12:30", "DD/MM/YYYY HH:mm", "2026-03-01T12:30:00+00:00"),
        ("01/03/2026 12:30 +02:00", "DD/MM/YYYY HH:mm Z", "2026-03-01T10:30:00+00:00"),
    ],
)
def test_to_datetime_reads_a_format(written, format, moment):
    source = f'{{{{ body.at | to_datetime("{format}") }}}}'
    assert evaluate(source, {"at": written}) == moment


NO_TIMES = ["", "soon", "now", "today", "P1D", "2026-13-01", "2026-02-30", "9" * 400, "2026/2027", "-5"]
OUT_OF_RANGE = ["2026-01-01T00:00:00+99:99", "2026-01-01T00:00-62", "9999-12-31T23:59:59-23:00", "9" * 15]


@pytest.mark.parametrize("written", [*NO_TIMES, *OUT_OF_RANGE, [], {}, None])
def test_to_datetime_fails_for_what_is_no_time(written):
    with pytest.raises(ExpressionFailed):
        evaluate("{{ body.at | to_datetime }}", {"at": written})


@pytest.mark.parametrize("source", ["body.at | to_datetime", "body.at | to_datetime(body.format)"])
def test_to_datetime_needs_a_date_because_today_is_not_in_the_request(source):
    with pytest.raises(ExpressionFailed):
        evaluate(f"{{{{ {source} }}}}", {"at": "12:30", "format": "HH:mm"})


@pytest.mark.parametrize("format", ["[", "(", "*", "\\", "YYYY YYYY", "HH:mm HH", "x", "zz", "%Y", "QDDDDo"])
def test_to_datetime_fails_for_a_format_that_does_not_fit(format):
    with pytest.raises(ExpressionFailed):
        evaluate("{{ body.at | to_datetime(body.format) }}", {"at": "12 12 12", "format": format})


@pytest.mark.parametrize(
    ("value", "filter"),
    [
        ("{", "fromjson"),
        ("NaN", "fromjson"),
        ("", "fromjson"),
        ("*", "b64decode"),
        ("gA==", "b64decode"),
        ("a", "int"),
        ("", "int"),
        ([], "int"),
        ("9" * 4301, "int"),
        ("1e400", "float"),
        ("a", "float"),
        ("1", "abs"),
        (True, "round"),
        (1, "round(body.v - 1000)"),
        (1, "tojson(body.v + 98)"),
        (1.5, "tojson(body.v)"),
        ("", "split(body.v)"),
        ("abc", "truncate(2, end=body.v)"),
        ("a" * 101, 'trim("a" ~ body.v)'),
    ],
)
def test_a_filter_fails_for_what_it_cannot_read(value, filter):
    with pytest.raises(ExpressionFailed):
        evaluate(f"{{{{ body.v | {filter} }}}}", {"v": value})


def test_a_float_is_always_finite():
    with pytest.raises(ExpressionFailed):
        evaluate("{{ body.v | float }}", {"v": "9" * 300 + "e99"})


def test_split_says_that_its_separator_is_empty():
    with pytest.raises(ExpressionFailed, match="separator is empty"):
        evaluate('{{ "a" | split(body.v) }}', {"v": ""})


def test_a_failed_decoding_does_not_quote_the_data():
    with pytest.raises(ExpressionFailed) as caught:
        evaluate("{{ body.password | b64decode }}", {"password": "hunter2!"})
    assert "hunter2" not in caught.value.message


def test_half_a_surrogate_pair_can_be_hashed():
    hashed = evaluate("{{ body.v | sha256 }}", b'{"v": "\\ud800"}')
    assert hashed == "8a8de823d5ed3e12746a62ef169bcf372be0ca44f0a1236abc35df05d96928e1"


def test_fromjson_reads_a_json_field_of_a_form():
    form = b"payload=%7B%22repository%22%3A%7B%22full_name%22%3A%22octo%2Frepo%22%7D%7D"
    assert evaluate("{{ (body.payload | fromjson).repository.full_name }}", form, FORM) == "octo/repo"


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_every_filter_has_a_sentence_for_the_manual(name):
    assert (FILTERS[name].__doc__ or "").strip().endswith((".", ")", "`.", "tokens)."))


ARGUMENTS = {"hmac_sha256": '("k")', "split": '("k")', "replace": '("k", "l")'}
VALUES = [
    "body",
    "headers",
    "query",
    "delivery",
    "body.missing",
    "body.n",
    "body.null",
    "body.true",
    "body.half",
    "[[body.n]]",
    "{body.n: body.n}",
]


@pytest.mark.parametrize("name", sorted(FILTERS))
@pytest.mark.parametrize("value", VALUES)
def test_every_filter_takes_every_value_or_fails_properly(name, value):
    compiled = compile_expression(f"{{{{ [{value} | {name}{ARGUMENTS.get(name, '')}] }}}}")
    for content_type in (JSON, "text/plain", "image/png"):
        try:
            made = compiled.evaluate(
                sources(
                    b'{"n": 1, "null": null, "true": true, "half": 1.5}', content_type, query="a=1&a=2&b=3"
                )
            )
        except ExpressionFailed:
            continue
        assert json.loads(json.dumps(made)) == made
