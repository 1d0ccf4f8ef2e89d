"""``${Webhook::…}`` and Jinja -> one compiled template over the data sources, bounded by construction.

What a template may hold is an allow-list of syntax nodes, checked when it is compiled: expressions, ``if``
and named filters. There are no loops, assignments, calls, imports, ``*``, ``**`` or ``%``, dots look up
items only, every text has a cap, and so has what all expressions of a request compute together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.environment import Template as JinjaTemplate
from jinja2.exceptions import TemplateError
from jinja2.lexer import TokenStream
from jinja2.sandbox import SandboxedEnvironment

from inbound_webhooks.errors import ExpressionFailed, TemplateRefused
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.allow_list import (
    CHARGE_FILTER,
    CONCAT_FILTER,
    SLICE_FILTER,
    TESTS,
    check_tree,
    filtered_by,
)
from inbound_webhooks.event.expressions.budget import WRITTEN, charge, charging
from inbound_webhooks.event.expressions.filters import FILTERS
from inbound_webhooks.event.expressions.syntax import (
    PATH_FILTER,
    SOURCES,
    LocatedProblem,
    with_offsets,
    with_webhook_expressions,
)
from inbound_webhooks.event.values import (
    Missing,
    check_length,
    cost,
    follow,
    look_up,
    to_json_output,
    to_json_string,
    to_json_value,
    to_json_value_at_all_levels,
    to_plain_text,
    to_text,
    to_xml,
)

MAX_SOURCE_CHARS = 64 * 1024


_FREE = frozenset({"count", "d", "default", "first", "last", "length"})
"""Filters that do the same whatever the size of a value."""

WRITERS: dict[str, Callable[[Any], str]] = {
    "webhook text": to_text,
    "webhook plain text": to_plain_text,
    "webhook json": to_json_output,
    "webhook json string": to_json_string,
    "webhook xml": to_xml,
}
"""How a printed expression becomes text; :func:`compile_output` picks one for each."""


_RUNTIME_ERRORS = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    RecursionError,
)


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
    :class:`Missing`) where the source is one expression, else a str; it raises ExpressionFailed or
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
            child if isinstance(child, nodes.TemplateData) else filtered_by(child, writer(child))
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
        check_tree(tree)
    except LocatedProblem as error:
        raise _refused(error.reason, source, error.offset) from None
    except TemplateSyntaxError as error:
        raise _refused(error.message or "it does not parse", source, error.lineno) from None
    except RecursionError:
        raise TemplateRefused("it is nested too deeply", 1, 1) from None
    except ValueError:  # Python's bound on the digits of a number
        raise TemplateRefused("a number in it is too long", 1, 1) from None
    return Parsed(source, tree)


def _is_yes(value: Any) -> bool:
    return bool(to_json_value(value))


def _compile_whole(parsed: Parsed, whole: nodes.Expr) -> Callable[[DataSources], Any]:
    if (path := _bare_path(whole)) is not None:
        return partial(_found_at, *path)
    assignment = nodes.Assign(nodes.Name("result", "store", lineno=1), whole, lineno=1)
    template = _load(parsed, nodes.Template([assignment], lineno=1))
    builds_containers = any(parsed.tree.find_all((nodes.List, nodes.Tuple, nodes.Dict)))
    return partial(_container_of if builds_containers else _value_of, template)


def _bare_path(whole: nodes.Expr) -> tuple[str, tuple[Any, ...]] | None:
    """Source and path of an expression that is nothing else: most are, and need no template then."""
    if (
        not isinstance(whole, nodes.Filter)
        or whole.name != PATH_FILTER
        or not isinstance(whole.node, nodes.Name)
    ):
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
    except _RUNTIME_ERRORS as error:
        raise _failed(error) from None


def _value_of(template: JinjaTemplate, sources: DataSources) -> Any:
    context = template.new_context(_names(sources))
    try:
        with charging(sources.budget):
            for _ in template.root_render_func(context):
                pass  # an assignment prints nothing; running it is the point
    except _RUNTIME_ERRORS as error:
        raise _failed(error) from None
    return context.vars["result"]


def _container_of(template: JinjaTemplate, sources: DataSources) -> Any:
    # Sources and missing values may stand inside a list or object that the expression writes.
    with charging(sources.budget):
        return to_json_value_at_all_levels(_value_of(template, sources))


def _text_of(template: JinjaTemplate, sources: DataSources) -> str:
    parts: list[str] = []
    total = 0
    try:
        with charging(sources.budget):
            for part in template.root_render_func(template.new_context(_names(sources))):
                total += len(part)
                check_length(total)
                parts.append(part)
    except _RUNTIME_ERRORS as error:
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
            autoescape=False, undefined=Missing, keep_trailing_newline=True, optimized=False, cache_size=0
        )
        self.globals = {}
        costly = {name: filter for name, filter in FILTERS.items() if name not in _FREE}
        costly |= {**WRITERS, CONCAT_FILTER: _concat}
        self.filters = {**FILTERS, PATH_FILTER: _follow, CHARGE_FILTER: _weigh, SLICE_FILTER: _slice}
        self.filters |= {name: _counted(filter) for name, filter in costly.items()}
        self.tests = {name: _weighed(self.tests[name]) for name in TESTS}

    def getattr(self, obj: Any, attribute: str) -> Any:
        return look_up(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return look_up(obj, argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if isinstance(left, (str, list)) and isinstance(right, (str, list)):
            check_length(len(left) + len(right))
            charge(_made(left) + _made(right))
        return left + right

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        raw = with_offsets(self.lexer.tokeniter(source, name, filename, state), source)
        tokens = self.lexer.wrap(raw, name, filename)
        return TokenStream(with_webhook_expressions(tokens), name, filename)


def _counted(filter: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, with what it reads and makes counted."""

    def call(value: Any, *args: Any, **kwargs: Any) -> Any:
        made = filter(value, *args, **kwargs)
        charge(cost(value) + sum(map(cost, (*args, *kwargs.values()))) + _made(made))
        return made

    return call


def _made(value: Any) -> int:
    return WRITTEN * len(value) if isinstance(value, str) else cost(value)


def _weighed(test: Any) -> Callable[..., Any]:
    """The test, with what it may look at counted."""
    return lambda *values: test(*map(_weigh, values))


def _weigh(value: Any) -> Any:
    """The value, with what a comparison may look at counted."""
    charge(cost(value))
    return value


def _slice(value: Any, start: Any, stop: Any, step: Any) -> Any:
    part = look_up(value, slice(start, stop, step))
    charge(_made(part))
    return part


def _follow(source: Any, *path: Any) -> Any:
    return follow(source, path)


def _concat(*values: Any) -> str:
    parts = [to_text(value) for value in values]
    check_length(sum(map(len, parts)))
    return "".join(parts)


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


# --- ${Webhook::…} and offsets in the token stream ------------------------------------------


def _refused(reason: str, source: str, offset: int) -> TemplateRefused:
    offset = min(max(offset, 0), len(source))
    line = source.count("\n", 0, offset) + 1
    column = offset - (source.rfind("\n", 0, offset) + 1) + 1
    return TemplateRefused(reason, line, column)
