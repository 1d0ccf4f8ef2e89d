"""Mapping and params make a conf, or say which parameter is wrong."""

from __future__ import annotations

import json

import pytest

from inbound_webhooks.errors import BodyMalformed, InvalidDefinition, ParameterRefused
from inbound_webhooks.event.conf.conversion import convert
from inbound_webhooks.event.conf.mapping import MAX_CONF_CHARS, compile_mapping, dump_conf
from inbound_webhooks.event.multidict import SingleValue
from inbound_webhooks.event.values import Missing
from tests.unit.event.builders import FORM, conf_of, parameter, sources

# --- conversion -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "types", "made"),
    [
        # no type asked for: as it is
        ("7", "", "7"),
        (7, "", 7),
        (None, "", None),
        ([1], "", [1]),
        # string: anything becomes text
        ("7", "string", "7"),
        (7, "string", "7"),
        (1.5, "string", "1.5"),
        (True, "string", "true"),
        ({"a": [1]}, "string", '{"a":[1]}'),
        ([1, "ü"], "string", '[1,"ü"]'),
        # integer
        ("7", "integer", 7),
        ("-7", "integer", -7),
        ("007", "integer", 7),
        ("820982911946154508", "integer", 820982911946154508),
        (7, "integer", 7),
        (7.0, "integer", 7.0),
        ("7.5", "integer", "7.5"),
        ("7.0", "integer", "7.0"),
        ("", "integer", ""),
        (" 7", "integer", " 7"),
        ("1_0", "integer", "1_0"),
        ("1e3", "integer", "1e3"),
        ("\u0667", "integer", "\u0667"),
        (True, "integer", True),
        ("true", "integer", "true"),
        # number
        ("7", "number", 7),
        ("7.5", "number", 7.5),
        ("-1.5e3", "number", -1500.0),
        ("820982911946154508", "number", 820982911946154508),
        ("NaN", "number", "NaN"),
        ("Infinity", "number", "Infinity"),
        (".5", "number", ".5"),
        ("1e400", "number", "1e400"),
        (7, "number", 7),
        # boolean
        ("true", "boolean", True),
        ("True", "boolean", True),
        ("1", "boolean", True),
        ("yes", "boolean", True),
        ("on", "boolean", True),
        ("false", "boolean", False),
        ("0", "boolean", False),
        ("no", "boolean", False),
        ("OFF", "boolean", False),
        ("", "boolean", ""),
        ("maybe", "boolean", "maybe"),
        (1, "boolean", 1),
        (False, "boolean", False),
        # object and array take JSON
        ('{"a": 1}', "object", {"a": 1}),
        ("[1, 2]", "array", [1, 2]),
        ("[1, 2]", "object", "[1, 2]"),
        ('{"a": 1}', "array", '{"a": 1}'),
        ('{"a": NaN}', "object", '{"a": NaN}'),
        ("{", "object", "{"),
        ("7", "array", "7"),
        ([1], "array", [1]),
        (7, "object", 7),
        # several types: the value's own wins, then text to whatever reads it
        ("7", "integer string", "7"),
        (7, "integer string", 7),
        ("7", "integer boolean", 7),
        ("true", "integer boolean", True),
        ("[1]", "integer array", [1]),
        (True, "string integer", "true"),
        # null
        (None, "null", None),
        (None, "string null", None),
        ("7", "integer null", 7),
        ("null", "object null", "null"),
    ],
)
def test_a_value_is_converted_to_what_the_schema_asks_for(value, types, made):
    converted = convert(value, frozenset(types.split()))
    assert (type(converted), converted) == (type(made), made)


@pytest.mark.parametrize(
    "types", ["string", "integer", "number", "boolean", "object", "array", "string array"]
)
def test_null_counts_as_nothing_where_the_schema_has_no_null(types):
    assert isinstance(convert(None, frozenset(types.split())), Missing)


@pytest.mark.parametrize("types", ["", "string", "null", "object"])
def test_nothing_stays_nothing(types):
    assert isinstance(convert(Missing(name="x"), frozenset(types.split())), Missing)


