"""A checked syntax tree -> functions of the data sources.

Each node becomes a closure that calls the functions of `operators`, `filters` and `value_tests`, which charge
for their work. No Python code is generated: compiling that took most of the time that a template cost, and
generated code does what Jinja's runtime does, charged or not.

What contains no data is computed at once, so that ``1 / 0`` is refused when the webhook is saved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jinja2 import nodes

from inbound_webhooks.errors import ExpressionFailed
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions import filters, operators, value_tests
from inbound_webhooks.event.expressions.arguments import ArgumentsRefused, bind, converters
from inbound_webhooks.event.expressions.budget import (
    SOURCE_CHARS_PER_PART,
    CompileBudget,
    LocatedProblem,
    charging,
)
from inbound_webhooks.event.expressions.syntax import PATH_FILTER
from inbound_webhooks.event.values import NOTHING, Path, Step, follow, reading_chars

Evaluate = Callable[[DataSources], Any]


FAILS = "it fails for every request: "


class Code(NamedTuple):
    """A compiled node; a constant ignores the sources that it gets."""

    evaluate: Evaluate
    is_constant: bool = False


def compile_node(node: nodes.Expr, budget: CompileBudget) -> Code:
    """Compile an expression that the allow-list has passed.

    :raises LocatedProblem: arguments do not fit, or a constant part fails
    """
    compile_kind = _KINDS.get(type(node))
    if compile_kind is None:
        raise LocatedProblem(f"{type(node).__name__.lower()} is not allowed here", node.lineno or 0)
    return compile_kind(node, budget)


class SourcePath(NamedTuple):
    """A path into one source."""

    source: str
    path: Path


def source_path(node: nodes.Node, budget: CompileBudget) -> SourcePath | None:
    """The path that a node is, without any computation: most expressions are one; else None."""
    steps: list[Step] = []
    while not isinstance(node, nodes.Name):
        if isinstance(node, nodes.Filter) and node.name == PATH_FILTER and isinstance(node.node, nodes.Name):
            steps[:0] = [argument.as_const() for argument in node.args]
            node = node.node
        elif isinstance(node, (nodes.Getattr, nodes.Getitem)):
            key = node.attr if isinstance(node, nodes.Getattr) else _constant_key(node.arg)
            if key is None:
                return None
            # As a quoted name: in Jinja's notation, dots are always steps.
            steps.insert(0, (key,) if isinstance(key, str) else key)
            node = node.node
        else:
            return None
    budget.charge(reading_chars(steps) // SOURCE_CHARS_PER_PART, node.lineno)
    return SourcePath(node.name, Path(tuple(steps)))


def _constant_key(node: nodes.Node) -> str | int | None:
    if isinstance(node, nodes.Neg) and isinstance(node.node, nodes.Const) and type(node.node.value) is int:
        return -node.node.value
    return node.value if isinstance(node, nodes.Const) and type(node.value) in (str, int) else None


# --- nodes ----------------------------------------------------------------------------------


def _constant(value: Any) -> Code:
    return Code(lambda _: value, is_constant=True)


def _const(node: nodes.Const, _: CompileBudget) -> Code:
    return _constant(node.value)


def _path(node: Any, budget: CompileBudget) -> Code:
    """A name, or a filter, attribute or item that leads into one."""
    found = source_path(node, budget)
    if found is not None:
        source, path = found
        return Code(lambda sources: follow(getattr(sources, source), path))
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
        ends = [node.arg.start, node.arg.stop, node.arg.step]
        arguments = [node.node, *(end or nodes.Const(None, lineno=node.lineno) for end in ends)]
        return _called("slice", operators.part_of, arguments, [], node.lineno, budget)
    key = nodes.Const(node.attr, lineno=node.lineno) if isinstance(node, nodes.Getattr) else node.arg
    return _applied(operators.item, _compiled([node.node, key], budget), node.lineno, budget)


def _filter(node: nodes.Filter, budget: CompileBudget) -> Code:
    if node.name == PATH_FILTER:
        return _path(node, budget)
    return _called(
        node.name, filters.FILTERS[node.name], [node.node, *node.args], node.kwargs, node.lineno, budget
    )


def _test(node: nodes.Test, budget: CompileBudget) -> Code:
    return _called(
        node.name, value_tests.TESTS[node.name], [node.node, *node.args], node.kwargs, node.lineno, budget
    )


def _operator(
    function: Callable[..., Any], refusal: operators.Refusal = operators.not_refused
) -> Callable[[Any, CompileBudget], Code]:
    def compile_operator(node: Any, budget: CompileBudget) -> Code:
        operands = [node.node] if isinstance(node, nodes.UnaryExpr) else [node.left, node.right]
        codes = _compiled(operands, budget)
        code = _applied(function, codes, node.lineno, budget)
        _check_constants(codes, refusal, node.lineno)
        return code

    return compile_operator


def _check_constants(codes: Sequence[Code], refusal: operators.Refusal, offset: int) -> None:
    """Refuse a constant operand with which an operator fails whatever is sent."""
    for position, code in enumerate(codes):
        if code.is_constant and (reason := refusal(position, _value_of(code))):
            raise LocatedProblem(FAILS + reason, offset)


def _value_of(constant: Code) -> Any:
    # Constants ignore the sources, so there need not be any.
    return constant.evaluate(None)  # type: ignore[arg-type]


def _compare(node: nodes.Compare, budget: CompileBudget) -> Code:
    steps = [compile_node(node.expr, budget), *(compile_node(operand.expr, budget) for operand in node.ops)]
    comparisons = [operators.COMPARISONS[operand.op] for operand in node.ops]
    evaluators = [step.evaluate for step in steps]
    for index, operand in enumerate(node.ops):
        refusal = operators.REFUSALS.get(operand.op, operators.not_refused)
        _check_constants(steps[index : index + 2], refusal, operand.expr.lineno)

    def compare(sources: DataSources) -> bool:
        left = evaluators[0](sources)
        for compared, evaluate in zip(comparisons, evaluators[1:], strict=True):
            right = evaluate(sources)
            if not compared(left, right):
                return False
            left = right
        return True

    # Jinja gives a comparison the place of the token behind it.
    return _folded(compare, steps, node.expr.lineno, budget)


def _and(node: nodes.And, budget: CompileBudget) -> Code:
    left, right = compile_node(node.left, budget), compile_node(node.right, budget)
    return _folded(
        lambda sources: left.evaluate(sources) and right.evaluate(sources), [left, right], node.lineno, budget
    )


def _or(node: nodes.Or, budget: CompileBudget) -> Code:
    left, right = compile_node(node.left, budget), compile_node(node.right, budget)
    return _folded(
        lambda sources: left.evaluate(sources) or right.evaluate(sources), [left, right], node.lineno, budget
    )


def _conditional(node: nodes.CondExpr, budget: CompileBudget) -> Code:
    """``a if b else c``; without ``else`` it is missing where ``b`` is false."""
    test, then = compile_node(node.test, budget), compile_node(node.expr1, budget)
    other = _constant(NOTHING) if node.expr2 is None else compile_node(node.expr2, budget)
    return _folded(
        lambda sources: (then if test.evaluate(sources) else other).evaluate(sources),
        [test, then, other],
        node.lineno,
        budget,
    )


def _concat(node: nodes.Concat, budget: CompileBudget) -> Code:
    parts = _compiled(node.nodes, budget)
    return _applied(lambda *values: operators.concatenate(list(values)), parts, node.lineno, budget)


def _list(node: nodes.List | nodes.Tuple, budget: CompileBudget) -> Code:
    return _applied(lambda *items: list(items), _compiled(node.items, budget), node.lineno, budget)


def _object(node: nodes.Dict, budget: CompileBudget) -> Code:
    def build(*keys_and_values: Any) -> dict[str, Any]:
        keys = map(operators.object_key, keys_and_values[::2])
        return dict(zip(keys, keys_and_values[1::2], strict=True))

    parts = [part for pair in node.items for part in (pair.key, pair.value)]
    return _applied(build, _compiled(parts, budget), node.lineno, budget)


def _compiled(operands: Sequence[nodes.Expr], budget: CompileBudget) -> list[Code]:
    return [compile_node(operand, budget) for operand in operands]


# --- calls ----------------------------------------------------------------------------------


def _applied(function: Callable[..., Any], codes: Sequence[Code], offset: int, budget: CompileBudget) -> Code:
    """A function of its operands, in their order."""
    evaluators = [code.evaluate for code in codes]
    return _folded(
        lambda sources: function(*[evaluate(sources) for evaluate in evaluators]), codes, offset, budget
    )


def _called(
    name: str,
    function: Callable[..., Any],
    positional: Sequence[Any],
    named: Sequence[Any],
    offset: int,
    budget: CompileBudget,
) -> Code:
    """A filter or test with its arguments, each converted to what its parameter takes."""
    try:
        bound = bind(name, function, positional, [(each.key, each.value) for each in named])
    except ArgumentsRefused as error:
        raise LocatedProblem(str(error), offset) from None
    kinds = converters(name, function)
    codes = [_converted(argument, kinds[parameter], budget) for parameter, argument in bound.items()]
    _check_arguments(name, dict(zip(bound, codes, strict=True)), offset)
    evaluators = [(parameter, code.evaluate) for parameter, code in zip(bound, codes, strict=True)]

    def call(sources: DataSources) -> Any:
        return function(**{parameter: evaluate(sources) for parameter, evaluate in evaluators})

    return _folded(call, codes, offset, budget)


def _check_arguments(name: str, codes: dict[str, Code], offset: int) -> None:
    """Refuse constant arguments with which a filter or test fails whatever value it gets."""
    _, *arguments = codes
    if name in CHECKS and all(codes[argument].is_constant for argument in arguments):
        try:
            CHECKS[name](**{argument: _value_of(codes[argument]) for argument in arguments})
        except ExpressionFailed as error:
            raise LocatedProblem(FAILS + error.message, offset) from None


CHECKS: dict[str, Callable[..., None]] = {
    **filters.CHECKS,
    **value_tests.CHECKS,
    "slice": operators.check_slice,
}
"""Name -> check of the arguments behind the value."""


def _converted(node: nodes.Expr, convert: Callable[[Any], Any], budget: CompileBudget) -> Code:
    code = compile_node(node, budget)
    return _folded(lambda sources: convert(code.evaluate(sources)), [code], node.lineno, budget)


def _folded(evaluate: Evaluate, parts: Sequence[Code], offset: int, budget: CompileBudget) -> Code:
    """The code of a node; its value, where all its parts are constants.

    :raises LocatedProblem: it fails whatever is sent
    """
    if not all(part.is_constant for part in parts):
        return Code(evaluate)
    try:
        with charging(budget.folding):
            value = _value_of(Code(evaluate))
    except ExpressionFailed as error:
        raise LocatedProblem(FAILS + error.message, offset) from None
    except Exception as error:  # noqa: BLE001 - whatever Python raises, the constant has no value
        raise LocatedProblem(FAILS + str(error), offset) from None
    if isinstance(value, float) and not math.isfinite(value):
        raise LocatedProblem("a number in it is too large", offset)
    return _constant(value)


_KINDS: dict[type[nodes.Node], Callable[[Any, CompileBudget], Code]] = {
    nodes.Const: _const,
    nodes.Name: _path,
    nodes.Getattr: _path,
    nodes.Getitem: _path,
    nodes.Filter: _filter,
    nodes.Test: _test,
    nodes.Compare: _compare,
    nodes.And: _and,
    nodes.Or: _or,
    nodes.Not: _operator(lambda value: not value),
    nodes.Neg: _operator(operators.negate, operators.arithmetic_refusal),
    nodes.Pos: _operator(operators.positive, operators.arithmetic_refusal),
    nodes.Add: _operator(operators.add, operators.addition_refusal),
    nodes.Sub: _operator(operators.subtract, operators.arithmetic_refusal),
    nodes.Div: _operator(operators.divide, operators.division_refusal),
    nodes.FloorDiv: _operator(operators.floor_divide, operators.division_refusal),
    nodes.CondExpr: _conditional,
    nodes.Concat: _concat,
    nodes.List: _list,
    nodes.Tuple: _list,
    nodes.Dict: _object,
}
