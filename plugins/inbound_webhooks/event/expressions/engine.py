"""``${Webhook::…}`` and Jinja -> one compiled template over the data sources, bounded by construction.

What a template may hold is an allow-list of syntax nodes, checked when it is compiled: expressions, ``if``
and named filters. There are no loops, assignments, calls, imports, ``*``, ``**`` or ``%``, dots look up
items only, every text has a cap, and so has what all expressions of a request compute together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.environment import Template as JinjaTemplate
from jinja2.exceptions import TemplateError
from jinja2.lexer import Token, TokenStream
from jinja2.sandbox import SandboxedEnvironment

from inbound_webhooks.errors import ExpressionFailed, TemplateRefused
from inbound_webhooks.event.expressions.budget import WRITTEN, Counting, spend
from inbound_webhooks.event.expressions.filters import FILTERS
from inbound_webhooks.event.request import DataSources
from inbound_webhooks.event.values import (
    Nothing,
    as_json,
    as_json_string,
    as_plain_text,
    as_xml,
    bounded,
    deep_plain,
    follow,
    look_up,
    plain,
    size,
    text,
)

MAX_SOURCE_CHARS = 64 * 1024
MAX_NODES = 2_000
MAX_NESTING = 40

_LARGEST_INTEGER = 10**100

SOURCES = {"Body": "body", "Headers": "headers", "Query": "query", "Delivery": "delivery"}
"""Name in ``${Webhook::Name…}`` -> name in Jinja."""

TESTS = (
    "defined",
    "undefined",
    "none",
    "string",
    "number",
    "boolean",
    "mapping",
    "sequence",
    "in",
    "eq",
    "ne",
)

# Names that no template can spell: a space keeps them apart from what the lexer takes for a name.
_FOLLOW = "webhook path"
_CONCAT = "webhook concat"
_WEIGH = "webhook weigh"
_SLICE = "webhook slice"

_FREE = frozenset({"count", "d", "default", "first", "last", "length"})
"""Filters that do the same whatever the size of a value."""

WRITERS: dict[str, Callable[[Any], str]] = {
    "webhook text": text,
    "webhook plain text": as_plain_text,
    "webhook json": as_json,
    "webhook json string": as_json_string,
    "webhook xml": as_xml,
}
"""How a printed expression becomes text; :func:`compile_output` picks one for each."""

_ALLOWED_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If,
    nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Slice,
    nodes.Filter, nodes.Test, nodes.Keyword, nodes.CondExpr,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos,
    nodes.Add, nodes.Sub, nodes.Div, nodes.FloorDiv, nodes.Concat,
    nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair,
)  # fmt: skip

_RUNTIME_FAULTS = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    RecursionError,
)


class _Located(Exception):
    """A fault at an offset of the source."""

    def __init__(self, reason: str, offset: int) -> None:
        self.reason = reason
        self.offset = offset
        super().__init__(reason)


@dataclass(frozen=True)
class Parsed:
    """A checked syntax tree; the ``lineno`` of its nodes is an offset into ``source``."""

    source: str
    tree: nodes.Template

    def refuse(self, reason: str, offset: int) -> TemplateRefused:
        """The error that names the place of a node by line and column, both from 1."""
        return _refused(reason, self.source, offset)

    @property
    def whole_expression(self) -> nodes.Expr | None:
        """The expression where the source is nothing else, else None."""
        match self.tree.body:
            case [nodes.Output(nodes=[expression])] if not isinstance(expression, nodes.TemplateData):
                return expression
        return None


@dataclass(frozen=True)
class Expression:
    """A compiled source: typed where it is one whole expression, else a text."""

    source: str
    evaluate: Callable[[DataSources], Any]
    is_path: bool = False
    """Whether it gives a part of the data as it is."""


def compile_expression(source: str) -> Expression:
    """Compile the right side of a mapping.

    ``evaluate`` returns the value with its type (a whole source as itself, nothing as an instance of
    :class:`Nothing`) where the source is one expression, else a str; it raises ExpressionFailed or
    BodyMalformed.

    :raises TemplateRefused: it does not compile; with line and column
    """
    parsed = parse(source)
    whole = parsed.whole_expression
    if whole is None:
        return Expression(source, compile_output(parsed, lambda _: "webhook text"))
    return Expression(source, _compile_whole(parsed, whole), is_path=_bare_path(whole) is not None)


def compile_condition(source: str) -> Callable[[DataSources], bool]:
    """Compile a filter: one Jinja expression, bare or in braces, whose value counts as yes or no.

    Such as ``headers["X-GitHub-Event"] == "push" and body.ref == "refs/heads/main"``.
    The function raises ExpressionFailed or BodyMalformed.

    :raises TemplateRefused: it does not compile, or is a text with expressions in it
    """
    if not source.strip():
        raise TemplateRefused("it is empty", 1, 1)
    bare = not source.lstrip().startswith(("{{", "${"))
    try:
        parsed = parse("{{" + source + "}}" if bare else source)
    except TemplateRefused as error:
        column = error.column - 2 if bare and error.line == 1 else error.column
        raise TemplateRefused(error.reason, error.line, max(column, 1)) from None
    if parsed.whole_expression is None:
        raise TemplateRefused("a filter is one expression, not a text with expressions in it", 1, 1)
    evaluate = _compile_whole(parsed, parsed.whole_expression)
    return lambda sources: _is_yes(evaluate(sources))


def compile_output(parsed: Parsed, writer: Callable[[nodes.Expr], str]) -> Callable[[DataSources], str]:
    """Compile a template to a function from data sources to text.

    ``writer`` names, for each printed expression, the entry of :data:`WRITERS` that turns it into text.
    The function raises ExpressionFailed or BodyMalformed.
    """
    for output in parsed.tree.find_all(nodes.Output):
        output.nodes = [
            child if isinstance(child, nodes.TemplateData) else _filtered(child, writer(child))
            for child in output.nodes
        ]
    return partial(_text_of, _load(parsed, parsed.tree))


def parse(source: str) -> Parsed:
    """Parse and check a source in both notations.

    :raises TemplateRefused: it does not parse, or holds what is not allowed; with line and column
    """
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    if len(source) > MAX_SOURCE_CHARS:
        raise TemplateRefused(f"it is longer than {MAX_SOURCE_CHARS} characters", 1, 1)
    try:
        tree = _ENGINE.parse(source)
        _check(tree)
    except _Located as error:
        raise _refused(error.reason, source, error.offset) from None
    except TemplateSyntaxError as error:
        raise _refused(error.message or "it does not parse", source, error.lineno) from None
    except RecursionError:
        raise TemplateRefused("it is nested too deeply", 1, 1) from None
    except ValueError:  # Python's bound on the digits of a number
        raise TemplateRefused("a number in it is too long", 1, 1) from None
    return Parsed(source, tree)


def _is_yes(value: Any) -> bool:
    return bool(plain(value))


def _compile_whole(parsed: Parsed, whole: nodes.Expr) -> Callable[[DataSources], Any]:
    if (path := _bare_path(whole)) is not None:
        return partial(_found_at, *path)
    assignment = nodes.Assign(nodes.Name("result", "store", lineno=1), whole, lineno=1)
    template = _load(parsed, nodes.Template([assignment], lineno=1))
    builds_containers = any(parsed.tree.find_all((nodes.List, nodes.Tuple, nodes.Dict)))
    return partial(_container_of if builds_containers else _value_of, template)


def _bare_path(whole: nodes.Expr) -> tuple[str, tuple[Any, ...]] | None:
    """Source and path of an expression that is nothing else: most are, and need no template then."""
    if not isinstance(whole, nodes.Filter) or whole.name != _FOLLOW or not isinstance(whole.node, nodes.Name):
        return None
    whole.set_environment(_ENGINE)
    try:
        return whole.node.name, tuple(argument.as_const() for argument in whole.args)
    except nodes.Impossible:
        return None


# --- evaluation -----------------------------------------------------------------------------


def _names(sources: DataSources) -> dict[str, Any]:
    return {name: getattr(sources, name) for name in SOURCES.values()}


def _found_at(source: str, path: tuple[Any, ...], sources: DataSources) -> Any:
    try:
        return follow(getattr(sources, source), path)
    except _RUNTIME_FAULTS as error:
        raise _failed(error) from None


def _value_of(template: JinjaTemplate, sources: DataSources) -> Any:
    context = template.new_context(_names(sources))
    try:
        with Counting(sources.work):
            for _ in template.root_render_func(context):
                pass  # an assignment prints nothing; running it is the point
    except _RUNTIME_FAULTS as error:
        raise _failed(error) from None
    return context.vars["result"]


def _container_of(template: JinjaTemplate, sources: DataSources) -> Any:
    # Sources and missing values may stand inside a list or object that the expression writes.
    with Counting(sources.work):
        return deep_plain(_value_of(template, sources))


def _text_of(template: JinjaTemplate, sources: DataSources) -> str:
    parts: list[str] = []
    total = 0
    try:
        with Counting(sources.work):
            for part in template.root_render_func(template.new_context(_names(sources))):
                total += len(part)
                bounded(total)
                parts.append(part)
    except _RUNTIME_FAULTS as error:
        raise _failed(error) from None
    return "".join(parts)


def _failed(error: Exception) -> ExpressionFailed:
    # Python's message may quote the data, so the kind of the fault has to do.
    return ExpressionFailed(f"The expression does not fit the data ({type(error).__name__}).")


# --- the engine -----------------------------------------------------------------------------


class _Engine(SandboxedEnvironment):
    """Jinja whose dots and brackets look up items, and whose token positions are offsets."""

    intercepted_binops = frozenset(["+"])

    def __init__(self) -> None:
        super().__init__(
            autoescape=False, undefined=Nothing, keep_trailing_newline=True, optimized=False, cache_size=0
        )
        self.globals = {}
        costly = {name: filter for name, filter in FILTERS.items() if name not in _FREE}
        costly |= {**WRITERS, _CONCAT: _concat}
        self.filters = {**FILTERS, _FOLLOW: _follow, _WEIGH: _weigh, _SLICE: _slice}
        self.filters |= {name: _counted(filter) for name, filter in costly.items()}
        self.tests = {name: _weighed(self.tests[name]) for name in TESTS}

    def getattr(self, obj: Any, attribute: str) -> Any:
        return look_up(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return look_up(obj, argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if isinstance(left, (str, list)) and isinstance(right, (str, list)):
            bounded(len(left) + len(right))
            spend(_made(left) + _made(right))
        return left + right

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        raw = _with_offsets(self.lexer.tokeniter(source, name, filename, state), source)
        tokens = self.lexer.wrap(raw, name, filename)
        return TokenStream(_with_webhook_expressions(tokens), name, filename)


def _counted(filter: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, with what it reads and makes counted."""

    def call(value: Any, *args: Any, **kwargs: Any) -> Any:
        made = filter(value, *args, **kwargs)
        spend(size(value) + sum(map(size, (*args, *kwargs.values()))) + _made(made))
        return made

    return call


