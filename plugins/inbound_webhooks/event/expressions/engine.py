"""``${Webhook::…}`` and Jinja -> one compiled template over the data sources, bounded by construction.

Templates are checked against an allow-list of syntax nodes when they are compiled: expressions, ``if`` and
named filters. There are no loops, assignments, calls, imports, ``*``, ``**`` or ``%``, dots look up items
only, every text has a maximum length, all expressions of a webhook share a limit on their size, and all
expressions of a request a computing budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import TokenStream
from jinja2.parser import Parser

from inbound_webhooks.errors import ExpressionFailed, RequestError, TemplateRefused
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.allow_list import check_tree
from inbound_webhooks.event.expressions.budget import (
    SOURCE_CHARS_PER_PART,
    WRITTEN,
    CompileBudget,
    LocatedProblem,
    charge,
    charging,
)
from inbound_webhooks.event.expressions.compiler import Evaluate, SourcePath, compile_node, source_path
from inbound_webhooks.event.expressions.syntax import (
    RUN_SOURCES,
    SOURCES,
    Sources,
    with_offsets,
    with_webhook_expressions,
)
from inbound_webhooks.event.values import (
    check_length,
    follow,
    to_json_value_at_all_levels,
    to_text,
    unwrapped,
)

MAX_SOURCE_CHARS = 64 * 1024

Writer = Callable[[Any], str]
"""Turns the value of a printed expression into text."""


@dataclass(frozen=True)
class Parsed:
    """A checked syntax tree; ``lineno`` of its nodes holds an offset into ``source``."""

    source: str
    tree: nodes.Template
    budget: CompileBudget

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

    @property
    def is_text(self) -> bool:
        """Whether it contains no expression at all."""
        return all(
            isinstance(node, nodes.Output)
            and all(isinstance(child, nodes.TemplateData) for child in node.nodes)
            for node in self.tree.body
        )

    @property
    def reads_run(self) -> bool:
        """Whether it reads the run or its result."""
        names = self.tree.find_all(nodes.Name)
        return any(name.name in RUN_SOURCES.values() for name in names)


@dataclass(frozen=True)
class Expression:
    """A compiled source: a typed value if it is exactly one expression, else text."""

    source: str
    evaluate: Callable[[DataSources], Any]
    is_path: bool = False
    """Whether the value is a part of the data, unchanged."""
    is_plain: bool = False
    """Whether it computes nothing: a path or a constant."""


@dataclass(frozen=True)
class Condition:
    """A compiled filter; a call raises ExpressionFailed or BodyMalformed."""

    expression: Expression

    def __call__(self, sources: DataSources) -> bool:
        return bool(unwrapped(self.expression.evaluate(sources)))

    @property
    def is_plain(self) -> bool:
        """Whether it computes nothing: a path or a constant."""
        return self.expression.is_plain


def compile_expression(
    source: str, budget: CompileBudget | None = None, *, sources: Sources = SOURCES
) -> Expression:
    """Compile the right side of a mapping's line.

    ``evaluate`` returns a value with its type if the source is exactly one expression (a whole source as
    itself, :class:`Missing` for nothing), else a str; it raises ExpressionFailed or BodyMalformed.

    :param budget: what all expressions of the webhook share
    :param sources: what it may read
    :raises TemplateRefused: it does not compile; has line and column
    """
    parsed = parse(source, budget, sources=sources)
    whole = parsed.whole_expression
    if whole is not None:
        return _compile_whole(parsed, whole)
    render = compile_output(parsed, lambda _: to_text)
    if not parsed.is_text:
        return Expression(source, render)
    text = "".join(child.data for child in parsed.tree.find_all(nodes.TemplateData))
    return Expression(source, lambda _: text, is_plain=True)


def compile_condition(
    source: str, budget: CompileBudget | None = None, *, sources: Sources = SOURCES
) -> Condition:
    """Compile a filter: one Jinja expression, bare or in braces, evaluated for its truth.

    Such as ``headers["X-GitHub-Event"] == "push" and body.ref == "refs/heads/main"``.

    :raises TemplateRefused: it does not compile, or is text around expressions
    """
    return Condition(compile_bare(source, budget, sources=sources, what="a filter"))


def compile_bare(
    source: str, budget: CompileBudget | None = None, *, sources: Sources = SOURCES, what: str
) -> Expression:
    """Compile one expression that may stand without braces, such as ``body.records``.

    :param what: what it is, for the message
    :raises TemplateRefused: it does not compile, or is text around expressions
    """
    if not source.strip():
        raise TemplateRefused("it is empty", 1, 1)
    bare = not source.lstrip().startswith(("{{", "${"))
    try:
        # With spaces: {{- and -}} would be signs of white space control.
        parsed = parse("{{ " + source + " }}" if bare else source, budget, sources=sources)
        if parsed.whole_expression is None:
            raise TemplateRefused(f"{what} is one expression, not a text with expressions in it", 1, 1)
        return _compile_whole(parsed, parsed.whole_expression)
    except TemplateRefused as error:
        # The braces were added here: report the column in the user's source.
        column = error.column - len("{{ ") if bare and error.line == 1 else error.column
        raise TemplateRefused(error.reason, error.line, max(column, 1)) from None


def compile_output(parsed: Parsed, writer: Callable[[nodes.Expr], Writer]) -> Callable[[DataSources], str]:
    """Compile a template to a function from data sources to text.

    ``writer`` chooses how each printed expression becomes text.
    The returned function raises ExpressionFailed or BodyMalformed.

    :raises TemplateRefused: it does not compile; has line and column
    """
    try:
        emit = _compile_body(parsed.tree.body, writer, parsed.budget)
    except LocatedProblem as error:
        raise parsed.refuse(error.reason, error.offset) from None
    return partial(_render, emit)


def parse(source: str, budget: CompileBudget | None = None, *, sources: Sources = SOURCES) -> Parsed:
    """Parse and check a source in both notations.

    :raises TemplateRefused: it does not parse, or contains something not allowed; has line and column
    """
    # Lines end with \n from here on, so that offsets and lines agree.
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    if len(source) > MAX_SOURCE_CHARS:
        raise TemplateRefused(f"it is longer than {MAX_SOURCE_CHARS} characters", 1, 1)
    budget = budget or CompileBudget()
    try:
        budget.charge(1 + len(source) // SOURCE_CHARS_PER_PART, 0)
        tree = _parse(source, budget, sources)
        check_tree(tree, sources)
    except LocatedProblem as error:
        raise _refused(error.reason, source, error.offset) from None
    except TemplateSyntaxError as error:
        raise _refused(error.message or "it does not parse", source, error.lineno) from None
    except RecursionError:
        raise TemplateRefused("it is nested too deeply", 1, 1) from None
    except ValueError:  # Python's limit on the digits of a number
        raise TemplateRefused("a number in it is too long", 1, 1) from None
    return Parsed(source, tree, budget)


# Only its lexer and parser are used; the tree is compiled here, so nothing of Jinja runs with a request.
_JINJA = Environment(autoescape=True, keep_trailing_newline=True, cache_size=0)


def _parse(source: str, budget: CompileBudget, sources: Sources) -> nodes.Template:
    raw = with_offsets(_JINJA.lexer.tokeniter(source, None), source, budget)
    tokens = with_webhook_expressions(_JINJA.lexer.wrap(raw), budget, sources)
    parser = Parser(_JINJA, "")
    # A parser makes its own tokens; these have offsets, and are charged while it takes them.
    parser.stream = TokenStream(tokens, None, None)
    return parser.parse()


def _compile_whole(parsed: Parsed, whole: nodes.Expr) -> Expression:
    try:
        found = source_path(whole, parsed.budget)
        if found is not None:
            return Expression(parsed.source, partial(_follow_path, found), is_path=True, is_plain=True)
        code = compile_node(whole, parsed.budget)
    except LocatedProblem as error:
        raise parsed.refuse(error.reason, error.offset) from None
    builds_containers = any(parsed.tree.find_all((nodes.List, nodes.Tuple, nodes.Dict)))
    evaluate = partial(_evaluate_container if builds_containers else _evaluate, code.evaluate)
    return Expression(parsed.source, evaluate, is_plain=code.is_constant)


# --- templates ------------------------------------------------------------------------------


class _Text:
    """The text of a template while it is rendered."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._chars = 0

    def add(self, part: str) -> None:
        # Checked part by part: the whole text may not fit into memory.
        self._chars += len(part)
        check_length(self._chars)
        charge(WRITTEN * len(part))
        self.parts.append(part)


