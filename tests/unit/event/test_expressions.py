"""Paths, both notations, types, and what a template can never do."""

from __future__ import annotations

import pytest

from inbound_webhooks.errors import BodyMalformed, ExpressionFailed, TemplateRefused
from inbound_webhooks.event.conf.conversion import convert
from inbound_webhooks.event.expressions.engine import MAX_SOURCE_CHARS, compile_expression
from inbound_webhooks.event.values import Missing
from tests.unit.event.builders import FORM, evaluate, sources

COZYROC_HEADERS = (
    ("Host", "cozyroc.com"),
    ("Origin", "https://cozyroc.com"),
    ("Referer", "https://cozyroc.com/"),
)
STRING = frozenset({"string"})


def as_conf(source, *args, types=frozenset(), **kwargs):
    return convert(evaluate(source, *args, **kwargs), types)


# --- the reference product's worked examples ------------------------------------------------


def test_headers_as_a_whole_are_an_object_of_lists():
    assert as_conf("${Webhook::Headers}", content_type="", headers=COZYROC_HEADERS) == {
        "Host": ["cozyroc.com"],
        "Origin": ["https://cozyroc.com"],
        "Referer": ["https://cozyroc.com/"],
    }


def test_one_header_is_its_bare_value():
    assert evaluate("${Webhook::Headers.Host}", headers=COZYROC_HEADERS) == "cozyroc.com"


def test_the_query_as_a_whole_is_an_object_of_lists():
    assert as_conf("${Webhook::Query}", query="user=john&code=68a0711871ab41e89f35d6e6e3a9f8b1") == {
        "user": ["john"],
        "code": ["68a0711871ab41e89f35d6e6e3a9f8b1"],
    }


def test_one_query_field_is_its_bare_value():
    query = "user=john&code=68a0711871ab41e89f35d6e6e3a9f8b1"
    assert evaluate("${Webhook::Query.user}", query=query) == "john"


def test_a_property_of_a_json_body_is_its_value():
    body = b'{"order_id": "xxx-1234", "customer_id": "ccc-56"}'
    assert evaluate("${Webhook::Body.order_id}", body) == "xxx-1234"


def test_a_json_body_goes_into_a_string_parameter_as_it_was_received():
    body = b'{"order_id": "xxx-1234", "customer_id": "ccc-56"}'
    whole = as_conf("${Webhook::Body}", body, types=STRING)
    assert whole == '{"order_id": "xxx-1234", "customer_id": "ccc-56"}'


def test_a_binary_body_arrives_as_base64():
    whole = as_conf("${Webhook::Body}", b"\x00\x01\xfe\xff", "application/octet-stream", types=STRING)
    assert whole == "AAH+/w=="


# --- paths ----------------------------------------------------------------------------------

BODY = {
    "Customer": {"Name": "John Smith", "Id": 148},
    "items": [{"id": "a1"}, {"id": "b2"}],
    "odd key": "odd",
    "it's": "apostrophe",
    'say "hi"': "quotes",
    "hub.challenge": "dotted",
    "hub": {"challenge": "nested", "mode": "subscribe"},
    "deep": {"a.b": {"c": 3}},
    "0": "zero",
    "größe": 5,
    "two words": {"x": 1},
    "null": None,
    "grid": [[1, 2], [3, 4]],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(".Customer.Name", "John Smith", id="dots"),
        pytest.param(".items[0].id", "a1", id="index"),
        pytest.param(".items[-1].id", "b2", id="index from the end"),
        pytest.param(".items.1.id", "b2", id="index between dots"),
        pytest.param(".items[ 1 ].id", "b2", id="index with spaces"),
        pytest.param(".grid[1][0]", 3, id="index of an index"),
        pytest.param('["odd key"]', "odd", id="double quotes"),
        pytest.param("['odd key']", "odd", id="single quotes"),
        pytest.param('["Customer"].Name', "John Smith", id="quotes then a dot"),
        pytest.param('["it\'s"]', "apostrophe", id="an apostrophe in double quotes"),
        pytest.param('["say \\"hi\\""]', "quotes", id="escaped quotes"),
        pytest.param(".hub.challenge", "dotted", id="a literal key with dots wins"),
        pytest.param(".hub.mode", "subscribe", id="steps where no literal key is there"),
        pytest.param('["hub"]["challenge"]', "nested", id="quotes are never joined"),
        pytest.param('["hub.challenge"]', "dotted", id="a quoted key with a dot"),
        pytest.param(".deep.a.b.c", 3, id="a literal key with dots below others"),
        pytest.param(".0", "zero", id="a key that is a number"),
        pytest.param(".größe", 5, id="a key that is not ASCII"),
        pytest.param(".two words.x", 1, id="a key with a space after a dot"),
        pytest.param(".null", None, id="null is a value"),
    ],
)
def test_a_path_finds(path, value):
    assert evaluate(f"${{Webhook::Body{path}}}", BODY) == value


