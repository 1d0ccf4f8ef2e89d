"""A filter, test or operator that can never succeed is refused when its webhook is saved, with its place."""

from __future__ import annotations

import inspect

import pytest

from inbound_webhooks.errors import DefinitionError, TemplateRefused
from inbound_webhooks.event.expressions.engine import compile_condition, compile_expression
from inbound_webhooks.event.expressions.filters import FILTERS
from inbound_webhooks.event.expressions.value_tests import TESTS
from inbound_webhooks.event.response import compile_response
from inbound_webhooks.event.rules import compile_rules
from inbound_webhooks.records.webhook import Draft
from tests.unit.event.builders import evaluate

WRONG = [
    ("body | upper(1)", 8, "upper: too many positional arguments; upper has no arguments"),
    ("body | replace('a')", 8, "replace: missing a required argument: 'new'"),
    ("body | replace", 8, "replace: missing a required argument: 'old'"),
    ("body | hmac_sha256", 8, "missing a required argument: 'key'"),
    ("body | tojson(2, 3)", 8, "too many positional arguments; write tojson(indent=none)"),
    ("body | tojson(indnt=2)", 8, "unexpected keyword argument 'indnt'"),
    ("body | tojson(indent='x')", 22, "indent is not a whole number"),
    ("body | tojson(indent=99)", 8, "indent is not between 0 and 8"),
    ("body | default(1, true, 2)", 8, "too many positional arguments"),
    ("body | default(1, default_value=2)", 8, "multiple values for argument 'default_value'"),
    ("body | default(boolean=1, boolean=2)", 8, "an argument is named twice"),
    ("body | default(value=1)", 8, "there is no argument 'value'"),
    ("body | split('')", 8, "the separator is empty"),
    ("body | split('a', 'b')", 19, "maxsplit is not a whole number"),
    ("body | round(none)", 14, "precision is not a whole number"),
    ("body | round(2, 'up')", 8, "method is not common, ceil or floor"),
    ("body | truncate('a')", 17, "length is not a whole number"),
    ("body | truncate(1)", 8, "length is less than that of end"),
    ("body | to_datetime('HH:mm')", 8, "the format has no year"),
    ("body | first(1)", 8, "first has no arguments"),
    ("'x' | int", 7, "this is not a number"),
    ("'*' | b64decode", 7, "this is not Base64"),
    ("'{' | fromjson", 7, "fromjson"),
    ("body is eq", 6, "eq: missing a required argument: 'other'; write eq(other)"),
    ("body is in", 6, "missing a required argument: 'container'"),
    ("body is in(5)", 6, "no text, list or object"),
    ("body is defined(1)", 6, "defined has no arguments"),
    ("1 / 0", 1, "division by zero"),
    ("body.a / 0", 1, "the divisor is 0"),
    ("body.a // 0.0", 1, "the divisor is 0"),
    ("body.a - 'x'", 1, "this operand is not a number"),
    ("none + body.a", 1, "this operand cannot be added"),
    ("-'a'", 1, "bad operand type"),
    ("body.a < none", 10, "this operand is neither more nor less"),
    ("'a' < 1", 1, "not supported"),
    ("body.a in 5", 11, "no text, list or object"),
    ("body.a[::0]", 7, "the step of a slice is 0"),
    ("body.a['x':]", 8, "start is not a whole number"),
    ("{[1]: 2}", 1, "cannot be the key"),
    ("1e308 + 1e308", 1, "too large"),
]
PLACES = {
    "mapping": (lambda source: {"mapping": {"p": source}}, "mapping"),
    "filter": (lambda source: {"filter": source}, "filter"),
    "deduplication key": (lambda source: {"dedup": source}, "dedup"),
    "event type": (lambda source: {"event_type": source}, "event_type"),
    "response": (
        lambda source: {"response_content_type": "text/plain", "response_template": source},
        "response_template",
    ),
}