Emit = Callable[[DataSources, _Text], None]


def _compile_body(
    body: Iterable[nodes.Node], writer: Callable[[nodes.Expr], Writer], budget: CompileBudget
) -> Emit:
    emitters: list[Emit] = []
    for node in body:
        if isinstance(node, nodes.If):
            emitters.append(_compile_if(node, writer, budget))
        elif isinstance(node, nodes.Output):
            emitters.extend(_compile_printed(child, writer, budget) for child in node.nodes)

    def emit(sources: DataSources, text: _Text) -> None:
        for each in emitters:
            each(sources, text)

    return emit


def _compile_if(node: nodes.If, writer: Callable[[nodes.Expr], Writer], budget: CompileBudget) -> Emit:
    branches = [
        (
            compile_node(cast("nodes.Expr", branch.test), budget).evaluate,
            _compile_body(branch.body, writer, budget),
        )
        for branch in (node, *node.elif_)
    ]
    otherwise = _compile_body(node.else_, writer, budget)

    def emit(sources: DataSources, text: _Text) -> None:
        for test, chosen in branches:
            if test(sources):
                return chosen(sources, text)
        return otherwise(sources, text)

    return emit


def _compile_printed(node: nodes.Expr, writer: Callable[[nodes.Expr], Writer], budget: CompileBudget) -> Emit:
    if isinstance(node, nodes.TemplateData):
        data = node.data
        return lambda _, text: text.add(data)
    write, evaluate = writer(node), compile_node(node, budget).evaluate
    return lambda sources, text: text.add(write(evaluate(sources)))