@pytest.mark.parametrize(
    ("content", "content_type", "types", "made"),
    [
        (b' {"a": 1}', "application/json", "string", ' {"a": 1}'),
        (b' {"a": 1}', "application/json", "object", {"a": 1}),
        (b' {"a": 1}', "application/json", "", {"a": 1}),
        (b' {"a": 1}', "application/json", "string object", ' {"a": 1}'),
        (b'{"a": ', "application/json", "string", '{"a": '),
        (b"7", "application/json", "integer", 7),
        (b"7", "text/plain", "integer", 7),
        (b"<a/>", "text/xml", "", "<a/>"),
        (b"a=1", FORM, "string", "YT0x"),
        (b"\x00\xff", "image/png", "", "AP8="),
    ],
)
def test_a_whole_body_is_text_where_text_is_asked_for_else_its_json(content, content_type, types, made):
    assert convert(sources(content, content_type).body, frozenset(types.split())) == made


def test_whole_sources_are_json_text_for_a_string_and_objects_else():
    event = sources(query="u=j", content_type="", headers=(("host", "h"),))
    mapping = {"text": "${Webhook::Query}", "object": "${Webhook::Query}", "headers": "${Webhook::Headers}"}
    assert conf_of(mapping, event, text={"type": "string"}, object={"type": "object"}) == {
        "text": '{"u":["j"]}',
        "object": {"u": ["j"]},
        "headers": {"Host": ["h"]},
    }


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        ({}, set()),
        ({"type": "string"}, {"string"}),
        ({"type": ["null", "integer"]}, {"null", "integer"}),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"integer", "null"}),
        ({"oneOf": [{"type": ["integer", "null"]}, {"const": 5}]}, {"integer", "null"}),
        ({"enum": [1, 2]}, set()),
    ],
)
def test_a_schema_asks_for_types(schema, types):
    assert parameter("p", schema).types == types


# --- mapping --------------------------------------------------------------------------------


def test_each_line_is_a_parameter_with_its_type():
    event = sources({"id": 145, "customer": {"name": "John"}, "tags": []}, query="n=5")
    mapping = {
        "id": "${Webhook::Body.id}",
        "customer": "{{ body.customer }}",
        "n": "${Webhook::Query.n}",
        "label": "order ${Webhook::Body.id}",
        "tags": "${Webhook::Body.tags}",
        "fixed": "7",
    }
    assert conf_of(mapping, event, n={"type": "integer"}, fixed={"type": "integer"}) == {
        "id": 145,
        "customer": {"name": "John"},
        "n": 5,
        "label": "order 145",
        "tags": [],
        "fixed": 7,
    }


@pytest.mark.parametrize("sent", [{}, {"size": None}], ids=["missing", "null"])
def test_what_is_not_there_is_left_out_so_that_the_default_holds(sent):
    mapping = {"size": "${Webhook::Body.size}", "id": "1"}
    conf = conf_of(mapping, sources(sent), size={"type": "integer", "default": 3})
    assert conf == {"id": "1"}


@pytest.mark.parametrize("sent", [{}, {"size": None}], ids=["missing", "null"])
def test_what_is_not_there_and_has_no_default_is_refused_by_name(sent):
    with pytest.raises(ParameterRefused, match=r"parameter size: .*no default") as caught:
        conf_of({"size": "${Webhook::Body.size}"}, sources(sent), size={"type": "integer"})
    assert caught.value.parameter == "size"


def test_a_parameter_that_is_not_mapped_needs_a_default():
    with pytest.raises(ParameterRefused, match="parameter region"):
        conf_of({"size": "1"}, sources(), size={}, region={"type": "string"})


def test_null_is_kept_where_the_schema_takes_it():
    conf = conf_of({"size": "{{ body.size }}"}, sources({"size": None}), size={"type": ["integer", "null"]})
    assert conf == {"size": None}


