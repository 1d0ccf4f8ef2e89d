"""The allow-list of syntax nodes in templates, and bounded replacements for some of them."""

from __future__ import annotations

import math
from typing import Any

from jinja2 import nodes

from inbound_webhooks.event.expressions.filters import FILTERS
from inbound_webhooks.event.expressions.syntax import PATH_FILTER, SOURCES, LocatedProblem

MAX_NODES = 2_000
MAX_NESTING = 40

# Enough for every id and amount; longer integers would only make arithmetic slow.
_LARGEST_INTEGER = 10**100
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


# Names of our own filters; the space keeps templates from calling them.
CONCAT_FILTER = "webhook concat"
CHARGE_FILTER = "webhook weigh"
SLICE_FILTER = "webhook slice"

# An allow-list, so that syntax of a later Jinja is refused until someone has judged it. Left out are loops,
# assignments, calls, imports, blocks and the operators *, ** and %, which make large values from small ones.
_ALLOWED_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If,
    nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Slice,
    nodes.Filter, nodes.Test, nodes.Keyword, nodes.CondExpr,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos,
    nodes.Add, nodes.Sub, nodes.Div, nodes.FloorDiv, nodes.Concat,
    nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair,
)  # fmt: skip


def filtered_by(expression: nodes.Expr, name: str) -> nodes.Filter:
    """Wrap an expression in a filter."""
    return nodes.Filter(expression, name, [], [], None, None, lineno=expression.lineno)


def check_tree(tree: nodes.Template) -> None:
    """Check a template against the allow-list, and replace what Jinja would compute without limits.

    :raises LocatedProblem: names what is not allowed, and where
    """
    # Iterative: the depth has to be checked before anything recurses into the tree.
    pending: list[tuple[nodes.Node, int]] = [(tree, 0)]
    seen = 0
    while pending:
        node, depth = pending.pop()
        seen += 1
        if seen > MAX_NODES or depth > MAX_NESTING:
            raise LocatedProblem("it is too complex", node.lineno or 0)
        _check_node(node)
        pending.extend((child, depth + 1) for child in node.iter_child_nodes())
    _replace_unbounded(tree)
    # Comparisons such as == and in read all of their operands, so they are charged for them.
    for comparison in tree.find_all(nodes.Compare):
        sides: list[Any] = [comparison, *comparison.ops]
        for side in sides:
            if not isinstance(side.expr, nodes.Const):
                side.expr = filtered_by(side.expr, CHARGE_FILTER)


def _check_node(node: nodes.Node) -> None:
    if not isinstance(node, _ALLOWED_NODES):
        raise LocatedProblem(f"{type(node).__name__.lower()} is not allowed here", node.lineno or 0)
    if isinstance(node, nodes.Const) and _is_too_large(node.value):
        raise LocatedProblem("a number in it is too large", node.lineno)
    # Their arguments are unknown until they are evaluated, so they cannot be checked here.
    if isinstance(node, (nodes.Filter, nodes.Test)) and (node.dyn_args or node.dyn_kwargs):
        raise LocatedProblem("* and ** are not allowed here", node.lineno)
    # Only sources: Jinja would look other names up in its globals.
    if isinstance(node, nodes.Name) and node.name not in SOURCES.values():
        raise LocatedProblem(f"there is no {node.name!r}, only {', '.join(SOURCES.values())}", node.lineno)
    if isinstance(node, nodes.Filter) and node.name not in FILTERS and node.name != PATH_FILTER:
        raise LocatedProblem(
            f"there is no filter {node.name!r}, only {', '.join(sorted(FILTERS))}", node.lineno
        )
    if isinstance(node, nodes.Filter) and node.node is None:
        raise LocatedProblem("a filter block is not allowed here", node.lineno)
    if isinstance(node, nodes.Test) and node.name not in TESTS:
        raise LocatedProblem(f"there is no test {node.name!r}, only {', '.join(TESTS)}", node.lineno)


def _is_too_large(constant: Any) -> bool:
    if isinstance(constant, float):
        return not math.isfinite(constant)  # 1e999 is infinity, which JSON does not have
    return isinstance(constant, int) and abs(constant) >= _LARGEST_INTEGER


def _replace_unbounded(node: nodes.Node) -> None:
    """Replace ``a ~ b`` and ``a[b:c]`` by filters, because Jinja would execute them without any charge."""
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
        return nodes.Filter(head, CONCAT_FILTER, rest, [], None, None, lineno=node.lineno)
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
        ends = [end or nodes.Const(None) for end in (node.arg.start, node.arg.stop, node.arg.step)]
        return nodes.Filter(node.node, SLICE_FILTER, ends, [], None, None, lineno=node.lineno)
    return node
