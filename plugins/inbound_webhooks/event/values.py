"""How expressions look up data, and how values become text or JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from jinja2 import ChainableUndefined

from inbound_webhooks.errors import ExpressionFailed
from inbound_webhooks.event import json_text
from inbound_webhooks.event.body import Body
from inbound_webhooks.event.expressions.budget import (
    CONTAINER,
    CURRENT_BUDGET,
    ITEM,
    SERIALIZED,
    WRITTEN,
    charge,
    digits_cost,
)
from inbound_webhooks.event.multidict import MultiDict, SingleValue

MAX_TEXT_CHARS = 16 * 1024 * 1024
"""Longest text that an expression or template may produce."""


# https://www.w3.org/TR/xml/#charsets
_NOT_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
MAX_INDEX_DIGITS = 9
"""Longer digits are no index of a list that fits into a body."""

_XML_QUOTES = {'"': "&quot;", "'": "&apos;"}


class Missing(ChainableUndefined):
    """The value of an expression that finds nothing; further look-ups in it find nothing either."""

    __slots__ = ()


NOTHING = Missing()
"""The one missing value of look-ups: to name each by its key would cost a text of any length."""


class JsonText(str):
    """Text that already is JSON, inserted into a JSON template without quotes."""

    __slots__ = ()


Step = str | int | tuple[str]
"""A dotted name, an index, or a quoted name."""


@dataclass(frozen=True)
class Path:
    """The steps of a path, and what its dotted names may mean.

    Payloads have keys with dots in them, such as ``"event.type"``, and the longest key that exists wins.
    ``readings`` has for each position the keys that the names from there may form, with their ends, the
    longest first; there are none at an index or a quoted name. They are made once, when the webhook is
    compiled.
    """

    steps: tuple[Step, ...]
    readings: tuple[tuple[tuple[str, int], ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "readings", tuple(map(self._readings_from, range(len(self.steps)))))

    def _readings_from(self, start: int) -> tuple[tuple[str, int], ...]:
        end = start
        while end < len(self.steps) and isinstance(self.steps[end], str):
            end += 1
        names = [str(name) for name in self.steps[start:end]]
        return tuple((".".join(names[:count]), start + count) for count in range(len(names), 0, -1))


def reading_chars(steps: Sequence[Step]) -> int:
    """Characters of all readings of a path, which grow with the third power of its length."""
    total, run = 0, []
    for step in (*steps, 0):
        if isinstance(step, str):
            run.append(len(step) + 1)
        elif run:
            # A name is part of every reading that begins at it or before it and ends at it or behind it.
            total += sum(chars * (index + 1) * (len(run) - index) for index, chars in enumerate(run))
            run = []
    return total


def look_up(container: Any, key: Any) -> Any:
    """Take one step of a path: an item of an object, list or source, never a Python attribute.

    :returns: the item, or :data:`NOTHING`
    """
    if isinstance(container, Body):
        # Properties of a form, JSON of a JSON body; slices are taken of the whole value.
        container = container.value if isinstance(key, slice) else container.properties
    if isinstance(container, (dict, MultiDict)):
        return container[key] if isinstance(key, str) and key in container else NOTHING
    if isinstance(container, SingleValue) and isinstance(key, int):
        return str(container) if key in (0, -1) else NOTHING
    if isinstance(container, (list, str)):
        return _look_up_index(container, key)
    return NOTHING


def _look_up_index(sequence: Any, key: Any) -> Any:
    if isinstance(key, slice):
        return sequence[key]
    # .0 is an index too, as in items.0.id.
    if isinstance(key, str) and len(key) <= MAX_INDEX_DIGITS and key.isascii() and key.isdigit():
        key = int(key) if isinstance(sequence, list) else key
    # bool is an int in Python, but body[true] is no index.
    if isinstance(key, int) and not isinstance(key, bool) and -len(sequence) <= key < len(sequence):
        return sequence[key]
    return NOTHING


def follow(container: Any, path: Path) -> Any:
    """Follow a path; :data:`NOTHING` where it leads nowhere."""
    steps, readings = path.steps, path.readings
    if isinstance(container, Body) and steps and isinstance(steps[0], str):
        container = container.properties
    position, end = 0, len(steps)
    while position < end:
        if readings[position] and isinstance(container, (dict, MultiDict)):
            for key, stop in readings[position]:
                if key in container:
                    container, position = container[key], stop
                    break
            else:
                return NOTHING
        else:
            step = steps[position]
            container = look_up(container, step[0] if isinstance(step, tuple) else step)
            if isinstance(container, Missing):
                return container
            position += 1
    return container


def to_json_value(value: Any) -> Any:
    """A value as JSON types: a whole source becomes an object or, for the body, its JSON or text."""
    if isinstance(value, Body):
        return value.value
    if isinstance(value, MultiDict):
        return value.lists
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Missing):
        return None
    return value


def unwrapped(value: Any) -> Any:
    """The JSON value of a whole source, any other value itself; texts are not copied."""
    if isinstance(value, Body):
        return value.value
    return value.lists if isinstance(value, MultiDict) else value


_UNCHANGED = frozenset({str, int, float, bool, type(None)})
"""Classes of values that are JSON as they are."""


def to_json_value_at_all_levels(value: Any) -> Any:
    """A value built by an expression, as JSON types at every level; Missing at the top stays Missing."""
    if isinstance(value, dict):
        charge(CONTAINER + ITEM * len(value))
        return {to_text(key): _item_as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        charge(CONTAINER + ITEM * len(value))
        return [item if item.__class__ in _UNCHANGED else _item_as_json(item) for item in value]
    return value


def _item_as_json(item: Any) -> Any:
    return to_json_value(to_json_value_at_all_levels(item))


def to_text(value: Any) -> str:
    """A value as text: Missing as "", the body as received, objects and lists as JSON.

    :raises ExpressionFailed: the value cannot be written
    """
    if isinstance(value, Body):
        return value.text
    value = to_json_value(value)
    if value is None:
        return ""
    if value.__class__ is int and -_SMALL < value < _SMALL:
        return str(value)
    return value if isinstance(value, str) else to_json(value)


def to_json(value: Any) -> str:
    """A value as JSON text.

    :raises ExpressionFailed: the value cannot be written as JSON
    """
    if isinstance(value, JsonText):
        return value
    value = to_json_value(value)
    # Charged and measured before it is written, so that a huge value costs nothing.
    charge(SERIALIZED)
    least_chars = charge_reading(value)
    check_length(least_chars)
    charge(WRITTEN * least_chars)
    try:
        written = json_text.dump(value, default=_plain_source)
    except json_text.JsonRefused as error:
        raise ExpressionFailed(f"The value: {error.message}.") from None
    check_length(len(written))
    charge(WRITTEN * max(len(written) - least_chars, 0))
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
    return "" if isinstance(unwrapped(value), (dict, list, tuple)) else to_text(value)


def to_json_output(value: Any) -> str:
    """Output between the strings of a JSON template; Missing becomes null."""
    return to_json(value)


def to_json_string(value: Any) -> str:
    """Output inside a string of a JSON template: the escaped text without quotes."""
    written = to_text(value)
    check_length(len(written))
    charge(WRITTEN * len(written))
    # Without the quotes of the JSON string: the template has its own.
    return json_text.dump(written)[1:-1]


def to_xml(value: Any) -> str:
    """Output of XML: as plain text, escaped, without the characters that XML 1.0 forbids."""
    written = to_plain_text(value)
    charge(_ESCAPED * len(written))
    return escape(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", written), _XML_QUOTES)


def charge_reading(value: Any) -> int:
    """Charge for reading a value at all levels, while it is walked; return the least length of its JSON.

    Parts are charged as often as they are referenced: an expression can build a value of gigabytes out of
    references to one list.

    :raises ExpressionFailed: the budget is exhausted
    """
    # Iterative: a recursion would fail on values nested deeper than Python's stack. The commonest classes are
    # compared first, because this loop is most of what an expression over large data costs.
    budget, total, pending = CURRENT_BUDGET.get(), 0, [value]
    while pending:
        parts = unwrapped(pending.pop())
        if not isinstance(parts, (dict, list, tuple)):
            parts = (parts,)
        if budget is not None:
            # An object has a key beside each item; to visit a list costs as much as some of its items.
            budget.charge(ITEM * ((2 if isinstance(parts, dict) else 1) * len(parts) + 3))
        chars, digits = len(parts), 0
        if isinstance(parts, dict):
            chars, parts = chars + sum(map(len, parts)), parts.values()
        for part in parts:
            kind = part.__class__
            if kind is str:
                chars += len(part)
            elif kind is int:
                if not -_SMALL < part < _SMALL:
                    chars += part.bit_length() // BITS_PER_DIGIT
                    digits += digits_cost(part)
            elif kind is list or kind is dict:
                if part:
                    pending.append(part)
            elif isinstance(part, str):
                chars += len(part)
            elif isinstance(part, (Body, MultiDict, tuple)):
                pending.append(part)
        total += chars
        if budget is not None:
            budget.charge(chars + digits)
    return total


_SMALL = 2**64
BITS_PER_DIGIT = 4
"""More than a decimal digit has, so that the length of an integer is never overestimated."""

_ESCAPED = 8
"""Weight of a character in XML, which may become six."""


def check_length(length: int) -> None:
    """Refuse a text of this length, before it is produced.

    :raises ExpressionFailed: it is longer than :data:`MAX_TEXT_CHARS`
    """
    if length > MAX_TEXT_CHARS:
        raise ExpressionFailed(f"The text would be longer than {MAX_TEXT_CHARS} characters.")
