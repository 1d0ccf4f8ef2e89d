"""``${Webhook::…}`` as tokens of Jinja, and offsets for error messages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import TemplateSyntaxError
from jinja2.lexer import Token

from inbound_webhooks.event.expressions.budget import CompileBudget, LocatedProblem

SOURCES = {"Body": "body", "Headers": "headers", "Query": "query", "Delivery": "delivery"}
"""Name in ``${Webhook::Name…}`` -> name in Jinja."""

RUN_SOURCES = {"Result": "result", "Run": "run"}
"""The sources of a response that is sent when the run has a result."""

ITEM_SOURCES = {"Item": "item"}
"""The source of a webhook that splits a list: the event itself."""

ALL_SOURCES = SOURCES | RUN_SOURCES

EVERY_SOURCE = ALL_SOURCES | ITEM_SOURCES

ONLY_AFTER_RUN = "{} is only known to the response of a webhook that waits for its run"
"""Why one of these sources is refused elsewhere."""

ONLY_IN_LISTS = "{} is only known to a webhook that splits a list (each), and not to its response"

Sources = Mapping[str, str]

# No template can name this filter: the space keeps it apart from names as the lexer reads them.
PATH_FILTER = "webhook path"


# The grammar of ${Webhook::Source.dotted[0]["quoted"]}. Names may contain anything but the characters that
# end them, spaces inside included: senders use all of it in keys.
_MARK = re.compile(r"\$?\$\{")
_HEAD = re.compile(r"\s*Webhook::([A-Za-z]+)")
_DOTTED = re.compile(r"\.([^.\[\]{}\"'\s](?:[^.\[\]{}\"'\n]*[^.\[\]{}\"'\s])?)")
_INDEX = re.compile(r"\[\s*(-?[0-9]{1,9})\s*\]")
_QUOTED = re.compile(r"\[\s*(?:\"((?:[^\"\\\n]|\\.)*)\"|'((?:[^'\\\n]|\\.)*)')\s*\]")
_TAIL = re.compile(r"\s*\}")


def with_offsets(
    raw: Iterator[tuple[int, str, str]], source: str, budget: CompileBudget
) -> Iterator[tuple[int, str, str]]:
    """Replace the line of each token by its offset, so that errors can name the column; each is charged."""
    position = 0
    try:
        for _, kind, value in raw:
            # Jinja reports only lines, so each token is searched for behind the last one.
            start = source.find(value, position)
            budget.charge(1, start)
            if kind == "raw_begin":
                raise LocatedProblem("raw blocks are not allowed here; $${ is a literal ${", start)
            yield start, kind, value
            position = start + len(value)
    except TemplateSyntaxError as error:
        raise LocatedProblem(error.message or "it does not parse", position) from None


def with_webhook_expressions(
    tokens: Iterator[Token], budget: CompileBudget, sources: Sources
) -> Iterator[Token]:
    """Replace ``${Webhook::…}`` in the text between Jinja's own tokens by tokens of a filtered name."""
    for token in tokens:
        if token.type == "data":
            for part in _split_data(token, sources):
                budget.charge(1, part.lineno)
                yield part
        else:
            yield token


def _split_data(token: Token, sources: Sources) -> Iterator[Token]:
    content, start, position = token.value, token.lineno, 0
    for mark in _MARK.finditer(content):
        # Inside an expression that was read already.
        if mark.start() < position:
            continue
        if mark.start() > position:
            yield Token(start + position, "data", content[position : mark.start()])
        if mark.group() == "$${":
            yield Token(start + mark.start(), "data", "${")
            position = mark.end()
        else:
            expression, position = _read_expression(content, mark.end(), start, sources)
            yield from _expression_tokens(expression, start + mark.start())
    if position < len(content):
        yield Token(start + position, "data", content[position:])


def _read_expression(
    content: str, position: int, start: int, sources: Sources
) -> tuple[tuple[str, list[Any]], int]:
    """Read ``Webhook::Source.path}``; return (source, path), and the position behind it."""
    head = _HEAD.match(content, position)
    if head is None:
        raise LocatedProblem(
            "${ begins an expression such as ${Webhook::Body.id}; $${ is a literal ${", start + position - 2
        )
    name = head.group(1)
    if name not in sources:
        reason = f"there is no Webhook::{name}, only {', '.join(sources)}"
        if name in RUN_SOURCES:
            reason = ONLY_AFTER_RUN.format(f"Webhook::{name}")
        elif name in ITEM_SOURCES:
            reason = ONLY_IN_LISTS.format(f"Webhook::{name}")
        raise LocatedProblem(reason, start + head.start(1))
    path: list[Any] = []
    position = head.end()
    while (step := _read_step(content, position)) is not None:
        part, position = step
        path.append(part)
    tail = _TAIL.match(content, position)
    if tail is None:
        raise LocatedProblem('the path breaks off here; expected .name, [0], ["key"] or }', start + position)
    return (sources[name], path), tail.end()


def _read_step(content: str, position: int) -> tuple[Any, int] | None:
    if match := _DOTTED.match(content, position):
        return match.group(1), match.end()
    if match := _INDEX.match(content, position):
        return int(match.group(1)), match.end()
    if match := _QUOTED.match(content, position):
        quoted = match.group(1) if match.group(1) is not None else match.group(2)
        # A tuple of one marks a quoted name, which is a single key even if it contains dots.
        return (re.sub(r"\\(.)", r"\1", quoted),), match.end()
    return None


def _expression_tokens(expression: tuple[str, list[Any]], offset: int) -> Iterator[Token]:
    source, path = expression
    yield Token(offset, "variable_begin", "${")
    yield Token(offset, "name", source)
    if path:
        yield Token(offset, "pipe", "|")
        yield Token(offset, "name", PATH_FILTER)
        yield Token(offset, "lparen", "(")
        for step in path:
            yield from _step_tokens(step, offset)
            yield Token(offset, "comma", ",")
        yield Token(offset, "rparen", ")")
    yield Token(offset, "variable_end", "}")


def _step_tokens(step: Any, offset: int) -> Iterator[Token]:
    if isinstance(step, int):
        if step < 0:
            yield Token(offset, "sub", "-")
        yield Token(offset, "integer", abs(step))  # type: ignore[arg-type]  # as the lexer does
    elif isinstance(step, str):
        yield Token(offset, "string", step)
    else:
        yield Token(offset, "lparen", "(")
        yield Token(offset, "string", step[0])
        yield Token(offset, "comma", ",")
        yield Token(offset, "rparen", ")")