@pytest.mark.parametrize(
    "path",
    [
        ".missing",
        ".missing.further[0]",
        ".items[2]",
        ".items[-3]",
        ".items.first",
        ".Customer.Name.First",
        ".customer",
        ".Customer[0]",
        ".null.x",
        ".__class__",
        ".items.append",
        ".Customer.keys",
    ],
)
def test_a_path_that_leads_nowhere_finds_nothing(path):
    assert isinstance(evaluate(f"${{Webhook::Body{path}}}", BODY), Missing)


@pytest.mark.parametrize("name", ["X-GitHub-Event", "x-github-event", "X-GITHUB-EVENT", "X-Github-Event"])
@pytest.mark.parametrize("sent", ["x-github-event", "X-GitHub-Event"])
def test_header_names_match_without_regard_to_case(name, sent):
    assert evaluate(f"${{Webhook::Headers.{name}}}", headers=((sent, "push"),)) == "push"
    assert evaluate(f'{{{{ headers["{name}"] }}}}', headers=((sent, "push"),)) == "push"


def test_query_names_match_with_regard_to_case():
    assert isinstance(evaluate("${Webhook::Query.User}", query="user=john"), Missing)


def test_header_names_are_shown_in_title_case_and_order_of_arrival():
    sent = (("x-github-event", "push"), ("ACCEPT", "*/*"), ("X-GitHub-Event", "ping"))
    shown = as_conf("${Webhook::Headers}", content_type="", headers=sent)
    assert list(shown.items()) == [("X-Github-Event", ["push", "ping"]), ("Accept", ["*/*"])]


@pytest.mark.parametrize("notation", ["${{Webhook::Query.tag{}}}", "{{{{ query.tag{} }}}}"])
def test_several_values_stay_a_list_and_an_index_picks(notation):
    query = "tag=red&tag=green"
    assert evaluate(notation.format(""), query=query) == ["red", "green"]
    assert evaluate(notation.format("[0]"), query=query) == "red"
    assert evaluate(notation.format("[1]"), query=query) == "green"
    assert evaluate(notation.format("[-1]"), query=query) == "green"


@pytest.mark.parametrize("notation", ["${{Webhook::Query.tag{}}}", "{{{{ query.tag{} }}}}"])
def test_index_zero_of_an_only_value_is_the_value(notation):
    assert evaluate(notation.format("[0]"), query="tag=red") == "red"


@pytest.mark.parametrize("notation", ["${{Webhook::Query.tag{}}}", "{{{{ query.tag{} }}}}"])
def test_index_one_of_an_only_value_is_nothing_not_its_second_character(notation):
    assert isinstance(evaluate(notation.format("[1]"), query="tag=red"), Missing)


def test_a_dotted_query_field_is_found_by_its_dotted_path():
    query = "hub.mode=subscribe&hub.challenge=1158201444"
    assert evaluate("${Webhook::Query.hub.challenge}", query=query) == "1158201444"


def test_an_empty_query_field_is_empty_text():
    assert evaluate("${Webhook::Query.state}", query="state=&x=1") == ""


def test_form_fields_are_properties_of_the_body():
    form = b"From=%2B14017122661&Body=Ahoy%21+Hi&tag=a&tag=b&empty="
    assert evaluate("${Webhook::Body.From}", form, FORM) == "+14017122661"
    assert evaluate("${Webhook::Body.Body}", form, FORM) == "Ahoy! Hi"
    assert evaluate("${Webhook::Body.tag}", form, FORM) == ["a", "b"]
    assert evaluate("${Webhook::Body.empty}", form, FORM) == ""


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/octet-stream"])
def test_a_body_that_is_neither_json_nor_a_form_has_no_properties(content_type):
    assert isinstance(evaluate("${Webhook::Body.id}", b'{"id": 1}', content_type), Missing)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (".id", "0190"),
        (".received_at", "2026-03-01T12:30:00+00:00"),
        (".webhook", "orders"),
        (".source_ip", "203.0.113.7"),
    ],
)
def test_the_delivery_is_a_source_too(path, value):
    assert evaluate(f"${{Webhook::Delivery{path}}}") == value
    assert evaluate(f"{{{{ delivery{path} }}}}") == value


