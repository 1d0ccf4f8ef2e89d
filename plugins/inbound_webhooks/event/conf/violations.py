"""Sentences about values that break a schema: they name the schema's rule, never anything of the value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from referencing.exceptions import Unresolvable

from inbound_webhooks.event.truncation import truncate

MAX_COMPARED_ITEMS = 300
"""Objects in a list with uniqueItems: jsonschema compares them pairwise, which takes 13 s for 4,000, and the
process of a task repeats Airflow's check."""

MAX_LIMIT_CHARS = 200
"""Of a rule's own value, such as a long enum."""

_RULES = {
    "enum": "must be one of {limit}",
    "const": "must be {limit}",
    "minimum": "must be at least {limit}",
    "maximum": "must be at most {limit}",
    "exclusiveMinimum": "must be greater than {limit}",
    "exclusiveMaximum": "must be less than {limit}",
    "multipleOf": "must be a multiple of {limit}",
    "divisibleBy": "must be a multiple of {limit}",
    "minLength": "must have at least {limit} characters",
    "maxLength": "must have at most {limit} characters",
    "pattern": "must match the pattern {limit}",
    "format": "must have the format {limit}",
    "minItems": "must have at least {limit} items",
    "maxItems": "must have at most {limit} items",
    "uniqueItems": f"must not contain an item twice, nor more than {MAX_COMPARED_ITEMS} objects or lists",
    "contains": "must contain an item that the schema asks for",
    "minContains": "must contain more items that the schema asks for",
    "maxContains": "must contain fewer items that the schema asks for",
    "additionalItems": "must have no further items",
    "unevaluatedItems": "must have no further items",
    "minProperties": "must have at least {limit} keys",
    "maxProperties": "must have at most {limit} keys",
    "additionalProperties": "must have no other keys than the schema names",
    "unevaluatedProperties": "must have no other keys than the schema names",
    "propertyNames": "has a key that the schema does not allow",
    "dependencies": "lacks a key that another one requires",
    "dependentRequired": "lacks a key that another one requires",
    "anyOf": "must match one of the schema's alternatives",
    "oneOf": "must match exactly one of the schema's alternatives",
    "not": "must not match what the schema excludes",
    "disallow": "must not match what the schema excludes",
    "falseSchema": "has a part that the schema does not allow",
}
"""JSON Schema keyword -> sentence; ``limit`` is the keyword's value in the schema."""


def sentence(
    keyword: str, limit: Any, value: Any, *, path: Iterable[str | int], schema: Mapping[str, Any]
) -> str:
    """Which rule of a param's schema a value breaks, and where.

    :param keyword: of JSON Schema, such as ``maxLength``; ``limit`` is its value
    :param value: the part of the param's value that breaks the rule; only its type is named
    :param path: from the param's value to that part
    """
    place = _place(path, schema)
    at = f"at {place}: " if place else ""
    if keyword == "type":
        # Integral numbers have two types; the first by name is "integer", the more precise one.
        type_name = "null" if value is None else min(json_types(value), default=type(value).__name__)
        return f"{at}expected {' or '.join(_listed(limit))}, not {type_name}"
    if keyword == "required":
        held = value if isinstance(value, dict) else ()
        return f"{at}{', '.join(str(name) for name in _listed(limit) if name not in held)} is missing"
    rule = _RULES.get(keyword, "must satisfy the schema's rule {keyword}")
    return at + rule.format(limit=truncate(repr(limit), MAX_LIMIT_CHARS), keyword=keyword)


# Errors that jsonschema passes on: of re, of numbers beyond float, of references that cannot be resolved.
VALIDATOR_ERRORS = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
    re.error, Unresolvable,
)  # fmt: skip


def unchecked(error: Exception) -> str:
    """The refusal of a value that neither satisfies the schema nor breaks it."""
    return f"it cannot be checked against the DAG's schema ({type(error).__name__})"


def is_compared_slowly(items: Any) -> bool:
    """Whether jsonschema compares too many items pairwise; scalars it sorts first, which is fast."""
    return (
        isinstance(items, list)
        and len(items) > MAX_COMPARED_ITEMS
        and any(isinstance(item, (dict, list)) for item in items)
    )


def json_types(value: Any) -> frozenset[str]:
    """The JSON Schema types of a value; an integral float is an integer too."""
    match value:
        case bool():
            return frozenset({"boolean"})
        case int():
            return frozenset({"integer", "number"})
        case float():
            return frozenset({"integer", "number"} if value.is_integer() else {"number"})
        case str():
            return frozenset({"string"})
        case list() | tuple():
            return frozenset({"array"})
        case dict():
            return frozenset({"object"})
        case _:
            return frozenset()


def _listed(limit: Any) -> Sequence[Any]:
    return limit if isinstance(limit, list) else [limit]


def _place(path: Iterable[str | int], schema: Mapping[str, Any]) -> str:
    """Positions, and the keys that the schema names; other keys are the sender's content."""
    steps = list(path)
    named = set(_named_keys(schema)) if steps else set()
    return "".join(f"[{step!r}]" if isinstance(step, int) or step in named else "[…]" for step in steps)


def _named_keys(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for part in schema:
            yield from _named_keys(part)
    elif isinstance(schema, Mapping):
        for keyword, part in schema.items():
            if keyword == "properties" and isinstance(part, Mapping):
                yield from part
            yield from _named_keys(part)
