"""A param of a DAG: JSON Schema, default, and the check of a value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jsonschema import FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from inbound_webhooks.event.cached_attribute import cached_attribute

MAX_COMPARED_ITEMS = 300
"""Objects in a list with uniqueItems: jsonschema compares them pairwise, which takes 13 s for 4,000."""


# Errors that jsonschema passes on: of re, of numbers beyond float, of references that cannot be resolved.
_VALIDATOR_ERRORS = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
    re.error, Unresolvable,
)  # fmt: skip


NO_DEFAULT = object()
"""The default of a parameter that has none."""


TYPES_OF_CLASS: dict[type, frozenset[str]] = {
    str: frozenset({"string"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    list: frozenset({"array"}),
    dict: frozenset({"object"}),
    type(None): frozenset({"null"}),
}
"""JSON Schema types that all values of a class have in every draft. Floats are missing: 1.0 is an integer."""


NO_TYPES: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Parameter:
    """A param of a DAG: its JSON Schema and default (:data:`NO_DEFAULT` if it has none)."""

    name: str
    schema: Mapping[str, Any]
    default: Any = NO_DEFAULT
    description: str = ""

    @cached_attribute
    def types(self) -> frozenset[str]:
        """The JSON types that the schema accepts; empty if it does not say."""
        return frozenset(_schema_types(self.schema))

    @cached_attribute
    def _validator(self) -> Any:
        # The same checks as in Airflow's SerializedParam.resolve.
        schema = dict(self.schema)
        validator_class = validator_for(schema)
        validator_class.check_schema(schema)
        # With an empty registry, a $ref that leads out of the schema is an error instead of a request of
        # ours.
        return _bounded_validator(validator_class)(
            schema, format_checker=FormatChecker(), registry=Registry()
        )

    @cached_attribute
    def _sufficient_types(self) -> frozenset[str]:
        """Types whose values always satisfy the schema; empty if it has rules beside the type."""
        rules = self._validator.VALIDATORS.keys() & self.schema.keys()
        return self.types if rules == {"type"} else NO_TYPES

    def refusal(self, value: Any) -> str | None:
        """Why the schema refuses a value, or None."""
        if not self.schema:
            return None
        try:
            # Most params have only a type, and checking that does not need jsonschema.
            if not self._sufficient_types.isdisjoint(TYPES_OF_CLASS.get(value.__class__, NO_TYPES)):
                return None
            self._validator.validate(value)
        except ValidationError as error:
            return _reason(error)
        except SchemaError:
            return "the DAG's schema for it is not a JSON Schema"
        except _VALIDATOR_ERRORS as error:
            return f"it cannot be checked against the DAG's schema ({type(error).__name__})"
        return None


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


def _schema_types(schema: Mapping[str, Any]) -> set[str]:
    named = schema.get("type")
    types = {named} if isinstance(named, str) else set(_list(named))
    for alternative in (*_list(schema.get("anyOf")), *_list(schema.get("oneOf"))):
        if isinstance(alternative, Mapping):
            types |= _schema_types(alternative)
    return types


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


@lru_cache
def _bounded_validator(validator_class: Any) -> Any:
    """The validator with a limit on its quadratic comparison of lists, which Airflow would repeat."""
    check_unique = validator_class.VALIDATORS.get("uniqueItems")

    def unique(validator: Any, wanted: Any, items: Any, schema: Any) -> Iterator[ValidationError]:
        # Scalars are sorted before they are compared, which is fast; objects cannot be.
        is_slow = (
            wanted
            and isinstance(items, list)
            and len(items) > MAX_COMPARED_ITEMS
            and any(isinstance(item, (dict, list)) for item in items)
        )
        if is_slow:
            yield ValidationError(f"more than {MAX_COMPARED_ITEMS} objects to compare")
        else:
            yield from check_unique(validator, wanted, items, schema) or ()

    return validator_class if check_unique is None else extend(validator_class, {"uniqueItems": unique})


def _reason(error: ValidationError) -> str:
    """Place and rule, without the value, which is the sender's and may be large or secret."""
    place = "".join(f"[{step!r}]" for step in error.absolute_path)
    at = f"at {place}: " if place else ""
    if error.validator == "type":
        # Integral numbers have two types; the first by name is "integer", the more precise one.
        types = json_types(error.instance) or {type(error.instance).__name__}
        found = "null" if error.instance is None else sorted(types)[0]
        return f"{at}expected {error.validator_value}, not {found}"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{at}{', '.join(missing)} is missing"
    return f"{at}the value breaks {error.validator}: {error.validator_value!r}"