# --- Jinja ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ body.Customer.Name }}", "John Smith"),
        ('{{ body["Customer"].Id }}', 148),
        ("{{ body.items }}", [{"id": "a1"}, {"id": "b2"}]),
        ("{{ body.items[0].id }}", "a1"),
        ("{{ body.items[:1] }}", [{"id": "a1"}]),
        ("{{ body.items[0].id[1:] }}", "1"),
        ('{{ query.user | default("nobody") }}', "nobody"),
        ("{{ body.Customer.Id + 1 }}", 149),
        ("{{ body.Customer.Id - 8 }}", 140),
        ("{{ body.Customer.Id // 100 }}", 1),
        ("{{ body.Customer.Id / 4 }}", 37.0),
        ("{{ -body.Customer.Id }}", -148),
        ('{{ "a" + body.Customer.Name }}', "aJohn Smith"),
        ('{{ body.Customer ~ "!" }}', '{"Name":"John Smith","Id":148}!'),
        ("{{ body.missing ~ body.null ~ 1 ~ true }}", "1true"),
        ('{{ body.Customer.Id == 148 and "x" != "y" }}', True),
        ("{{ 100 < body.Customer.Id <= 148 }}", True),
        ("{{ body.Customer.Id > 148 or not body.items }}", False),
        ('{{ "big" if body.Customer.Id > 100 else "small" }}', "big"),
        ('{{ "Smith" in body.Customer.Name }}', True),
        ("{{ body.Customer.Id in [147, 148] }}", True),
        ("{{ body.missing is defined }}", False),
        ("{{ body.null is none }}", True),
        ("{{ body.items is sequence }}", True),
        ("{{ body.Customer is mapping }}", True),
        ('{{ "user" in query }}', False),
        ("{{ [body.Customer.Id, body.missing, 1.5] }}", [148, None, 1.5]),
        ('{{ {"name": body.Customer.Name, "query": query} }}', {"name": "John Smith", "query": {}}),
        ("{% if body.items %}many{% else %}none{% endif %}", "many"),
        ("{% if body.missing %}a{% elif body.null %}b{% endif %}", ""),
        ("a{# a comment #}b", "ab"),
    ],
)
def test_jinja_computes(source, value):
    assert evaluate(source, BODY) == value


def test_both_notations_stand_in_one_template():
    made = evaluate("${Webhook::Body.items[0].id}-{{ body.items[1].id }}", BODY)
    assert made == "a1-b2"


@pytest.mark.parametrize("type_of", [bool, int, float, str, list, dict, type(None)])
def test_a_whole_expression_keeps_the_type(type_of):
    value = {bool: True, int: 7, float: 1.5, str: "1_0", list: [1], dict: {"a": 1}, type(None): None}[type_of]
    for source in ("${Webhook::Body.v}", "{{ body.v }}"):
        kept = evaluate(source, {"v": value})
        assert (type(kept), kept) == (type_of, value)


@pytest.mark.parametrize("text", ["1_0", "0x10", "1e5", "True", "None", "[1]", "{'a': 1}", "07", " 7 "])
def test_text_that_looks_like_something_else_stays_text(text):
    assert evaluate("{{ body.v }}", {"v": text}) == text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a", "-a-"),
        (7, "-7-"),
        (1.5, "-1.5-"),
        (True, "-true-"),
        (None, "--"),
        ({"a": [1, None]}, '-{"a":[1,null]}-'),
        ("grüße", "-grüße-"),
    ],
)
def test_text_around_an_expression_makes_a_string(value, written):
    assert evaluate("-${Webhook::Body.v}-", {"v": value}) == written
    assert evaluate("-{{ body.v }}-", {"v": value}) == written


def test_a_space_around_an_expression_makes_a_string():
    assert evaluate(" ${Webhook::Body.v}", {"v": 7}) == " 7"


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("plain text", "plain text"),
        ("", ""),
        ("ends with a newline\n", "ends with a newline\n"),
        ("a\r\nb", "a\nb"),
        ("costs 5 $ {or so}", "costs 5 $ {or so}"),
    ],
)
def test_a_text_without_expressions_is_itself(source, value):
    assert evaluate(source) == value


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("$${Webhook::Body.v}", "${Webhook::Body.v}"),
        ("$${", "${"),
        ("a$${b}${Webhook::Body.v}", "a${b}7"),
        ("$$${Webhook::Body.v}", "$${Webhook::Body.v}"),
        ("{{ '${Webhook::Body.v}' }}", "${Webhook::Body.v}"),
    ],
)
def test_two_dollars_and_a_brace_are_a_literal(source, value):
    assert evaluate(source, {"v": 7}) == value


