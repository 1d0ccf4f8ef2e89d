"""A param of a DAG: JSON Schema, default, and the check of a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft4Validator, Draft202012Validator

from inbound_webhooks.errors import ParameterRefused
from inbound_webhooks.event import json_text
from inbound_webhooks.event.cached_attribute import cached_attribute
from inbound_webhooks.event.conf.patterns import NotLinear
from inbound_webhooks.event.conf.schema_check import SchemaCheck, SlowCheck

NO_DEFAULT = object()
"""The default of a parameter that has none."""

LEFT_OUT = object()
"""The default of a parameter that may be missing."""


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


_RULES = frozenset(Draft202012Validator.VALIDATORS) | frozenset(Draft4Validator.VALIDATORS) | {"$schema"}


def refuse_slow_check(_schema: Mapping[str, Any], _value: Any) -> str:
    """The check of a process that has no place for slow ones."""
    return "its schema cannot be checked in linear time"


@dataclass(frozen=True)
class Parameter:
    """A param of a DAG: its JSON Schema and default (:data:`NO_DEFAULT` if it has none).

    ``check_slowly`` checks values that cannot be checked in linear time.
    """

    name: str
    schema: Mapping[str, Any]
    default: Any = NO_DEFAULT
    description: str = ""
    check_slowly: SlowCheck = field(default=refuse_slow_check, repr=False, compare=False)

    @cached_attribute
    def types(self) -> frozenset[str]:
        """The JSON types that the schema accepts; empty if it does not say."""
        return frozenset(_schema_types(self.schema))

    @cached_attribute
    def check(self) -> SchemaCheck:
        """The check of values against the schema."""
        return SchemaCheck(self.schema)

    @cached_attribute
    def of_items(self) -> Mapping[str, Parameter]:
        """The properties of the objects that it takes a list of, as parameters; empty if it does not say.

        Those that are not required may be missing. A schema with references is left out: they lead out of it.
        """
        items = _object(self.schema.get("items"))
        if not items or '"$ref"' in json_text.dump(self.schema):
            return {}
        required = _list(items.get("required"))
        return {
            name: Parameter(
                name,
                schema=schema,
                default=NO_DEFAULT if name in required else LEFT_OUT,
                check_slowly=self.check_slowly,
            )
            for name, schema in _object(items.get("properties")).items()
            if isinstance(schema, Mapping)
        }

    @cached_attribute
    def not_linear(self) -> NotLinear | None:
        """Why values cannot be checked in linear time, or None."""
        linear = self.check.linear if self.schema else None
        return linear if isinstance(linear, NotLinear) else None

    @cached_attribute
    def _sufficient_types(self) -> frozenset[str]:
        """Types whose values always satisfy the schema; empty if it has rules beside the type."""
        rules = _RULES & self.schema.keys()
        return self.types if rules == {"type"} else NO_TYPES

    def refusal(self, value: Any) -> str | None:
        """Why the schema refuses a value, or None; takes linear time, or as much as ``check_slowly`` does.

        :raises TooBusy: the check has to wait for too many others
        """
        if not self.schema:
            return None
        # Most params have only a type, and checking that needs no validator.
        if not self._sufficient_types.isdisjoint(TYPES_OF_CLASS.get(value.__class__, NO_TYPES)):
            return None
        return self.check.refusal(value, self.check_slowly)


def check_conf(conf: Mapping[str, Any], params: Mapping[str, Parameter]) -> None:
    """Check the values of a conf, or the defaults of what it leaves out, against a DAG's params.

    :raises ParameterRefused: a value violates the params
    :raises TooBusy: a slow check has to wait for too many others
    """
    for name, parameter in params.items():
        value = conf.get(name, parameter.default)
        if value is LEFT_OUT:
            continue
        if value is NO_DEFAULT:
            raise ParameterRefused(name, "the request has no value for it, and it has no default")
        if reason := parameter.refusal(value):
            raise ParameterRefused(name, reason)


def _schema_types(schema: Mapping[str, Any]) -> set[str]:
    named = schema.get("type")
    types = {named} if isinstance(named, str) else set(_list(named))
    for alternative in (*_list(schema.get("anyOf")), *_list(schema.get("oneOf"))):
        if isinstance(alternative, Mapping):
            types |= _schema_types(alternative)
    return types


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