@pytest.mark.parametrize(
    ("schema", "value", "reason"),
    [
        ({"type": "integer"}, "seven", "expected integer, not string"),
        ({"type": "integer", "maximum": 5}, 7, "must be at most 5"),
        ({"type": "string", "enum": ["a", "b"]}, "c", r"must be one of \['a', 'b'\]"),
        ({"type": "string", "maxLength": 3}, "long", "must have at most 3 characters"),
        ({"type": "string", "format": "email"}, "nobody", "must have the format 'email'"),
        (
            {"type": "array", "items": {"type": "integer"}},
            [1, "x"],
            r"at \[1\]: expected integer, not string",
        ),
        ({"type": "object", "required": ["id"]}, {}, "id is missing"),
        ({"type": "boolean"}, 1, "expected boolean, not integer"),
        ({"type": "number", "multipleOf": 0.5}, 0.7, "must be a multiple of 0.5"),
        ({"type": ["string", "null"], "minLength": 1}, "", "must have at least 1 characters"),
    ],
)
def test_a_value_that_breaks_the_schema_is_refused_by_name_and_rule(schema, value, reason):
    with pytest.raises(ParameterRefused, match=reason) as caught:
        conf_of({"p": "${Webhook::Body.v}"}, sources({"v": value}), p=schema)
    assert caught.value.parameter == "p"


def test_a_refusal_does_not_quote_the_value():
    with pytest.raises(ParameterRefused) as caught:
        conf_of({"p": "${Webhook::Body.v}"}, sources({"v": "hunter2"}), p={"type": "string", "maxLength": 3})
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    "value",
    [int("9" * 400), -int("9" * 4300), 1e308, 0.105],
    ids=["400 digits", "4300 digits", "large", "small"],
)
def test_any_number_can_be_checked_against_any_rule_for_numbers(value):
    schema = {"type": "number", "multipleOf": 0.01, "minimum": -1.5, "exclusiveMaximum": 5}
    with pytest.raises(ParameterRefused, match="parameter p: "):
        conf_of({"p": "${Webhook::Body.v}"}, sources({"v": value}), p=schema)


def test_a_number_past_pythons_digits_is_refused_by_name():
    event = sources({"v": int("9" * 4300)})
    schema = {"type": "integer", "maximum": 5}
    with pytest.raises(ParameterRefused, match="parameter p"):
        dump_conf(conf_of({"p": "{{ body.v + body.v }}"}, event, p=schema))


@pytest.mark.parametrize("written", ["a{99999999999999999999}", "(" * 10_000, "["], ids=lambda w: w[:5])
def test_a_text_that_breaks_a_format_is_refused_by_name(written):
    with pytest.raises(ParameterRefused, match="parameter p"):
        conf_of({"p": "${Webhook::Body.v}"}, sources({"v": written}), p={"type": "string", "format": "regex"})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"type": "string", "pattern": "("},
        {"type": "string", "minLength": "x"},
        {"$ref": "#/nowhere"},
        {"anyOf": 5},
    ],
    ids=str,
)
def test_an_invalid_schema_is_reported_with_the_parameters_name(schema):
    with pytest.raises(ParameterRefused, match="parameter p"):
        conf_of({"p": "${Webhook::Body.v}"}, sources({"v": "x"}), p=schema)


def test_a_default_that_breaks_its_own_schema_is_refused():
    with pytest.raises(ParameterRefused, match="parameter p"):
        conf_of({"q": "1"}, sources(), p={"type": "string", "default": None})


def test_without_the_dags_params_values_stay_as_they_are():
    conf = compile_mapping({"id": "${Webhook::Body.id}", "x": "{{ body.x }}"}).conf(
        sources({"id": "7"}), None
    )
    assert conf == {"id": "7"}


def test_an_expression_that_fails_is_refused_by_its_parameters_name():
    with pytest.raises(ParameterRefused, match=r"parameter total: .*does not fit"):
        conf_of({"id": "1", "total": "{{ body.a + 1 }}"}, sources({"a": "x"}))


def test_a_body_that_differs_from_its_content_type_is_reported_as_that():
    with pytest.raises(BodyMalformed):
        conf_of({"id": "${Webhook::Body.id}"}, sources(b"{"))