# --- evaluation -----------------------------------------------------------------------------


def _follow_path(found: SourcePath, sources: DataSources) -> Any:
    try:
        return follow(getattr(sources, found.source), found.path)
    except RequestError:
        raise
    except Exception as error:  # noqa: BLE001 - see _failed
        raise _failed(error) from None


def _evaluate(evaluate: Evaluate, sources: DataSources) -> Any:
    try:
        with charging(sources.budget):
            return evaluate(sources)
    except RequestError:
        raise
    except Exception as error:  # noqa: BLE001 - see _failed
        raise _failed(error) from None


def _evaluate_container(evaluate: Evaluate, sources: DataSources) -> Any:
    # Sources and missing values may occur inside a list or object that the expression builds.
    return _evaluate(lambda sources: to_json_value_at_all_levels(evaluate(sources)), sources)


def _render(emit: Emit, sources: DataSources) -> str:
    text = _Text()
    _evaluate(lambda sources: emit(sources, text), sources)
    return "".join(text.parts)


def _failed(error: Exception) -> ExpressionFailed:
    """Any exception: the data are the sender's, so no value that they have is a failure on our side."""
    # Only the class: Python's message may quote the data.
    return ExpressionFailed(f"The expression does not fit the data ({type(error).__name__}).")


def _refused(reason: str, source: str, offset: int) -> TemplateRefused:
    offset = min(max(offset, 0), len(source))
    line = source.count("\n", 0, offset) + 1
    column = offset - (source.rfind("\n", 0, offset) + 1) + 1
    return TemplateRefused(reason, line, column)
