"""``${Webhook::…}`` and Jinja -> one compiled template over the data sources, bounded by construction.

Templates are checked against an allow-list of syntax nodes when they are compiled: expressions, ``if`` and
named filters. There are no loops, assignments, calls, imports, ``*``, ``**`` or ``%``, dots look up items
only, every text has a maximum length, and all expressions of a request share a computing budget.
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


_CONSTANT_COST = frozenset({"count", "d", "default", "first", "last", "length"})
"""Filters whose cost does not depend on the size of a value."""

WRITERS: dict[str, Callable[[Any], str]] = {
    "webhook text": to_text,
    "webhook plain text": to_plain_text,
    "webhook json": to_json_output,
    "webhook json string": to_json_string,
    "webhook xml": to_xml,
}
"""Functions that turn a printed expression into text; :func:`compile_output` chooses one for each."""

# What filters and tests may raise on unsuitable data.
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
    """A checked syntax tree; ``lineno`` of its nodes holds an offset into ``source``."""

    source: str
    tree: nodes.Template

    def refuse(self, reason: str, offset: int) -> TemplateRefused:
        """An error that names a node's place by line and column, both counted from 1."""
        return _refused(reason, self.source, offset)

    @property
    def whole_expression(self) -> nodes.Expr | None:
        """The expression, if the source is exactly one; else None."""
        match self.tree.body:
            case [nodes.Output(nodes=[expression])] if not isinstance(expression, nodes.TemplateData):
                return expression
        return None


@dataclass(frozen=True)
class Expression:
    """A compiled source: a typed value if it is exactly one expression, else text."""

    source: str
    evaluate: Callable[[DataSources], Any]
    is_path: bool = False
    """Whether the value is a part of the data, unchanged."""


def compile_expression(source: str) -> Expression:
    """Compile the right side of a mapping's line.

    ``evaluate`` returns a value with its type if the source is exactly one expression (a whole source as
    itself, :class:`Missing` for nothing), else a str; it raises ExpressionFailed or BodyMalformed.

    :raises TemplateRefused: it does not compile; has line and column
    """
    parsed = parse(source)
    whole = parsed.whole_expression
    if whole is None:
        return Expression(source, compile_output(parsed, lambda _: "webhook text"))
    return Expression(source, _compile_whole(parsed, whole), is_path=_bare_path(whole) is not None)


def compile_condition(source: str) -> Callable[[DataSources], bool]:
    """Compile a filter: one Jinja expression, bare or in braces, evaluated for its truth.

    Such as ``headers["X-GitHub-Event"] == "push" and body.ref == "refs/heads/main"``.
    The returned function raises ExpressionFailed or BodyMalformed.

    :raises TemplateRefused: it does not compile, or is text around expressions
    """
    if not source.strip():
        raise TemplateRefused("it is empty", 1, 1)
    bare = not source.lstrip().startswith(("{{", "${"))
    try:
        parsed = parse("{{" + source + "}}" if bare else source)
    except TemplateRefused as error:
        # The braces were added here: report the column in the user's source.
        column = error.column - 2 if bare and error.line == 1 else error.column
        raise TemplateRefused(error.reason, error.line, max(column, 1)) from None
    if parsed.whole_expression is None:
        raise TemplateRefused("a filter is one expression, not a text with expressions in it", 1, 1)
    evaluate = _compile_whole(parsed, parsed.whole_expression)
    return lambda sources: bool(to_json_value(evaluate(sources)))


def compile_output(parsed: Parsed, writer: Callable[[nodes.Expr], str]) -> Callable[[DataSources], str]:
    """Compile a template to a function from data sources to text.

    ``writer`` names the entry of :data:`WRITERS` for each printed expression.
    The returned function raises ExpressionFailed or BodyMalformed.
    """
    for output in parsed.tree.find_all(nodes.Output):
        output.nodes = [
            child if isinstance(child, nodes.TemplateData) else filtered_by(child, writer(child))
            for child in output.nodes
        ]
    return partial(_render, _load(parsed, parsed.tree))


def parse(source: str) -> Parsed:
    """Parse and check a source in both notations.

    :raises TemplateRefused: it does not parse, or contains something not allowed; has line and column
    """
    # Lines end with \n from here on, so that offsets and lines agree.
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
    except ValueError:  # Python's limit on the digits of a number
        raise TemplateRefused("a number in it is too long", 1, 1) from None
    return Parsed(source, tree)


def _compile_whole(parsed: Parsed, whole: nodes.Expr) -> Callable[[DataSources], Any]:
    if (path := _bare_path(whole)) is not None:
        return partial(_follow_path, *path)
    # Jinja templates print; assigning the expression instead keeps the type of its value.
    assignment = nodes.Assign(nodes.Name("result", "store", lineno=1), whole, lineno=1)
    template = _load(parsed, nodes.Template([assignment], lineno=1))
    builds_containers = any(parsed.tree.find_all((nodes.List, nodes.Tuple, nodes.Dict)))
    return partial(_evaluate_container if builds_containers else _evaluate, template)