def _made(value: Any) -> int:
    return WRITTEN * len(value) if isinstance(value, str) else size(value)


def _weighed(test: Any) -> Callable[..., Any]:
    """The test, with what it may look at counted."""
    return lambda *values: test(*map(_weigh, values))


def _weigh(value: Any) -> Any:
    """The value, with what a comparison may look at counted."""
    spend(size(value))
    return value


def _slice(value: Any, start: Any, stop: Any, step: Any) -> Any:
    part = look_up(value, slice(start, stop, step))
    spend(_made(part))
    return part


def _follow(source: Any, *path: Any) -> Any:
    return follow(source, path)


def _concat(*values: Any) -> str:
    parts = [text(value) for value in values]
    bounded(sum(map(len, parts)))
    return "".join(parts)


def _filtered(expression: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(expression, name, [], [], None, None, lineno=expression.lineno)


def _load(parsed: Parsed, tree: nodes.Template) -> JinjaTemplate:
    tree.set_environment(_ENGINE)
    try:
        code = _ENGINE.compile(tree)
    except TemplateSyntaxError as error:
        raise parsed.refuse(error.message or "it does not compile", error.lineno) from None
    except (SyntaxError, RecursionError, MemoryError):
        raise TemplateRefused("it is too complex", 1, 1) from None
    return JinjaTemplate.from_code(_ENGINE, code, {})


_ENGINE = _Engine()


# --- the allow-list -------------------------------------------------------------------------


def _check(tree: nodes.Template) -> None:
    pending: list[tuple[nodes.Node, int]] = [(tree, 0)]
    seen = 0
    while pending:
        node, depth = pending.pop()
        seen += 1
        if seen > MAX_NODES or depth > MAX_NESTING:
            raise _Located("it is too complex", node.lineno or 0)
        _check_node(node)
        pending.extend((child, depth + 1) for child in node.iter_child_nodes())
    _replace_unbounded(tree)
    _weigh_comparisons(tree)


def _check_node(node: nodes.Node) -> None:
    if not isinstance(node, _ALLOWED_NODES):
        raise _Located(f"{type(node).__name__.lower()} is not allowed here", node.lineno or 0)
    if isinstance(node, nodes.Const) and _is_too_large(node.value):
        raise _Located("a number in it is too large", node.lineno)
    if isinstance(node, (nodes.Filter, nodes.Test)) and (node.dyn_args or node.dyn_kwargs):
        raise _Located("* and ** are not allowed here", node.lineno)
    if isinstance(node, nodes.Name) and node.name not in SOURCES.values():
        raise _Located(f"there is no {node.name!r}, only {', '.join(SOURCES.values())}", node.lineno)
    if isinstance(node, nodes.Filter) and node.name not in FILTERS and node.name != _FOLLOW:
        raise _Located(f"there is no filter {node.name!r}, only {', '.join(sorted(FILTERS))}", node.lineno)
    if isinstance(node, nodes.Filter) and node.node is None:
        raise _Located("a filter block is not allowed here", node.lineno)
    if isinstance(node, nodes.Test) and node.name not in TESTS:
        raise _Located(f"there is no test {node.name!r}, only {', '.join(TESTS)}", node.lineno)


def _is_too_large(constant: Any) -> bool:
    if isinstance(constant, float):
        return not math.isfinite(constant)
    return isinstance(constant, int) and abs(constant) >= _LARGEST_INTEGER


def _replace_unbounded(node: nodes.Node) -> None:
    """Let filters of ours do what Jinja would leave to Python, past any count: ``a ~ b`` and ``a[b:c]``."""
    for child in node.iter_child_nodes():
        _replace_unbounded(child)
    for name, value in node.iter_fields():
        if isinstance(value, list):
            value[:] = [_bounded_form(item) for item in value]
        else:
            setattr(node, name, _bounded_form(value))


def _bounded_form(node: Any) -> Any:
    if isinstance(node, nodes.Concat):
        head, *rest = node.nodes
        return nodes.Filter(head, _CONCAT, rest, [], None, None, lineno=node.lineno)
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
        ends = [end or nodes.Const(None) for end in (node.arg.start, node.arg.stop, node.arg.step)]
        return nodes.Filter(node.node, _SLICE, ends, [], None, None, lineno=node.lineno)
    return node


def _weigh_comparisons(tree: nodes.Template) -> None:
    """Count what ``==``, ``in`` and the others look at."""
    for comparison in tree.find_all(nodes.Compare):
        sides: list[Any] = [comparison, *comparison.ops]
        for side in sides:
            if not isinstance(side.expr, nodes.Const):
                side.expr = _filtered(side.expr, _WEIGH)


# --- ${Webhook::…} and offsets in the token stream ------------------------------------------

_MARK = re.compile(r"\$?\$\{")
_HEAD = re.compile(r"\s*Webhook::([A-Za-z]+)")
_DOTTED = re.compile(r"\.([^.\[\]{}\"'\s](?:[^.\[\]{}\"'\n]*[^.\[\]{}\"'\s])?)")
_INDEX = re.compile(r"\[\s*(-?[0-9]{1,9})\s*\]")
_QUOTED = re.compile(r"\[\s*(?:\"((?:[^\"\\\n]|\\.)*)\"|'((?:[^'\\\n]|\\.)*)')\s*\]")
_TAIL = re.compile(r"\s*\}")


def _with_offsets(raw: Iterator[tuple[int, str, str]], source: str) -> Iterator[tuple[int, str, str]]:
    """Replace the line of each token by its offset, so that errors can name a column."""
    position = 0
    try:
        for _, kind, value in raw:
            start = source.find(value, position)
            if kind == "raw_begin":
                raise _Located("raw blocks are not allowed here; $${ is a literal ${", start)
            yield start, kind, value
            position = start + len(value)
    except TemplateSyntaxError as error:
        raise _Located(error.message or "it does not parse", position) from None


def _with_webhook_expressions(tokens: Iterator[Token]) -> Iterator[Token]:
    for token in tokens:
        if token.type == "data":
            yield from _split_data(token)
        else:
            yield token


def _split_data(token: Token) -> Iterator[Token]:
    content, start, position = token.value, token.lineno, 0
    for mark in _MARK.finditer(content):
        if mark.start() < position:
            continue
        if mark.start() > position:
            yield Token(start + position, "data", content[position : mark.start()])
        if mark.group() == "$${":
            yield Token(start + mark.start(), "data", "${")
            position = mark.end()
        else:
            expression, position = _read_expression(content, mark.end(), start)
            yield from _expression_tokens(expression, start + mark.start())
    if position < len(content):
        yield Token(start + position, "data", content[position:])


def _read_expression(content: str, position: int, start: int) -> tuple[tuple[str, list[Any]], int]:
    """Read ``Webhook::Source.path}`` and return (source, path) and the position behind it."""
    head = _HEAD.match(content, position)
    if head is None:
        raise _Located(
            "${ begins an expression such as ${Webhook::Body.id}; $${ is a literal ${", start + position - 2
        )
    if head.group(1) not in SOURCES:
        raise _Located(
            f"there is no Webhook::{head.group(1)}, only {', '.join(SOURCES)}", start + head.start(1)
        )
    path: list[Any] = []
    position = head.end()
    while (step := _read_step(content, position)) is not None:
        part, position = step
        path.append(part)
    tail = _TAIL.match(content, position)
    if tail is None:
        raise _Located('the path breaks off here; expected .name, [0], ["key"] or }', start + position)
    return (SOURCES[head.group(1)], path), tail.end()


def _read_step(content: str, position: int) -> tuple[Any, int] | None:
    if match := _DOTTED.match(content, position):
        return match.group(1), match.end()
    if match := _INDEX.match(content, position):
        return int(match.group(1)), match.end()
    if match := _QUOTED.match(content, position):
        quoted = match.group(1) if match.group(1) is not None else match.group(2)
        return (re.sub(r"\\(.)", r"\1", quoted),), match.end()
    return None


def _expression_tokens(expression: tuple[str, list[Any]], offset: int) -> Iterator[Token]:
    source, path = expression
    yield Token(offset, "variable_begin", "${")
    yield Token(offset, "name", source)
    if path:
        yield Token(offset, "pipe", "|")
        yield Token(offset, "name", _FOLLOW)
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


def _refused(reason: str, source: str, offset: int) -> TemplateRefused:
    offset = min(max(offset, 0), len(source))
    line = source.count("\n", 0, offset) + 1
    column = offset - (source.rfind("\n", 0, offset) + 1) + 1
    return TemplateRefused(reason, line, column)
