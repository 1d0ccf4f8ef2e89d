"""The operators of expressions, each of which charges for its work before it does it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from inbound_webhooks.errors import ExpressionFailed
from inbound_webhooks.event.body import Body
from inbound_webhooks.event.expressions.budget import CALL, REFERENCE, WRITTEN, charge, digits_cost
from inbound_webhooks.event.multidict import MultiDict
from inbound_webhooks.event.values import (
    NOTHING,
    Missing,
    charge_reading,
    check_length,
    look_up,
    to_text,
    unwrapped,
)

_CONTAINERS = (dict, list, tuple)

# CPython searches for short texts by comparing at each place, and for others in linear time
# (Objects/stringlib/fastsearch.h).
_SHORT_TEXT_CHARS = 30_000
_SHORT_PART_CHARS = 100


# --- arithmetic -----------------------------------------------------------------------------


def add(left: Any, right: Any) -> Any:
    """The sum of two numbers, or two texts or lists behind each other."""
    if isinstance(left, str) and isinstance(right, str):
        check_length(len(left) + len(right))
        charge(WRITTEN * (len(left) + len(right)))
    elif isinstance(left, list) and isinstance(right, list):
        charge(REFERENCE * (len(left) + len(right)))
    else:
        _charge_digits(left, right)
    return left + right


def subtract(left: Any, right: Any) -> Any:
    """The difference of two numbers."""
    _charge_digits(left, right)
    return left - right


def divide(left: Any, right: Any) -> Any:
    """The quotient of two numbers."""
    _charge_digits(left, right)
    return left / right


def floor_divide(left: Any, right: Any) -> Any:
    """The quotient of two numbers, rounded down."""
    _charge_digits(left, right)
    return left // right


def negate(value: Any) -> Any:
    """The number with the other sign."""
    _charge_digits(value)
    return -value


def positive(value: Any) -> Any:
    """The number itself."""
    _charge_digits(value)
    return +value


def _charge_digits(*values: Any) -> None:
    charge(CALL + sum(digits_cost(value) for value in values if isinstance(value, int)))


# --- comparison -----------------------------------------------------------------------------


def equal(left: Any, right: Any) -> bool:
    """Whether both are the same JSON value; two missing values are equal."""
    left, right = unwrapped(left), unwrapped(right)
    _charge_comparison(left, right)
    return bool(left == right)


def contains(container: Any, value: Any) -> bool:
    """Whether an object has this key, a list this item, or a text this part."""
    if isinstance(container, Body):
        container = container.value
    value = unwrapped(value)
    if isinstance(container, Missing):
        return False
    if isinstance(container, MultiDict):
        charge(CALL + WRITTEN * len(value) if isinstance(value, str) else CALL)
        return isinstance(value, str) and value in container
    if isinstance(container, str):
        if isinstance(value, str):
            charge_search(container, value)
    elif isinstance(container, dict):
        charge(CALL + len(value) if isinstance(value, str) else CALL)
    else:
        charge_reading(container)
    return value in container


def _ordering(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    def ordered(left: Any, right: Any) -> bool:
        left, right = unwrapped(left), unwrapped(right)
        _charge_comparison(left, right)
        return bool(compare(left, right))

    return ordered


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": equal,
    "ne": lambda left, right: not equal(left, right),
    "gt": _ordering(operator.gt),
    "gteq": _ordering(operator.ge),
    "lt": _ordering(operator.lt),
    "lteq": _ordering(operator.le),
    "in": lambda value, container: contains(container, value),
    "notin": lambda value, container: not contains(container, value),
}
"""Jinja's name of an operator -> function of both operands."""


def charge_search(text: str, part: str) -> None:
    """Charge for searching a text for a part, as often as it occurs."""
    chars, part_chars = len(text), len(part)
    is_short = chars < _SHORT_TEXT_CHARS and part_chars < _SHORT_PART_CHARS
    places = part_chars if is_short or chars < _SHORT_PART_CHARS * 25 else 0
    charge(CALL + 2 * (chars + part_chars) + chars * places // 2)


def _charge_comparison(left: Any, right: Any) -> None:
    if isinstance(left, _CONTAINERS) and isinstance(right, _CONTAINERS):
        charge_reading(left)
        charge_reading(right)
    elif isinstance(left, str) and isinstance(right, str):
        charge(CALL + min(len(left), len(right)))
    else:
        _charge_digits(left, right)


# --- constant operands ----------------------------------------------------------------------

Refusal = Callable[[int, Any], str | None]
"""Position of a constant operand and its value -> why the operator always fails with it, or None."""


def not_refused(_: int, value: Any) -> str | None:
    """Every constant suits."""
    return None


def arithmetic_refusal(_: int, value: Any) -> str | None:
    """Only numbers suit; as in Python, true is 1."""
    return None if isinstance(value, (int, float)) else "this operand is not a number"


def addition_refusal(_: int, value: Any) -> str | None:
    """Only numbers, texts and lists suit."""
    return None if isinstance(value, (int, float, str, list)) else "this operand cannot be added"


def division_refusal(position: int, value: Any) -> str | None:
    """Only numbers suit, and no divisor of 0."""
    if position == 1 and isinstance(value, (int, float)) and value == 0:
        return "the divisor is 0"
    return arithmetic_refusal(position, value)


def _order_refusal(_: int, value: Any) -> str | None:
    return None if isinstance(value, (int, float, str, list)) else "this operand is neither more nor less"


def containment_refusal(position: int, value: Any) -> str | None:
    """Only texts, lists and objects can contain a value."""
    if position == 0 or isinstance(value, (str, list, dict, Missing)):
        return None
    return "this operand is no text, list or object"


REFUSALS: dict[str, Refusal] = {
    **dict.fromkeys(("gt", "gteq", "lt", "lteq"), _order_refusal),
    **dict.fromkeys(("in", "notin"), containment_refusal),
}
"""Jinja's name of a comparison -> the constants that it refuses; none where it is not named."""


# --- look-ups and texts ---------------------------------------------------------------------


def item(container: Any, key: Any) -> Any:
    """An item of an object, list or source by a key or index that is computed."""
    # The spelling of a header's name is compared without regard to case, which costs more than a hash.
    charge(CALL + WRITTEN * len(key) if isinstance(key, str) else CALL)
    return look_up(container, key)


def check_slice(start: int | None = None, stop: int | None = None, step: int | None = None) -> None:
    """Check the ends of a slice.

    :raises ExpressionFailed: it has no direction
    """
    if step == 0:
        raise ExpressionFailed("the step of a slice is 0.")


def part_of(value: Any, start: int | None, stop: int | None, step: int | None) -> Any:
    """A part of a text or list, as Python's slices give it."""
    if isinstance(value, Body):
        value = value.value
    if not isinstance(value, (str, list)):
        return NOTHING
    check_slice(start, stop, step)
    count = len(range(*slice(start, stop, step).indices(len(value))))
    charge(CALL + count * (WRITTEN if isinstance(value, str) else REFERENCE))
    return look_up(value, slice(start, stop, step))


def concatenate(values: list[Any]) -> str:
    """The texts of all values behind each other."""
    parts = [to_text(value) for value in values]
    total = sum(map(len, parts))
    check_length(total)
    charge(CALL + WRITTEN * total)
    return "".join(parts)


def object_key(value: Any) -> str:
    """The key of an object that an expression builds.

    :raises ExpressionFailed: it is a list or an object itself
    """
    if isinstance(unwrapped(value), _CONTAINERS):
        raise ExpressionFailed("A list or an object cannot be the key of an object.")
    return to_text(value)