def test_values_are_not_read_as_templates():
    sent = {"v": "{{ body.secret }} ${Webhook::Body.secret}", "secret": "s"}
    assert evaluate("-{{ body.v }}", sent) == "-{{ body.secret }} ${Webhook::Body.secret}"


def test_a_list_in_a_text_holds_null_where_there_is_nothing():
    assert evaluate("x{{ [body.a, body.missing] }}", {"a": 1}) == "x[1,null]"


def test_a_source_stands_in_an_object_in_a_text():
    assert evaluate('x{{ {"q": query, "b": body} }}', {"a": 1}, query="u=j") == (
        'x{"q":{"u":["j"]},"b":{"a":1}}'
    )


def test_a_list_that_an_expression_writes_can_be_made_json():
    assert evaluate("{{ [body.missing, query] | tojson }}", {}, query="u=j") == '[null,{"u":["j"]}]'


# --- what does not fit the data -------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "{{ body.text + 1 }}",
        "{{ body.missing + 1 }}",
        "{{ -body.text }}",
        "{{ 1 / body.zero }}",
        "{{ 1 // body.zero }}",
        "{{ body.text < 1 }}",
        "{{ body.missing < 1 }}",
        "{{ 1 in body.zero }}",
        "{{ {body.list: 1} }}",
        "{{ body.list[::body.zero] }}",
        "{{ body.digits // 0.5 }}",
        "{{ body.text | fromjson }}",
        "{{ body.text | int }}",
        "x{{ body.digits + body.digits }}",
        "x{{ body.large + body.large }}",
    ],
)
def test_an_expression_that_does_not_fit_the_data_fails(source):
    made = {"text": "a", "zero": 0, "list": [1], "large": 1e308}
    body = (str(made)[:-1] + ', "digits": ' + "9" * 4300 + "}").replace("'", '"').encode()
    with pytest.raises(ExpressionFailed):
        evaluate(source, body)


def test_a_failure_does_not_quote_the_data():
    with pytest.raises(ExpressionFailed) as caught:
        evaluate("{{ body.password + 1 }}", {"password": "hunter2"})
    assert "hunter2" not in caught.value.message


def test_an_expression_that_needs_a_broken_body_says_where_it_breaks():
    with pytest.raises(BodyMalformed, match=r"Content-Type is JSON.*line 1, column 7"):
        evaluate("${Webhook::Body.id}", b'{"id":}')


def test_an_expression_that_does_not_need_the_body_does_not_read_it():
    assert evaluate("${Webhook::Query.id}", b'{"id":}', query="id=7") == "7"


# --- the sandbox: refused, with line and column ----------------------------------------------


