"""The allow-list of syntax nodes in templates."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from jinja2 import nodes

from inbound_webhooks.event.expressions.budget import LocatedProblem
from inbound_webhooks.event.expressions.filters import FILTERS
from inbound_webhooks.event.expressions.syntax import (
    ITEM_SOURCES,
    ONLY_AFTER_RUN,
    ONLY_IN_LISTS,
    PATH_FILTER,
    RUN_SOURCES,
    Sources,
)
from inbound_webhooks.event.expressions.value_tests import TESTS

MAX_NESTING = 40

# Enough for every id and amount; longer integers would only make arithmetic slow.
_LARGEST_INTEGER = 10**100

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


def check_tree(tree: nodes.Template, sources: Sources) -> None:
    """Check a template against the allow-list; it may name these sources.

    :raises LocatedProblem: names what is not allowed, and where
    """
    # Iterative: the depth has to be checked before anything recurses into the tree.
    names = tuple(sources.values())
    pending: list[tuple[nodes.Node, int]] = [(tree, 0)]
    while pending:
        node, depth = pending.pop()
        if depth > MAX_NESTING:
            raise LocatedProblem("it is too complex", node.lineno or 0)
        _check_node(node, names)
        pending.extend((child, depth + 1) for child in node.iter_child_nodes())


def _check_node(node: nodes.Node, names: Collection[str]) -> None:
    if not isinstance(node, _ALLOWED_NODES):
        raise LocatedProblem(f"{type(node).__name__.lower()} is not allowed here", node.lineno or 0)
    if isinstance(node, nodes.Const) and _is_too_large(node.value):
        raise LocatedProblem("a number in it is too large", node.lineno)
    # Their arguments are unknown until they are evaluated, so they cannot be checked here.
    if isinstance(node, (nodes.Filter, nodes.Test)) and (node.dyn_args or node.dyn_kwargs):
        raise LocatedProblem("* and ** are not allowed here", node.lineno)
    # Only sources: Jinja would look other names up in its globals.
    if isinstance(node, nodes.Name) and node.name not in names:
        reason = f"there is no {node.name!r}, only {', '.join(names)}"
        if node.name in RUN_SOURCES.values():
            reason = ONLY_AFTER_RUN.format(repr(node.name))
        elif node.name in ITEM_SOURCES.values():
            reason = ONLY_IN_LISTS.format(repr(node.name))
        raise LocatedProblem(reason, node.lineno)
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
