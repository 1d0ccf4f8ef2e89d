"""The paths that an expression reads, and the values that a filter wishes for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from jinja2 import nodes

from inbound_webhooks.errors import TemplateRefused
from inbound_webhooks.event.expressions.engine import parse
from inbound_webhooks.event.expressions.syntax import EVERY_SOURCE, PATH_FILTER
from inbound_webhooks.event.values import Step


class Decoding(NamedTuple):
    """A step into a text that contains other data: ``fromjson`` or ``b64decode``."""

    filter: str


ANY = object()
"""A wish for any value."""

_DECODINGS = frozenset({"fromjson", "b64decode"})
_UNCHANGED = frozenset({"d", "default", "float", "int", "lower", "string", "trim", "upper"})
"""Filters whose result equals a suitable value."""

_EXAMPLES: dict[str, Any] = {
    "abs": 1,
    "float": 1,
    "int": 1,
    "join": ["example"],
    "round": 1,
    "to_datetime": "2026-01-31T12:00:00Z",
}
"""Filter -> a value that it takes; all others take a text."""


class Read(NamedTuple):
    """A path that an expression follows.

    ``wish`` is a value that lets a filter be true, or that the filters behind the path take.
    ``is_optional``: the expression copes with a missing value.
    """

    source: str
    steps: tuple[Step | Decoding, ...]
    wish: Any = ANY
    is_optional: bool = False


def reads_of(source: str) -> list[Read]:
    """The paths that a mapping's expression or a template reads; none where it does not compile."""
    try:
        tree = parse(source, sources=EVERY_SOURCE).tree
    except TemplateRefused:
        return []
    return list(_visit(tree, is_optional=False, wish=ANY))


def in_braces(source: str) -> str:
    """An expression that may stand without braces, such as a filter, with them."""
    return source if source.lstrip().startswith(("{{", "${")) else "{{ " + source + " }}"


def reads_of_condition(source: str) -> list[Read]:
    """The paths that a filter reads, with values for which it is probably true."""
    try:
        whole = parse(in_braces(source), sources=EVERY_SOURCE).whole_expression
    except TemplateRefused:
        return []
    return [] if whole is None else list(_wishes(whole, holds=True))


def _visit(node: nodes.Node, *, is_optional: bool, wish: Any) -> Iterator[Read]:
    found = _chain(node)
    if found is not None:
        if found.steps or found.source in ("body", "item"):
            yield found._replace(is_optional=is_optional, wish=wish)
        return
    if isinstance(node, nodes.Filter):
        is_default = node.name in ("d", "default")
        wish = _EXAMPLES.get(node.name, wish)
        yield from _visit_all([node.node], is_optional=is_optional or is_default, wish=wish)
        yield from _visit_all(node.args, is_optional=is_optional or is_default, wish=ANY)
    elif isinstance(node, nodes.Test):
        yield from _visit(node.node, is_optional=is_optional or "defined" in node.name, wish=ANY)
    elif isinstance(node, nodes.CondExpr):
        # Which branch applies depends on the data, so neither needs its paths.
        for part in (node.test, node.expr1, node.expr2):
            yield from _visit_all([part], is_optional=True, wish=ANY)
    else:
        yield from _visit_all(node.iter_child_nodes(), is_optional=is_optional, wish=ANY)


def _visit_all(children: Any, *, is_optional: bool, wish: Any) -> Iterator[Read]:
    for child in children:
        if child is not None:
            yield from _visit(child, is_optional=is_optional, wish=wish)


def _chain(node: nodes.Node) -> Read | None:
    """A path, also one into texts that are decoded on the way: ``(body | fromjson).id``."""
    steps: list[Step | Decoding] = []
    while not isinstance(node, nodes.Name):
        if isinstance(node, nodes.Filter) and node.name == PATH_FILTER and isinstance(node.node, nodes.Name):
            steps[:0] = [argument.as_const() for argument in node.args]
            node = node.node
        elif isinstance(node, nodes.Filter) and node.name in _DECODINGS and node.node is not None:
            steps.insert(0, Decoding(node.name))
            node = node.node
        elif isinstance(node, nodes.Getattr):
            steps.insert(0, (node.attr,))
            node = node.node
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
            key = node.arg.value
            if type(key) not in (str, int):
                return None
            steps.insert(0, (key,) if isinstance(key, str) else key)
            node = node.node
        else:
            return None
    return Read(node.name, tuple(steps))


# --- filters --------------------------------------------------------------------------------


def _wishes(node: nodes.Node, *, holds: bool) -> Iterator[Read]:
    """The paths of a condition, with values for which it holds or does not."""
    match node:
        case nodes.And() | nodes.Or():
            yield from _wishes(node.left, holds=holds)
            # One true operand is enough for "or"; "not (a or b)" needs both to be false.
            if isinstance(node, nodes.And) == holds:
                yield from _wishes(node.right, holds=holds)
        case nodes.Not():
            yield from _wishes(node.node, holds=not holds)
        case nodes.Compare(ops=[nodes.Operand() as operand]):
            yield from _compared(node, operand, holds=holds)
        case nodes.Test():
            is_presence = (node.name == "defined") == holds
            yield from _visit(node.node, is_optional=not is_presence, wish=ANY)
        case _:
            path = _chain(node)
            if path is not None and path.steps:
                yield path._replace(wish=holds, is_optional=not holds)
            else:
                yield from _visit(node, is_optional=False, wish=ANY)


_NEXT: dict[str, Any] = {
    "eq": lambda constant: constant,
    "gt": lambda constant: constant + 1,
    "gteq": lambda constant: constant,
    "lt": lambda constant: constant - 1,
    "lteq": lambda constant: constant,
    "in": lambda constant: constant[0],
}
"""Operator -> function from the right side to a value for which it holds."""

_MIRRORED = {"eq": "eq", "gt": "lt", "gteq": "lteq", "lt": "gt", "lteq": "gteq"}


def _compared(node: nodes.Compare, operand: nodes.Operand, *, holds: bool) -> Iterator[Read]:
    left, right = _stripped(node.expr), _stripped(operand.expr)
    path, constant, name = _chain(left), _constant(right), operand.op
    if path is None and name in _MIRRORED:
        path, constant, name = _chain(right), _constant(left), _MIRRORED[name]
    elif name == "in" and path is None and _chain(right) is not None:
        # '"x" in body.names'
        path, constant, name = _chain(right), [[_constant(left)]], "in"
    if path is None or constant is ANY or not holds or name not in _NEXT:
        yield from _visit(node, is_optional=False, wish=ANY)
        return
    try:
        wish = _NEXT[name](constant)
    except (TypeError, IndexError, KeyError):
        wish = ANY
    alternatives = [*_alternatives(node.expr), *_alternatives(operand.expr)]
    yield path._replace(wish=wish, is_optional=bool(alternatives))
    for alternative in alternatives:
        yield alternative._replace(wish=wish, is_optional=True)


def _alternatives(node: nodes.Node) -> Iterator[Read]:
    """The paths that stand in for a missing one: ``headers.A | default(body.a)``."""
    while isinstance(node, nodes.Filter) and node.name in _UNCHANGED and node.node is not None:
        if node.name in ("d", "default"):
            yield from filter(None, map(_chain, node.args))
        node = node.node


def _stripped(node: nodes.Node) -> nodes.Node:
    while isinstance(node, nodes.Filter) and node.name in _UNCHANGED and node.node is not None:
        node = node.node
    return node


def _constant(node: nodes.Node) -> Any:
    try:
        return node.as_const()  # type: ignore[attr-defined]
    except (nodes.Impossible, AttributeError):
        return ANY
