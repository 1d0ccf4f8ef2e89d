"""Whatever is sent and whatever is written: only the errors that callers know, and conf that stays equal."""

from __future__ import annotations

import json
import math
import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbound_webhooks.errors import ContentRefused, DefinitionError, ParameterRefused
from inbound_webhooks.event.conf.conversion import convert
from inbound_webhooks.event.conf.mapping import compile_mapping, dump_conf
from inbound_webhooks.event.expressions.engine import compile_expression
from inbound_webhooks.event.expressions.filters import FILTERS
from inbound_webhooks.event.redaction import mask_headers, mask_query
from inbound_webhooks.event.response import CONTENT_TYPES, compile_response
from inbound_webhooks.event.values import Missing
from tests.unit.event.builders import parameter, request, sources, sources_of

# Few and odd keys, so that paths often lead somewhere.
KEYS = ["a", "b", "a.b", "items", "__class__", "odd key", "0", "", "ü", 'q"', "n\0"]
keys = st.sampled_from(KEYS)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**400), max_value=10**400),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(alphabet=st.characters(), max_size=8),
    st.sampled_from(
        ["7", "true", "null", "[1]", '{"a": 1}', "1e99", "2026-03-01", "\ud800", "\0", "{{", "${"]
    ),
)
json_values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
steps = st.one_of(
    keys.filter(lambda key: re.fullmatch(r"[\w.]+", key)).map(lambda key: f".{key}"),
    keys.map(lambda key: f"[{json.dumps(key)}]"),
    st.integers(-3, 3).map(lambda index: f"[{index}]"),
)
paths = st.lists(steps, max_size=4).map("".join)
types = st.frozensets(
    st.sampled_from(["string", "integer", "number", "boolean", "object", "array", "null"]), max_size=3
)
filters = st.sampled_from(["", *(f" | {name}" for name in sorted(FILTERS)), ' | split("a")', " + 1", " ~ 1"])


# --- (a) any JSON, any path -----------------------------------------------------------------


@given(body=json_values, path=paths, types=types)
def test_any_path_into_any_json_gives_conf_that_stays_equal(body, path, types):
    line = compile_expression(f"${{Webhook::Body{path}}}")
    try:
        value = convert(line.evaluate(sources(body)), types)
        conf = {} if isinstance(value, Missing) else {"p": value}
        written = dump_conf(conf)
    except ContentRefused:
        return
    assert json.loads(written) == conf
    written.encode()
    assert "\0" not in json.dumps(conf, ensure_ascii=False)


def can_be_stored(value):
    """Whether it is free of NUL and of halves of surrogate pairs, found by another way than the product's."""
    letters = json.dumps(value, ensure_ascii=False).replace("\\\\", "")
    return "\\u0000" not in letters and letters == letters.encode("utf-8", "replace").decode()


@given(body=json_values.filter(can_be_stored))
def test_any_json_that_can_be_stored_arrives_unchanged(body):
    written = dump_conf(compile_mapping({"p": "${Webhook::Body}"}).conf(sources(body), None))
    assert json.loads(written) == {"p": body}


@given(body=json_values.filter(lambda value: not can_be_stored(value)))
def test_any_json_that_cannot_be_stored_is_refused(body):
    conf = compile_mapping({"p": "${Webhook::Body}"}).conf(sources(body), None)
    with pytest.raises(ParameterRefused):
        dump_conf(conf)


@given(body=json_values, path=paths, filter=filters, around=st.sampled_from(["", "x", "{# #}"]))
def test_any_filter_over_any_json_fails_properly_or_gives_conf(body, path, filter, around):
    path = re.sub(r"\.(?=[^A-Za-z_ü]|$)|\.b", "", path)
    try:
        lines = compile_mapping({"p": f"{around}{{{{ body{path}{filter} }}}}"})
    except DefinitionError:
        return
    try:
        json.loads(dump_conf(lines.conf(sources(body), None)))
    except ContentRefused:
        return


@given(value=json_values)
def test_any_value_in_a_json_template_is_that_value(value):
    template = compile_response("application/json", '{"v": ${Webhook::Body.v}, "t": "${Webhook::Body.v}"}')
    response = template.rendered(200, sources({"v": value}))
    document = json.loads(response.body)
    assert set(document) == {"v", "t"}
    if "\\ud" not in json.dumps(value).lower():
        assert document["v"] == value


# --- (b) any template -----------------------------------------------------------------------

FRAGMENTS = r"""
{{ }} {% %} {# #} {%- -%} ${ $${ } Webhook:: ${Webhook::Body ${Webhook::Body.a} ${Webhook::Headers .a [0]
["a"] body query headers delivery self . [ ] ( ) | : , ' " \ () '' {} [] {"a": } \ud800 \0 ü
default tojson if elif else endif and or not in is defined none true range for endfor set autoescape
endautoescape raw endraw block filter call with * ** % + - ~ / // == != < 1 1.5 1e999 0x1f 1_0
"""
fragments = st.sampled_from([*FRAGMENTS.split(), "\n", "\r\n", "\t", "\0", "\ud800"])
templates = st.one_of(
    st.text(max_size=40),
    st.lists(st.one_of(fragments, st.just(" ")), max_size=14).map("".join),
    st.lists(fragments, max_size=8).map(lambda parts: "{{ " + " ".join(parts) + " }}"),
    st.lists(fragments, max_size=8).map(lambda parts: "{% " + " ".join(parts) + " %}"),
)