def test_a_mapping_that_does_not_read_the_body_takes_any_body():
    assert conf_of({"n": "${Webhook::Query.n}"}, sources(b"{", query="n=5")) == {"n": "5"}


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"a": "1", "b": "x\n{{ nope }}"}, "mapping b: line 2, column 4: "),
        ({"a": "${Webhook::Nope}"}, "mapping a: line 1, column 12: "),
        ({"": "1"}, "mapping: .*empty"),
        ({" ": "1"}, "mapping: .*empty"),
    ],
)
def test_a_mapping_that_does_not_compile_is_refused_with_parameter_line_and_column(mapping, message):
    with pytest.raises(InvalidDefinition, match=message):
        compile_mapping(mapping)


# --- no mapping -----------------------------------------------------------------------------


def test_without_a_mapping_conf_is_the_whole_event_without_credentials():
    headers = (("authorization", "Bearer s3cr3t"), ("x-github-event", "push"), ("Cookie", "s3cr3t"))
    event = sources({"id": 7}, query="a=1&a=2", headers=headers)
    assert conf_of({}, event) == {
        "webhook": {
            "body": {"id": 7},
            "query": {"a": ["1", "2"]},
            "headers": {"Content-Type": ["application/json"], "X-Github-Event": ["push"]},
        }
    }


@pytest.mark.parametrize(
    ("content", "content_type", "body"),
    [
        (b"[1, null]", "application/json", [1, None]),
        (b"{broken", "application/json", "{broken"),
        (b"\xff", "application/json", "/w=="),
        (b"<a/>", "text/xml", "<a/>"),
        (b"a=1", FORM, "YT0x"),
        (b"", "text/plain", ""),
    ],
)
def test_the_whole_event_holds_json_text_or_base64(content, content_type, body):
    assert conf_of({}, sources(content, content_type))["webhook"]["body"] == body


def test_without_a_mapping_the_dags_params_need_defaults():
    with pytest.raises(ParameterRefused, match="parameter size"):
        conf_of({}, sources(), size={"type": "integer"})


# --- what can be stored ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        rb'{"v": "a\u0000b"}',
        rb'{"v": {"a\u0000": 1}}',
        rb'{"v": [["\u0000"]]}',
        rb'{"v": "\ud800"}',
        rb'{"v": {"\udfff": 1}}',
        rb'{"v": "\udc00\ud800"}',
    ],
    ids=lambda content: content.decode(),
)
@pytest.mark.parametrize("mapping", [{"p": "${Webhook::Body.v}"}, {}], ids=["mapped", "whole"])
def test_a_text_that_postgresql_cannot_store_is_refused_by_name(content, mapping):
    conf = conf_of(mapping, sources(content))
    with pytest.raises(ParameterRefused) as caught:
        dump_conf(conf)
    assert caught.value.parameter == next(iter(mapping), "webhook")


@pytest.mark.parametrize(
    "content",
    [rb'"\\u0000"', rb'"\\ud800"', rb'"\ud83d\ude00"', b'"\x7f"', '"\ufffe"'.encode(), rb'"\u0001"'],
    ids=lambda content: content.decode(),
)
def test_a_text_that_only_looks_like_one_is_stored(content):
    conf = conf_of({"p": "${Webhook::Body.v}"}, sources(b'{"v": ' + content + b"}"))
    assert json.loads(dump_conf(conf)) == {"p": json.loads(content)}


@pytest.mark.parametrize(
    "content", [b"NaN", b"[-Infinity]", b"1e400", b"-1e999", b"9" * 4301], ids=lambda c: c[:9]
)
@pytest.mark.parametrize("source", ["${Webhook::Body}", "{{ body[0] }}"])
def test_numbers_that_json_does_not_have_are_malformed(content, source):
    with pytest.raises(BodyMalformed):
        conf_of({"p": source}, sources(content))


@pytest.mark.parametrize(
    "source", ["{{ body.w + body.w }}", "{{ body.v | float }}", "{{ [body.w + 1e308] }}"]
)
def test_numbers_that_are_not_finite_are_not_stored(source):
    event = sources({"v": "9" * 300 + "e99", "w": 1e308})
    with pytest.raises(ParameterRefused):
        dump_conf(conf_of({"p": source}, event))


