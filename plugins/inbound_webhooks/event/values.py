"""How expressions look up data, and how values become text or JSON."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape

from jinja2 import ChainableUndefined

from inbound_webhooks.errors import ExpressionFailed
from inbound_webhooks.event import json_text
from inbound_webhooks.event.body import Body
from inbound_webhooks.event.expressions.budget import ITEM, charge
from inbound_webhooks.event.multidict import MultiDict, SingleValue

MAX_TEXT_CHARS = 16 * 1024 * 1024
"""Longest text that an expression or template may produce."""


# https://www.w3.org/TR/xml/#charsets
_NOT_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
_XML_QUOTES = {'"': "&quot;", "'": "&apos;"}


class Missing(ChainableUndefined):
    """The value of an expression that finds nothing; further look-ups in it find nothing either."""

    __slots__ = ()


class JsonText(str):
    """Text that already is JSON, inserted into a JSON template without quotes."""

    __slots__ = ()


def look_up(container: Any, key: Any) -> Any:
    """Take one step of a path: an item of an object, list or source, never a Python attribute.

    :returns: the item, or an instance of :class:`Missing`
    """
    if isinstance(container, Body):
        # Properties of a form, JSON of a JSON body; slices are taken of the whole value.
        container = container.value if isinstance(key, slice) else container.properties
    if isinstance(container, (dict, MultiDict)):
        is_present = isinstance(key, str) and key in container
        return container[key] if is_present else Missing(name=str(key))
    if isinstance(container, SingleValue) and isinstance(key, int):
        return str(container) if key in (0, -1) else Missing(name=str(key))
    if isinstance(container, (list, str)):
        return _look_up_index(container, key)
    return Missing(name=str(key))


def _look_up_index(sequence: Any, key: Any) -> Any:
    if isinstance(key, slice):
        return sequence[key]
    # .0 is an index too, as in items.0.id.
    if isinstance(key, str) and key.isascii() and key.isdigit() and isinstance(sequence, list):
        key = int(key)
    # bool is an int in Python, but body[true] is no index.
    if isinstance(key, int) and not isinstance(key, bool) and -len(sequence) <= key < len(sequence):
        return sequence[key]
    return Missing(name=str(key))


def follow(container: Any, path: tuple[Any, ...]) -> Any:
    """Follow a path of dotted names (str), quoted names (a tuple of one str) and indices (int).

    Payloads have keys with dots in them, such as ``"event.type"``: the longest key that exists wins.
    """
    if isinstance(container, Body) and path and isinstance(path[0], str):
        container = container.properties
    position, end, readings = 0, len(path), _readings(path)
    while position < end:
        if readings[position] and isinstance(container, (dict, MultiDict)):
            for key, stop in readings[position]:
                if key in container:
                    container, position = container[key], stop
                    break
            else:
                return Missing(name=path[position])
        else:
            step = path[position]
            container = look_up(container, step[0] if isinstance(step, tuple) else step)
            if isinstance(container, Missing):
                return container
            position += 1
    return container


@lru_cache(maxsize=4096)
def _readings(path: tuple[Any, ...]) -> tuple[tuple[tuple[str, int], ...], ...]:
    """For each position of a path, the keys that the names from there may form, with their ends.

    The longest comes first; there are none at an index or a quoted name. Cached, because the paths of a
    webhook's expressions are the same for each request.
    """
    readings = []
    for start in range(len(path)):
        end = start
        while end < len(path) and isinstance(path[end], str):
            end += 1
        readings.append(tuple((".".join(path[start:stop]), stop) for stop in range(end, start, -1)))
    return tuple(readings)


def to_json_value(value: Any) -> Any:
    """A value as JSON types: a whole source becomes an object or, for the body, its JSON or text."""
    if isinstance(value, Body):
        return value.value
    if isinstance(value, MultiDict):
        return dict(value.lists)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Missing):
        return None
    return value


def to_json_value_at_all_levels(value: Any) -> Any:
    """A value built by an expression, as JSON types at every level; Missing at the top stays Missing."""
    if isinstance(value, dict):
        charge(ITEM * len(value))
        return {to_text(key): to_json_value(to_json_value_at_all_levels(item)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        charge(ITEM * len(value))
        return [to_json_value(to_json_value_at_all_levels(item)) for item in value]
    return value


def to_text(value: Any) -> str:
    """A value as text: Missing as "", the body as received, objects and lists as JSON.

    :raises ExpressionFailed: the value cannot be written
    """
    if isinstance(value, Body):
        return value.text
    value = to_json_value(value)
    if value is None:
        return ""
    return value if isinstance(value, str) else to_json(value)


def to_json(value: Any) -> str:
    """A value as JSON text.

    :raises ExpressionFailed: the value cannot be written as JSON
    """
    if isinstance(value, JsonText):
        return value
    value = to_json_value(value)
    # Charged and measured before it is written, so that a huge value costs nothing.
    charge(ITEM * count_items(value))
    check_length(json_text.least_chars(value))
    try:
        written = json_text.dump(value, default=_plain_source)
    except json_text.JsonRefused as error:
        raise ExpressionFailed(f"The value: {error.message}.") from None
    check_length(len(written))
    return written


def _plain_source(value: Any) -> Any:
    """Convert a source or Missing inside a list or object that an expression builds."""
    if isinstance(value, (Body, MultiDict, Missing)):
        return to_json_value(value)
    raise json_text.JsonRefused("it has a type that JSON does not have")


def to_plain_text(value: Any) -> str:
    """Output of text/plain: primitives bare, the body as received, objects and lists dropped."""
    if isinstance(value, Body):
        return value.text
    return "" if isinstance(to_json_value(value), (dict, list, tuple)) else to_text(value)


def to_json_output(value: Any) -> str:
    """Output between the strings of a JSON template; Missing becomes null."""
    return to_json(value)


def to_json_string(value: Any) -> str:
    """Output inside a string of a JSON template: the escaped text without quotes."""
    written = to_text(value)
    check_length(len(written))
    # Without the quotes of the JSON string: the template has its own.
    return json_text.dump(written)[1:-1]


def to_xml(value: Any) -> str:
    """Output of XML: as plain text, escaped, without the characters that XML 1.0 forbids."""
    return escape(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", to_plain_text(value)), _XML_QUOTES)


def cost(value: Any) -> int:
    """Approximate work of reading a value once, in characters."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Body):
        return len(value.content)
    if isinstance(value, MultiDict):
        return ITEM * len(value.lists)
    return ITEM * count_items(value)


def count_items(value: Any) -> int:
    """Number of items in a value, at all levels."""
    # Iterative: a recursion would fail on values nested deeper than Python's stack.
    total, pending = 0, [value]
    while pending:
        current = pending.pop()
        if isinstance(current, (dict, list, tuple)):
            total += len(current)
            parts = current.values() if isinstance(current, dict) else current
            pending += [part for part in parts if isinstance(part, (dict, list, tuple))]
    return total


def check_length(length: int) -> None:
    """Refuse a text of this length, before it is produced.

    :raises ExpressionFailed: it is longer than :data:`MAX_TEXT_CHARS`
    """
    if length > MAX_TEXT_CHARS:
        raise ExpressionFailed(f"The text would be longer than {MAX_TEXT_CHARS} characters.")