@given(source=templates)
def test_any_text_as_an_expression_compiles_or_is_refused(source):
    try:
        compiled = compile_expression(source)
    except DefinitionError:
        return
    try:
        compiled.evaluate(sources({"a": [1]}))
    except ContentRefused:
        return


@given(source=templates, content_type=st.sampled_from(CONTENT_TYPES))
def test_any_text_as_a_response_compiles_or_is_refused(source, content_type):
    try:
        template = compile_response(content_type, source)
    except DefinitionError:
        return
    try:
        template.rendered(200, sources({"a": [1]}))
    except ContentRefused:
        return


# --- (c) any request ------------------------------------------------------------------------

content_types = st.sampled_from(
    [
        "application/json",
        "application/a+json",
        "application/x-www-form-urlencoded",
        "text/plain",
        "text/plain; charset=utf-16",
        "text/plain; charset=gb2312",
        "text/xml; charset=shift_jis",
        "image/png",
        "",
    ]
) | st.text(max_size=20)
contents = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([b"NaN", b"1e400", b"9" * 5000, b"[" * 5000, b"a=1&a=%ff&b", b'{"a": 1', b'"\\ud800"']),
)
SCHEMAS = {
    "integer": {"type": "integer", "minimum": 0, "default": 1},
    "number": {"type": "number", "multipleOf": 0.01, "default": 1.5},
    "text": {"type": "string", "maxLength": 50, "default": ""},
    "object": {"type": ["object", "null"], "default": None},
    "list": {"type": "array", "uniqueItems": True, "items": {"type": "string"}, "default": []},
}
PARAMS = {name: parameter(name, schema) for name, schema in SCHEMAS.items()}
MAPPINGS = [
    {},
    dict.fromkeys(SCHEMAS, "${Webhook::Body}"),
    dict.fromkeys(SCHEMAS, "${Webhook::Body.a}"),
    {"text": "x{{ query.a }}${Webhook::Headers.X-A}", "list": "{{ query.a }}", "object": "${Webhook::Query}"},
    {"text": "{{ body }}", "object": "{{ body[0] }}", "number": "{{ query.a | float(0) }}"},
    {"other": "{{ [body, query, headers, delivery] }}"},
]


@given(
    body=contents,
    content_type=content_types,
    query=st.text(max_size=30) | st.sampled_from(["a=1&a=2", "a=%ff", "a=%00", "a=7"]),
    header=st.text(max_size=10),
    mapping=st.sampled_from(MAPPINGS),
)
def test_any_request_becomes_conf_or_is_refused(body, content_type, query, header, mapping):
    event = sources_of(request(body, content_type, query=query, headers=(("x-a", header), (header, "1"))))
    try:
        conf = compile_mapping(mapping).conf(event, PARAMS)
        written = dump_conf(conf)
    except ContentRefused:
        return
    assert json.loads(written) == conf


# --- (d) conversion -------------------------------------------------------------------------


@given(value=json_values, types=types)
def test_converting_twice_is_converting_once(value, types):
    try:
        once = convert(value, types)
    except ContentRefused:
        return
    if isinstance(once, Missing):
        assert value is None
        return
    twice = convert(once, types)
    assert (type(twice), twice) == (type(once), once)
    assert not isinstance(once, float) or math.isfinite(once)


@given(
    text=st.text(max_size=8)
    | st.from_regex(r"-?[0-9]{1,30}(\.[0-9]{1,5})?([eE]-?[0-9]{1,2})?", fullmatch=True)
)
def test_text_that_becomes_a_number_means_that_number(text):
    for types in ("integer", "number"):
        made = convert(text, frozenset({types}))
        if not isinstance(made, str):
            assert made == (int(text) if isinstance(made, int) else float(text))


# --- (e) credentials ------------------------------------------------------------------------

SECRET = "S3CR3T"
parts = st.sampled_from(["api", "access", "auth", "my", "x", "id", "%5B", "%20", "+", "_", "-", "."])
credential_words = st.sampled_from(
    ["token", "Token", "TOKEN", "%74oken", "secret", "signature", "password", "api_key", "apikey", "cookie"]
)
credential_names = st.tuples(st.lists(parts, max_size=2), credential_words, st.lists(parts, max_size=2)).map(
    lambda made: "".join(made[0]) + made[1] + "".join(made[2])
)


@given(
    names=st.lists(credential_names, min_size=1, max_size=4), rest=st.text(alphabet="abc=&+%;", max_size=10)
)
def test_a_masked_query_never_shows_a_credential(names, rest):
    query = "&".join([rest, *(f"{name}={SECRET}" for name in names), rest])
    masked = mask_query(query)
    assert SECRET not in masked
    assert masked.startswith(rest)
    assert masked.endswith(rest)


@given(names=st.lists(credential_names.map(unquote), min_size=1, max_size=4), other=st.text(max_size=10))
def test_masked_headers_never_show_a_credential(names, other):
    masked, _ = mask_headers([(name, SECRET) for name in names] + [("Host", other)])
    assert [name for name, _ in masked] == [*names, "Host"]
    assert {value for _, value in masked[:-1]} == {"***"}
    assert masked[-1] == ("Host", other)