def test_a_text_of_digits_and_an_exponent_never_becomes_infinity():
    event = sources({"v": "9" * 300 + "e99"})
    with pytest.raises(ParameterRefused, match="expected number, not string"):
        conf_of({"p": "${Webhook::Body.v}"}, event, p={"type": "number"})


def test_the_whole_conf_has_a_longest_size():
    event = sources({"x": "a" * 100_000})
    copies = MAX_CONF_CHARS // 100_000 + 1
    with pytest.raises(ParameterRefused, match=str(MAX_CONF_CHARS)):
        dump_conf(conf_of({f"p{n}": "${Webhook::Body.x}" for n in range(copies)}, event))


def test_conf_is_compact_json_with_its_own_letters():
    conf = {"a": [1, 1.0, None, True], "ü": "😀", "n": 820982911946154508}
    assert dump_conf(conf) == '{"a":[1,1.0,null,true],"ü":"😀","n":820982911946154508}'


@pytest.mark.parametrize(("items", "refused"), [(300, False), (301, True)])
def test_a_list_of_objects_that_would_be_compared_each_with_each_has_an_end(items, refused):
    event = sources({"v": [{"a": number} for number in range(items)]})
    schema = {"type": "array", "uniqueItems": True}
    if refused:
        with pytest.raises(ParameterRefused, match="parameter p"):
            conf_of({"p": "${Webhook::Body.v}"}, event, p=schema)
    else:
        assert len(conf_of({"p": "${Webhook::Body.v}"}, event, p=schema)["p"]) == items


def test_many_different_texts_may_have_to_be_unique():
    event = sources({"v": [str(number) for number in range(5_000)]})
    schema = {"type": "array", "uniqueItems": True}
    assert len(conf_of({"p": "${Webhook::Body.v}"}, event, p=schema)["p"]) == 5_000


def test_a_schema_that_leads_elsewhere_is_not_fetched():
    schema = {"$ref": "http://127.0.0.1:9/schema.json"}
    with pytest.raises(ParameterRefused, match="its schema cannot be checked in linear time"):
        conf_of({"p": "${Webhook::Body.v}"}, sources({"v": 1}), p=schema)


def test_a_conf_of_many_copies_is_refused_before_it_is_written():
    event = sources({"x": "a" * 1_000_000})
    with pytest.raises(ParameterRefused, match="longer than"):
        dump_conf(conf_of({"p": "{{ [" + "body.x, " * 200 + "] }}"}, event))


# --- fields of forms --------------------------------------------------------------------------


@pytest.mark.parametrize("types", ["integer", "number", "boolean", "object", "array", "integer null"])
def test_an_empty_field_counts_as_nothing_where_the_schema_has_no_text(types):
    assert isinstance(convert(SingleValue(""), frozenset(types.split())), Missing)


@pytest.mark.parametrize("types", ["string", "string integer", "string null", ""])
def test_an_empty_field_is_empty_text_where_text_is_accepted(types):
    assert convert(SingleValue(""), frozenset(types.split())) == ""


def test_the_default_of_an_empty_field_applies():
    made = sources(b"number=&text=&flag=1&price=19.90", FORM)
    mapping = {name: f"${{Webhook::Body.{name}}}" for name in ("number", "text", "flag", "price")}
    conf = conf_of(
        mapping,
        made,
        number={"type": "integer", "default": 7},
        text={"type": "string", "default": "none"},
        flag={"type": "boolean"},
        price={"type": "string"},
    )
    assert conf == {"text": "", "flag": True, "price": "19.90"}


def test_an_empty_field_without_a_default_is_refused_by_name():
    with pytest.raises(ParameterRefused, match="number: the request has no value for it"):
        conf_of({"number": "{{ body.number }}"}, sources(b"number=", FORM), number={"type": "integer"})


def test_a_number_of_json_becomes_its_shortest_text():
    made = sources(b'{"price": 19.90}')
    assert conf_of({"price": "${Webhook::Body.price}"}, made, price={"type": "string"}) == {"price": "19.9"}