@pytest.mark.parametrize(("expression", "column", "reason"), WRONG, ids=lambda value: str(value)[:40])
def test_what_cannot_succeed_is_refused_at_its_place(expression, column, reason):
    with pytest.raises(TemplateRefused) as caught:
        compile_condition(expression)
    assert reason in caught.value.reason
    assert (caught.value.line, caught.value.column) == (1, column)


@pytest.mark.parametrize("place", PLACES)
def test_it_is_refused_wherever_a_webhook_takes_an_expression(place):
    fields, field = PLACES[place]
    for expression, column, reason in WRONG:
        with pytest.raises(DefinitionError) as caught:
            compile_rules(Draft(name="any", dag_id="any", **fields(f"{{{{ {expression} }}}}")))
        assert caught.value.problem.field == field
        assert f"line 1, column {column + 3}: " in caught.value.message
        assert reason in caught.value.message


@pytest.mark.parametrize("functions", [FILTERS, TESTS], ids=["filters", "tests"])
def test_each_refuses_one_argument_too_many_and_one_too_few(functions):
    for name, function in functions.items():
        _, *parameters = inspect.signature(function).parameters.values()
        sign = "is" if functions is TESTS else "|"
        required = [each for each in parameters if each.default is inspect.Parameter.empty]
        with pytest.raises(TemplateRefused, match="too many positional arguments"):
            compile_expression(f"{{{{ body {sign} {name}({', '.join('1' * (len(parameters) + 1))}) }}}}")
        if required:
            with pytest.raises(TemplateRefused, match="missing a required argument"):
                compile_expression(f"{{{{ body {sign} {name} }}}}")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("body.object | tojson(indent=2)", '{\n  "k": [\n    1\n  ]\n}'),
        ("body.object | tojson(0)", '{"k":[1]}'),
        ("body.empty | default('x', true)", "x"),
        ("body.empty | d('x', boolean=true)", "x"),
        ("body.gone | default(default_value='x')", "x"),
        ("'a-b-c' | replace('-', '+', 1)", "a+b-c"),
        ("'a-b-c' | replace('-', '+', count=9)", "a+b+c"),
        ("'a-b-c' | split('-', 1)", ["a", "b-c"]),
        ("' a  b ' | split", ["a", "b"]),
        ("body.items | join(', ', attribute='id')", "1, 2"),
        ("'--a--' | trim('-')", "a"),
        ("2.345 | round(2)", 2.35),
        ("42.55 | round(1, 'floor')", 42.5),
        ("42.45 | round(method='ceil')", 43.0),
        ("-3 | abs", 3),
        ("'hello WORLD' | capitalize", "Hello world"),
        ("'foo bar baz qux' | truncate(9)", "foo..."),
        ("'foo bar baz qux' | truncate(9, true)", "foo ba..."),
        ("'foo bar baz qux' | truncate(11)", "foo bar baz qux"),
        ("'foo bar baz qux' | truncate(11, false, '..', 0)", "foo bar.."),
        ("'x' | int(default=0)", 0),
        ("'x' | float(default=1.5)", 1.5),
    ],
)
def test_what_people_copy_from_jinja_means_the_same(expression, value):
    body = {"object": {"k": [1]}, "empty": "", "items": [{"id": 1}, {"id": 2}]}
    assert evaluate(f"{{{{ {expression} }}}}", body) == value


def test_an_if_without_else_is_missing_where_it_is_false():
    from inbound_webhooks.event.values import Missing

    assert isinstance(evaluate("{{ 1 if body.gone }}", {}), Missing)
    assert evaluate("{{ 1 if body.a }}", {"a": True}) == 1
    assert evaluate("x{{ 1 if body.gone }}", {}) == "x"
    assert evaluate("{{ (1 if body.gone) | default('none') }}", {}) == "none"


def test_a_response_in_json_has_null_for_an_if_that_is_false():
    from tests.unit.event.builders import sources

    template = compile_response("application/json", '{"a": {{ 1 if body.gone }}}')
    assert template.render(sources({})) == '{"a": null}'
