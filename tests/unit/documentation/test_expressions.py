"""Every example of docs/expressions.md, evaluated by the engine that evaluates webhooks."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from inbound_webhooks.errors import ExpressionFailed, TemplateRefused
from inbound_webhooks.event.conf.conversion import convert
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.arguments import arguments_in_words
from inbound_webhooks.event.expressions.engine import compile_condition, compile_expression
from inbound_webhooks.event.expressions.filters import FILTERS
from inbound_webhooks.event.response import CONTENT_TYPES, compile_response
from inbound_webhooks.event.values import Missing, to_json_value
from tests.infrastructure.pages import blocks, code, page, section, tables
from tests.unit.event.builders import parameter, request, sources_of

PAGE = page("docs/expressions.md")


def rows(title: str, number: int = 0) -> list[list[str]]:
    """The rows of a table below a heading."""
    return tables(section(PAGE, title))[number]


def examples(title: str, number: int = 0) -> list[list[str]]:
    """The last two cells of each row: an expression, and its value as JSON or "nothing"."""
    return [row[-2:] for row in rows(title, number)]


@pytest.fixture
def sources() -> DataSources:
    """The request at the top of the page."""
    (block,) = blocks(PAGE, "http")
    head, _, body = block.partition("\n\n")
    first, *lines = head.splitlines()
    headers = tuple((name, value) for name, value in (line.split(": ", 1) for line in lines))
    query = urlsplit(first.split()[1]).query
    return sources_of(request(body.encode(), "", query=query, headers=headers))


def documented(cell: str) -> tuple[type, Any]:
    return (type(None), "nothing") if cell == "nothing" else typed(json.loads(code(cell)))


def typed(value: Any) -> tuple[type, Any]:
    """A value with its type, for 1 is neither true nor 1.0."""
    return (
        (type(None), "nothing")
        if isinstance(value, Missing)
        else (type(to_json_value(value)), to_json_value(value))
    )


@pytest.mark.parametrize(
    ("expression", "value"),
    [*examples("Sources", 1), *examples("Jinja"), *examples("Filters"), *examples("Tests")],
)
def test_an_example_has_the_value_that_stands_beside_it(sources, expression, value):
    assert typed(compile_expression(code(expression)).evaluate(sources)) == documented(value)


@pytest.mark.parametrize(
    ("name", "expression"), [(row[0], row[-2]) for title in ("Filters", "Tests") for row in rows(title)]
)
def test_an_example_shows_what_its_row_is_about(name, expression):
    assert f" {code(name)}" in expression


@pytest.mark.parametrize(("expression", "schema", "value"), rows("Parameters"))
def test_a_parameter_gets_the_value_that_stands_beside_it(sources, expression, schema, value):
    param = parameter("it", json.loads(code(schema)))
    made = convert(compile_expression(code(expression)).evaluate(sources), param.types)
    assert typed(made) == documented(value)
    assert isinstance(made, Missing) or param.refusal(made) is None


@pytest.mark.parametrize(("condition", "counts"), rows("Webhook filters"))
def test_a_filter_says_what_stands_beside_it(sources, condition, counts):
    assert compile_condition(code(condition))(sources) is {"yes": True, "no": False}[counts]


@pytest.mark.parametrize(("content_type", "template", "response"), rows("Responses"))
def test_a_template_answers_what_stands_beside_it(sources, content_type, template, response):
    assert compile_response(code(content_type), code(template)).render(sources) == code(response)


def test_every_content_type_has_an_example():
    assert {code(row[0]) for row in rows("Responses")} == set(CONTENT_TYPES)


@pytest.mark.parametrize("row", rows("Filters"), ids=lambda row: code(row[0]))
def test_a_filter_stands_there_with_its_arguments(row):
    assert (code(row[1]) if row[1] else "") == arguments_in_words(FILTERS[code(row[0])])


@pytest.mark.parametrize(("expression", "reason"), [*rows("Limits"), *rows("Limits", 1)])
def test_what_is_not_there_is_refused_when_it_is_saved(expression, reason):
    with pytest.raises(TemplateRefused) as caught:
        compile_expression(code(expression))
    assert caught.value.reason == code(reason)


@pytest.mark.parametrize(("expression", "reason"), rows("Limits", 2))
def test_what_does_not_fit_is_refused_with_the_request(sources, expression, reason):
    expression = compile_expression(code(expression))
    with pytest.raises(ExpressionFailed) as caught:
        expression.evaluate(sources)
    assert caught.value.message == code(reason)