def _bare_path(whole: nodes.Expr) -> tuple[str, tuple[Any, ...]] | None:
    """Source and path of a bare path: most expressions are one, and need no template then."""
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


def _follow_path(source: str, path: tuple[Any, ...], sources: DataSources) -> Any:
    try:
        return follow(getattr(sources, source), path)
    except _RUNTIME_ERRORS as error:
        raise _failed(error) from None


def _evaluate(template: JinjaTemplate, sources: DataSources) -> Any:
    context = template.new_context(_names(sources))
    try:
        with charging(sources.budget):
            for _ in template.root_render_func(context):
                pass  # an assignment prints nothing; running it is the point
    except _RUNTIME_ERRORS as error:
        raise _failed(error) from None
    return context.vars["result"]


def _evaluate_container(template: JinjaTemplate, sources: DataSources) -> Any:
    # Sources and missing values may occur inside a list or object that the expression builds.
    with charging(sources.budget):
        return to_json_value_at_all_levels(_evaluate(template, sources))


def _render(template: JinjaTemplate, sources: DataSources) -> str:
    parts: list[str] = []
    total = 0
    try:
        with charging(sources.budget):
            for part in template.root_render_func(template.new_context(_names(sources))):
                # Checked part by part: the whole text may not fit into memory.
                total += len(part)
                check_length(total)
                parts.append(part)
    except _RUNTIME_ERRORS as error:
        raise _failed(error) from None
    return "".join(parts)


def _failed(error: Exception) -> ExpressionFailed:
    # Only the class: Python's message may quote the data.
    return ExpressionFailed(f"The expression does not fit the data ({type(error).__name__}).")


# --- the engine -----------------------------------------------------------------------------


class _Engine(SandboxedEnvironment):
    """Jinja whose dots and brackets look up items, and whose token positions are offsets.

    Sandboxed only as a second line of defence: the allow-list already excludes calls and attributes.
    """

    intercepted_binops = frozenset(["+"])

    def __init__(self) -> None:
        super().__init__(
            autoescape=False, undefined=Missing, keep_trailing_newline=True, optimized=False, cache_size=0
        )
        self.globals = {}
        costly = {name: filter for name, filter in FILTERS.items() if name not in _CONSTANT_COST}
        costly |= {**WRITERS, CONCAT_FILTER: _concat}
        self.filters = {**FILTERS, CHARGE_FILTER: _charged, SLICE_FILTER: _slice}
        self.filters |= {PATH_FILTER: lambda source, *path: follow(source, path)}
        self.filters |= {name: _charging_filter(filter) for name, filter in costly.items()}
        self.tests = {name: _charging_test(self.tests[name]) for name in TESTS}

    def getattr(self, obj: Any, attribute: str) -> Any:
        return look_up(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return look_up(obj, argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        # Other operands, such as numbers, need no limit.
        if isinstance(left, (str, list)) and isinstance(right, (str, list)):
            check_length(len(left) + len(right))
            charge(_production_cost(left) + _production_cost(right))
        return left + right

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        raw = with_offsets(self.lexer.tokeniter(source, name, filename, state), source)
        tokens = self.lexer.wrap(raw, name, filename)
        return TokenStream(with_webhook_expressions(tokens), name, filename)


def _charging_filter(filter: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that charges for what it reads and produces."""

    def call(value: Any, *args: Any, **kwargs: Any) -> Any:
        produced = filter(value, *args, **kwargs)
        charge(cost(value) + sum(map(cost, (*args, *kwargs.values()))) + _production_cost(produced))
        return produced

    return call


def _production_cost(value: Any) -> int:
    return WRITTEN * len(value) if isinstance(value, str) else cost(value)


def _charging_test(test: Any) -> Callable[..., Any]:
    """A test that charges for its operands."""
    return lambda *values: test(*map(_charged, values))


def _charged(value: Any) -> Any:
    """Charge for an operand of a comparison, and return it."""
    charge(cost(value))
    return value


def _slice(value: Any, start: Any, stop: Any, step: Any) -> Any:
    part = look_up(value, slice(start, stop, step))
    charge(_production_cost(part))
    return part


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
    # from_code instead of from_string, which would parse and compile again.
    return JinjaTemplate.from_code(_ENGINE, code, {})


_ENGINE = _Engine()


def _refused(reason: str, source: str, offset: int) -> TemplateRefused:
    offset = min(max(offset, 0), len(source))
    line = source.count("\n", 0, offset) + 1
    column = offset - (source.rfind("\n", 0, offset) + 1) + 1
    return TemplateRefused(reason, line, column)