@pytest.mark.parametrize(
    ("source", "line", "column", "reason"),
    [
        ("{{ body.__class__.__mro__[1].__subclasses__() }}", 1, 44, "call"),
        ('{{ "{0.__class__}".format(body) }}', 1, 26, "call"),
        ("{{ body.items() }}", 1, 14, "call"),
        ('{{ __import__("os") }}', 1, 14, "call"),
        ("{{ caller() }}", 1, 10, "call"),
        ("{{ super() }}", 1, 9, "call"),
        ("{{ range(9) }}", 1, 9, "call"),
        ("{{ namespace() }}", 1, 13, "call"),
        ('{{ joiner(",") }}', 1, 10, "call"),
        ('{{ "%s" % body }}', 1, 4, "mod"),
        ("{{ 9 % 2 }}", 1, 4, "mod"),
        ('{{ "a" * 999999999 }}', 1, 4, "mul"),
        ("{{ 9 ** 999999999 }}", 1, 4, "pow"),
        ("{{ lipsum }}", 1, 4, "lipsum"),
        ("{{ cycler }}", 1, 4, "cycler"),
        ("{{ self }}", 1, 4, "self"),
        ("{{ loop.index }}", 1, 4, "loop"),
        ("{{ varargs }}", 1, 4, "varargs"),
        ("{{ config }}", 1, 4, "config"),
        ("{{ request.environ }}", 1, 4, "request"),
        ("{{ body | default(range) }}", 1, 19, "range"),
        ("{{ body[range] }}", 1, 9, "range"),
        ("{{ body.x if range }}", 1, 14, "range"),
        ("{% if range %}x{% endif %}", 1, 7, "range"),
        ("{% if body %}{% else %}{{ range }}{% endif %}", 1, 27, "range"),
        ("{% if body %}a\n{% else %}\n  {{ x }}{% endif %}", 3, 6, "x"),
        ("abc\n  {{ 1 +\n     nope }}", 3, 6, "nope"),
        ("abc\r\n  {{ 1 +\r\n     nope }}", 3, 6, "nope"),
        ("a\rb\rc {{ nope }}", 3, 6, "nope"),
        ("${Webhook::Body.x}\n{{ nope }}", 2, 4, "nope"),
        ("{% for x in body %}{{ x }}{% endfor %}", 1, 4, "for"),
        ("{% macro m() %}{% endmacro %}", 1, 4, "macro"),
        ("{% set x = 1 %}", 1, 4, "assign"),
        ("{% set x %}a{% endset %}", 1, 4, "assignblock"),
        ("{% with x = 1 %}{% endwith %}", 1, 4, "with"),
        ('{% import "os" as os %}', 1, 4, "import"),
        ('{% from "os" import path %}', 1, 4, "fromimport"),
        ('{% include "x" %}', 1, 4, "include"),
        ('{% extends "x" %}', 1, 4, "extends"),
        ("{% block x %}{% endblock %}", 1, 4, "block"),
        ("{% call body() %}{% endcall %}", 1, 4, "callblock"),
        ("{% filter upper %}x{% endfilter %}", 1, 4, "filterblock"),
        ("{% raw %}{{ x }}{% endraw %}", 1, 1, "raw"),
        ("a\n {% raw %}{{ x }}{% endraw %}", 2, 2, "raw"),
        ("{% do body.x %}", 1, 4, "do"),
        ("{% debug %}", 1, 4, "debug"),
        ('{{ body | map("upper") }}', 1, 11, "there is no filter 'map', only abs, b64decode, "),
        ('{{ body | attr("__class__") }}', 1, 11, "attr"),
        ('{{ "x" | format(1) }}', 1, 10, "format"),
        ('{{ body | selectattr("x") }}', 1, 11, "selectattr"),
        ("{{ body | pprint }}", 1, 11, "pprint"),
        ("{{ body | safe }}", 1, 11, "safe"),
        ("{{ body | webhook }}", 1, 11, "webhook"),
        ("{{ body is callable }}", 1, 9, "there is no test 'callable', only defined, "),
        ("{{ body is filter }}", 1, 9, "filter"),
        ("{{ [x for x in body] }}", 1, 7, "','"),
        ("{{ (lambda: 1)() }}", 1, 11, "':'"),
        ("{{ body.x := 1 }}", 1, 11, "':'"),
        ("{{ body..x }}", 1, 9, "name or number"),
        ("{{ body.x | }}", 1, 13, "name"),
        ("${Webhook::Nope}", 1, 12, "Nope"),
        ("  ${Webhook}", 1, 3, "begins an expression"),
        ("${webhook::Body}", 1, 1, "begins an expression"),
        ("a $${ ${", 1, 7, "begins an expression"),
        ("${Webhook::Body[x]}", 1, 16, "breaks off"),
        ("${Webhook::Body.}", 1, 16, "breaks off"),
        ("${Webhook::Body.x", 1, 18, "breaks off"),
    ],
)
def test_a_template_is_refused_with_line_and_column(source, line, column, reason):
    with pytest.raises(TemplateRefused, match=reason) as caught:
        compile_expression(source)
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize(
    "source",
    [
        "{% autoescape false %}{{ body }}{% endautoescape %}",
        "{{ 1 | default(*query.x) }}",
        "{{ 1 | default(**query.x) }}",
        "{{ 1 is eq(*query.x) }}",
        "{{",
        "{{ body",
        "{% if body %}",
        "{# never closed",
        '{{ "a }}',
        '{{ "\\x" }}',
        "{{ body # }}",
        "{{ 1 | default(boolean=1, boolean=2) }}",
        "{{ 1 | default(class=1) }}",
        "x{{ 1e308 + 1e308 }}",
        "{{ " + "(" * 5000,
        "{{ " + "-" * 5000 + "1 }}",
        "{{ " + "not " * 5000 + "1 }}",
        "{{ " + "[" * 41 + "]" * 41 + " }}",
        "{{ 1" + " + 1" * 50 + " }}",
        "{{ body" + ".a" * 41 + " }}",
        "{{ body" + "| upper" * 41 + " }}",
        "{{ [" + "1, " * 7001 + "] }}",
        "{{ 1" + " if 1 else 1" * 50 + " }}",
        "{% if 1 %}" * 41 + "{% endif %}" * 41,
        "{{ " + "9" * 5000 + " }}",
        "{{ 0x" + "f" * 5000 + " }}",
        "x{{ 0b" + "1" * 20000 + " }}",
        "x" * (MAX_SOURCE_CHARS + 1),
    ],
    ids=lambda source: source[:30],
)
def test_a_template_is_refused(source):
    with pytest.raises(TemplateRefused) as caught:
        compile_expression(source)
    assert caught.value.line >= 1
    assert caught.value.column >= 1


