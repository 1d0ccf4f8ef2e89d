"""A request as a bounded tree of Body, Headers and Query; each node names the path that expressions use."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from inbound_webhooks.deliveries.stored_request import content_of, headers_of
from inbound_webhooks.errors import RequestError
from inbound_webhooks.event.body import Body
from inbound_webhooks.event.multidict import MultiDict, parse_query
from inbound_webhooks.event.truncation import truncate
from inbound_webhooks.records.delivery import Delivery

MAX_NODES = 500
"""Nodes of a tree; upper levels come first, so that a long list hides none of its neighbours."""

MAX_CHILDREN = 100
MAX_DEPTH = 12
MAX_VALUE_CHARS = 120
MAX_NAME_CHARS = 200

OPEN_LEVELS = 2
"""Levels that are unfolded at first."""

OPEN_CHILDREN = 25
"""A node with more children is folded at first."""

Value = Any
"""A JSON value, or the values of headers, query or form by name."""


@dataclass
class TreeNode:
    """One value of a request.

    ``source`` is its path as in ``${Webhook::…}``; empty for a name that no expression can spell.
    ``value`` is the start of its text, or the number of its parts. ``more`` parts are not shown.
    """

    name: str
    source: str
    kind: str
    value: str
    level: int
    children: list[TreeNode] = field(default_factory=list)
    more: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it is unfolded at first."""
        return self.level <= OPEN_LEVELS and len(self.children) <= OPEN_CHILDREN


def request_tree(
    content: bytes | None, headers: Sequence[tuple[str, str]], query_string: str
) -> list[TreeNode]:
    """The tree of a request; ``content`` is the body after decompression, None if it is not there."""
    roots: list[tuple[str, Value]] = []
    if content is not None:
        content_type = next((value for name, value in headers if name.lower() == "content-type"), "")
        roots.append(("Body", _body_value(Body(content, content_type))))
    roots.append(("Headers", _Fields(MultiDict(headers, ignore_case=True).lists)))
    try:
        roots.append(("Query", _Fields(MultiDict(parse_query(query_string)).lists)))
    except RequestError:
        roots.append(("Query", query_string))
    return _grown([(TreeNode(name, name, _kind(value), _text(value), 1), value) for name, value in roots])


def value_tree(name: str, value: Value) -> list[TreeNode]:
    """The tree of any JSON value; no expression names its parts."""
    return _grown([(TreeNode(name, "", _kind(value), _text(value), 1), value)])


def delivery_tree(delivery: Delivery, limit_bytes: int) -> list[TreeNode]:
    """The tree of a stored delivery's request, with its credentials masked."""
    content = None
    if delivery.body_stored:
        try:
            content = content_of(delivery, limit_bytes)
        except RequestError:
            content = delivery.body
    return request_tree(content, headers_of(delivery), delivery.query_string)


def step(name: str) -> str:
    """One step of a path: ``.name``, or ``["odd name"]``."""
    plain = name.replace("-", "_").isidentifier() and name.isascii()
    return f".{name}" if plain else _quoted(name)


def _quoted(name: str) -> str:
    return f"[{json.dumps(name, ensure_ascii=False)}]"


def _grown(roots: list[tuple[TreeNode, Value]]) -> list[TreeNode]:
    pending, left = deque(roots), MAX_NODES - len(roots)
    while pending:
        node, value = pending.popleft()
        parts = list(_parts(value, node.source))
        room = min(left, MAX_CHILDREN) if node.level < MAX_DEPTH else 0
        node.more = max(len(parts) - room, 0)
        for name, source, part in parts[:room]:
            child = TreeNode(truncate(name, MAX_NAME_CHARS), source, _kind(part), _text(part), node.level + 1)
            node.children.append(child)
            pending.append((child, part))
            left -= 1
    return [node for node, _ in roots]


def _parts(value: Value, source: str) -> Iterator[tuple[str, str, Value]]:
    """Name, path and value of each part."""
    if isinstance(value, dict):
        # Of the readings of a dotted path, the longest key wins: where "a.b" is a key, "a" has to be quoted.
        beginnings = {key[:end] for key in value for end, character in enumerate(key) if character == "."}
        for name, part in value.items():
            spelled = ""
            # No expression can spell a line break.
            if source and name.isprintable():
                spelled = source + (_quoted(name) if name in beginnings else step(name))
            # Headers, query and forms have lists of values; expressions unwrap a single one.
            is_single = isinstance(value, _Fields) and len(part) == 1
            yield name, spelled, part[0] if is_single else part
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield f"[{index}]", f"{source}[{index}]" if source else "", part


class _Fields(dict[str, list[str]]):
    """Values by name, as headers, query and form have them."""


def _body_value(body: Body) -> Value:
    try:
        properties = body.properties
        if isinstance(properties, MultiDict):
            return _Fields(properties.lists)
        return body.value if properties is None else properties
    except RequestError:
        return body.value_or_text


_KINDS: dict[type, str] = {
    dict: "object",
    list: "list",
    str: "text",
    bool: "boolean",
    int: "number",
    float: "number",
    type(None): "null",
}


def _kind(value: Value) -> str:
    return "object" if isinstance(value, dict) else _KINDS.get(type(value), "text")


def _text(value: Value) -> str:
    if isinstance(value, dict):
        return f"{len(value)} field{'' if len(value) == 1 else 's'}"
    if isinstance(value, list):
        return f"{len(value)} item{'' if len(value) == 1 else 's'}"
    written = value if isinstance(value, str) else json.dumps(value)
    return truncate(written, MAX_VALUE_CHARS)
