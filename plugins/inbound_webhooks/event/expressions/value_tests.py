"""The tests of expressions, which follow ``is`` and ``is not``."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any

from inbound_webhooks.errors import ExpressionFailed
from inbound_webhooks.event.expressions import operators
from inbound_webhooks.event.values import Missing, unwrapped


def defined(value: Any) -> bool:
    """The request has this value."""
    return not isinstance(value, Missing)


def undefined(value: Any) -> bool:
    """The request does not have this value."""
    return isinstance(value, Missing)


def none(value: Any) -> bool:
    """The value is null."""
    return value is None


def string(value: Any) -> bool:
    """The value is text."""
    return isinstance(unwrapped(value), str)


def number(value: Any) -> bool:
    """The value is a number; as in Jinja, true and false are numbers too."""
    return isinstance(unwrapped(value), Number)


def boolean(value: Any) -> bool:
    """The value is true or false."""
    return isinstance(unwrapped(value), bool)


def mapping(value: Any) -> bool:
    """The value is an object."""
    return isinstance(unwrapped(value), dict)


def sequence(value: Any) -> bool:
    """The value has a length: a list, text or object."""
    return isinstance(unwrapped(value), (list, str, dict))


def is_in(value: Any, container: Any) -> bool:
    """The container has this item, key or part of its text."""
    return operators.contains(container, value)


def eq(value: Any, other: Any) -> bool:
    """Both are equal."""
    return operators.equal(value, other)


def ne(value: Any, other: Any) -> bool:
    """They differ."""
    return not operators.equal(value, other)


def _check_container(container: Any) -> None:
    if reason := operators.containment_refusal(1, container):
        raise ExpressionFailed(reason)


CHECKS: dict[str, Callable[..., None]] = {"in": _check_container}
"""Test -> check of the arguments behind the value; raises ExpressionFailed."""


TESTS: dict[str, Callable[..., bool]] = {
    "defined": defined,
    "undefined": undefined,
    "none": none,
    "string": string,
    "number": number,
    "boolean": boolean,
    "mapping": mapping,
    "sequence": sequence,
    "in": is_in,
    "eq": eq,
    "ne": ne,
}