# --- the sandbox: nothing to be found --------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "{{ body.__class__ }}",
        "{{ body.__class__.__mro__ }}",
        '{{ body["__class__"] }}',
        '{{ ""["__class__"] }}',
        '{{ "".join }}',
        "{{ [].append }}",
        "{{ {}.items }}",
        "{{ (1).real }}",
        "{{ true.real }}",
        "{{ none.__doc__ }}",
        "{{ body.content }}",
        "{{ body._decode }}",
        "{{ headers.lists }}",
        "{{ headers._ignore_case }}",
        "{{ query.get }}",
        "{{ delivery.items }}",
        "{{ delivery.__init__.__globals__ }}",
        "{{ body.missing.__class__ }}",
        '{{ (body | first)["__class__"] }}',
        "${Webhook::Body.__class__.__mro__}",
        "${Webhook::Headers.lists}",
        "${Webhook::Body.content}",
    ],
)
def test_no_attribute_is_ever_found(source):
    assert isinstance(evaluate(source, {"a": "b"}), Missing)
    assert evaluate(f"x{source}", {"a": "b"}) == "x"


def test_a_dot_finds_the_key_never_the_method():
    assert evaluate("{{ body.items }}{{ body.__class__ }}", {"items": 1, "__class__": 2}) == "12"


# --- the sandbox: bounded --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "characters"),
    [
        pytest.param('{{ body.x | replace("", body.x) }}', 5_000, id="replace nothing"),
        pytest.param('{{ body.x | replace("a", body.x) }}', 5_000, id="replace"),
        pytest.param('{{ body.x | split("a") | join(body.x) }}', 5_000, id="join"),
        pytest.param("{{ " + " + ".join(["body.x"] * 35) + " }}", 500_000, id="plus"),
        pytest.param("{{ " + " ~ ".join(["body.x"] * 200) + " }}", 100_000, id="tilde"),
        pytest.param("{{ body.x }}" * 200, 100_000, id="output"),
        pytest.param("{{ [" + "body.x, " * 200 + "] | join }}", 100_000, id="join a written list"),
        pytest.param("{{ [" + "body.x, " * 200 + "] | tojson }}", 100_000, id="tojson"),
        pytest.param("x{{ [" + "body.x, " * 200 + "] }}", 100_000, id="a list in a text"),
        pytest.param("{{ body.x " + "| b64encode " * 30 + "}}", 10_000, id="b64encode"),
        pytest.param("{{ body.x " + "| tojson | trim " * 15 + "}}", 1_000, id="escapes of escapes"),
    ],
)
def test_a_text_that_would_be_too_long_fails(source, characters):
    sent = {"x": ('"' if "trim" in source else "a") * characters}
    with pytest.raises(ExpressionFailed):
        evaluate(source, sent)


@pytest.mark.parametrize("source", ["{{ 1e999 }}", "{{ -1e999 }}", "x{{ 1e999 }}", "{{ 1e999 ~ '' }}"])
def test_a_number_that_is_not_finite_is_refused_or_fails(source):
    with pytest.raises((TemplateRefused, ExpressionFailed)):
        as_conf(source, types=STRING)


def test_many_small_expressions_are_fine():
    assert evaluate("{{ body.x }}" * 500, {"x": "a"}) == "a" * 500


def test_a_compiled_expression_keeps_nothing_between_requests():
    compiled = compile_expression("{{ body.x | default('none') }}")
    assert compiled.evaluate(sources({"x": 1})) == 1
    assert compiled.evaluate(sources({})) == "none"
