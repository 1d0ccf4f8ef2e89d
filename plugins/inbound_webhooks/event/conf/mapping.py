"""Mapping + DAG params -> the conf of a DAG run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jsonschema import FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from inbound_webhooks.errors import ExpressionFailed, InvalidDefinition, ParameterRefused, TemplateRefused
from inbound_webhooks.event import json_text
from inbound_webhooks.event.cached_attribute import lazy
from inbound_webhooks.event.expressions.budget import PARSED, Counting, spend
from inbound_webhooks.event.expressions.engine import Expression, compile_expression
from inbound_webhooks.event.request import Body, DataSources, without_credentials
from inbound_webhooks.event.values import Nothing, plain, text

MAX_CONF_CHARS = 16 * 1024 * 1024

MAX_CHARS_OF_ONE = 6
MAX_HEAD_CHARS = 64 * 1024

MAX_COMPARED_ITEMS = 300
"""Objects in a list with uniqueItems; jsonschema compares each with each, 4,000 take 13 s."""

# What jsonschema lets through of re, of numbers beyond float and of references that lead nowhere.
_VALIDATOR_FAULTS = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
    re.error, Unresolvable,
)  # fmt: skip

NO_DEFAULT = object()
"""The default of a parameter that has none."""

_BOOLEANS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}
_TYPES_OF: dict[type, frozenset[str]] = {
    str: frozenset({"string"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    list: frozenset({"array"}),
    dict: frozenset({"object"}),
    type(None): frozenset({"null"}),
}
"""The JSON Schema types of all values of a class, in every draft of JSON Schema; floats are not alike."""

_NO_TYPES: frozenset[str] = frozenset()

_INTEGER = re.compile(r"-?[0-9]{1,4300}")
_NUMBER = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,2})?")


@dataclass(frozen=True)
class Parameter:
    """One of a DAG's params: its JSON Schema and default (:data:`NO_DEFAULT` where it has none)."""

    name: str
    schema: Mapping[str, Any]
    default: Any = NO_DEFAULT
    description: str = ""

    @lazy
    def types(self) -> frozenset[str]:
        """The JSON types that the schema asks for; empty where it does not say."""
        return frozenset(_schema_types(self.schema))

    @lazy
    def _validator(self) -> Any:
        # The same checks as Airflow's SerializedParam.resolve makes.
        schema = dict(self.schema)
        made_of = validator_for(schema)
        made_of.check_schema(schema)
        # An empty registry: a $ref that leads out of the schema is an error, never a request of ours.
        return _bounded_validator(made_of)(schema, format_checker=FormatChecker(), registry=Registry())

    @lazy
    def _sufficient_types(self) -> frozenset[str]:
        """Types that keep every rule of the schema; empty where it has other rules than a type."""
        rules = self._validator.VALIDATORS.keys() & self.schema.keys()
        return self.types if rules == {"type"} else _NO_TYPES

    def refusal(self, value: Any) -> str | None:
        """Why the schema refuses a value, or None."""
        if not self.schema:
            return None
        try:
            if not self._sufficient_types.isdisjoint(_TYPES_OF.get(value.__class__, _NO_TYPES)):
                return None
            self._validator.validate(value)
        except ValidationError as error:
            return _reason(error)
        except SchemaError:
            return "the DAG's schema for it is not a JSON Schema"
        except _VALIDATOR_FAULTS as error:
            return f"it cannot be checked against the DAG's schema ({type(error).__name__})"
        return None


@dataclass(frozen=True)
class ConfMapping:
    """A compiled mapping: parameter name -> expression. Without lines, conf is the whole event."""

    lines: Mapping[str, Expression] = field(default_factory=dict)

    def most_chars(self, sources: DataSources) -> int | None:
        """How long the conf can be as JSON at most, None where an expression may make more of the data.

        A character takes six as ``\\u0000``. Headers and query are a server's to limit.
        """
        if not self._are_paths:
            return None
        return MAX_CHARS_OF_ONE * len(self.lines or "1") * (len(sources.body.content) + MAX_HEAD_CHARS)

    @lazy
    def _are_paths(self) -> bool:
        return all(expression.is_path for expression in self.lines.values())

    def conf(self, sources: DataSources, params: Mapping[str, Parameter] | None) -> dict[str, Any]:
        """Compute and check the conf; ``params`` is None where the DAG is not known yet.

        :raises ParameterRefused: a value breaks the DAG's params, or could not be stored
        :raises BodyMalformed: an expression needs a body that is not what its type says
        """
        conf = self._values(sources, params or {}) if self.lines else {"webhook": _whole_event(sources)}
        _refuse_invalid(conf, params or {})
        return conf

    def _values(self, sources: DataSources, params: Mapping[str, Parameter]) -> dict[str, Any]:
        conf: dict[str, Any] = {}
        with Counting(sources.work):
            for name, expression in self.lines.items():
                parameter = params.get(name)
                types = _NO_TYPES if parameter is None else parameter.types
                try:
                    value = convert(expression.evaluate(sources), types)
                except ExpressionFailed as error:
                    raise ParameterRefused(name, error.message) from None
                if not isinstance(value, Nothing):
                    conf[name] = value
        return conf


def compile_mapping(mapping: Mapping[str, str]) -> ConfMapping:
    """Compile each line of a mapping.

    :raises InvalidDefinition: an expression does not compile; names the parameter, line and column
    """
    lines: dict[str, Expression] = {}
    for name, source in mapping.items():
        if not name.strip():
            raise InvalidDefinition("mapping", "a parameter's name is empty")
        try:
            lines[name] = compile_expression(source)
        except TemplateRefused as error:
            raise InvalidDefinition(f"mapping of {name}", error.message) from None
    return ConfMapping(lines)


def dump_conf(conf: dict[str, Any], *, most_chars: int | None = None) -> str:
    """The conf as JSON text that PostgreSQL's jsonb takes.

    :param most_chars: more than which it cannot have, None where nobody knows
    :raises ParameterRefused: it is too large, or holds what JSON or jsonb does not
    """
    if most_chars is not None and most_chars <= MAX_CONF_CHARS and (whole := _dump_whole(conf)) is not None:
        return whole
    written: list[str] = []
    room = MAX_CONF_CHARS
    for name, value in conf.items():
        entry = "" if json_text.least_chars(value) > room else _dump_entry(name, value)
        room -= len(entry)
        if not entry or room < 0:
            raise ParameterRefused(name, f"with it the conf is longer than {MAX_CONF_CHARS} characters")
        written.append(entry)
    return "{" + ",".join(written) + "}"


def _dump_whole(conf: dict[str, Any]) -> str | None:
    """The same where nothing is wrong with it; otherwise each entry is looked at alone."""
    try:
        written = json_text.dump(conf)
    except json_text.JsonRefused:
        return None
    return None if json_text.unstorable_reason(conf, written) else written


def _dump_entry(name: str, value: Any) -> str:
    try:
        entry = f"{json_text.dump(name)}:{json_text.dump(value)}"
    except json_text.JsonRefused as error:
        raise ParameterRefused(name, error.message) from None
    if reason := json_text.unstorable_reason([name, value], entry):
        raise ParameterRefused(name, reason)
    return entry


def convert(value: Any, types: frozenset[str]) -> Any:
    """Convert the result of an expression to what a parameter of these JSON types takes.

    Text goes to integer, number, boolean, object and array where it reads as one, anything goes to
    string. What cannot be converted is returned as it is, for the schema to refuse. Null for a
    parameter that takes none counts as nothing.
    """
    known = _TYPES_OF.get(value.__class__)
    if known is not None and not (types and types.isdisjoint(known)):
        return value
    if isinstance(value, Nothing):
        return value
    if isinstance(value, Body):
        # A body is a text; what reads as JSON is one where no text is asked for.
        value = value.text if "string" in types or not value.is_json else value.value
    value = plain(value)
    if value is None:
        return None if not types or "null" in types else Nothing(name="null")
    if not types or _json_types(value) & types:
        return value
    if "string" in types:
        return text(value)
    return _read(value, types) if isinstance(value, str) else value


def _read(written: str, types: frozenset[str]) -> Any:
    if "integer" in types and _INTEGER.fullmatch(written):
        return int(written)
    if "number" in types and _NUMBER.fullmatch(written):
        return _read_number(written)
    if "boolean" in types and written.lower() in _BOOLEANS:
        return _BOOLEANS[written.lower()]
    if types & {"object", "array"}:
        return _read_container(written, types)
    return written


def _read_number(written: str) -> Any:
    number = int(written) if _INTEGER.fullmatch(written) else float(written)
    return number if isinstance(number, int) or math.isfinite(number) else written


def _read_container(written: str, types: frozenset[str]) -> Any:
    spend(PARSED * len(written))
    try:
        value = json_text.parse(written)
    except json_text.JsonRefused:
        return written
    return value if _json_types(value) & types else written


def _json_types(value: Any) -> frozenset[str]:
    """The JSON Schema types of a value (an integral number is an integer too)."""
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


def _are_slow_to_compare(items: list[Any]) -> bool:
    return len(items) > MAX_COMPARED_ITEMS and any(isinstance(item, (dict, list)) for item in items)


@lru_cache
def _bounded_validator(made_of: Any) -> Any:
    """The validator without its quadratic comparison of long lists, which Airflow would make again."""
    check_unique = made_of.VALIDATORS.get("uniqueItems")

    def unique(validator: Any, wanted: Any, items: Any, schema: Any) -> Iterator[ValidationError]:
        if wanted and isinstance(items, list) and _are_slow_to_compare(items):
            yield ValidationError(f"more than {MAX_COMPARED_ITEMS} objects to compare")
        else:
            yield from check_unique(validator, wanted, items, schema) or ()

    return made_of if check_unique is None else extend(made_of, {"uniqueItems": unique})


def _whole_event(sources: DataSources) -> dict[str, Any]:
    also = sources.credential_names
    return {
        "body": sources.body.value_or_text,
        "query": without_credentials(sources.query, also),
        "headers": without_credentials(sources.headers, also),
    }


def _refuse_invalid(conf: Mapping[str, Any], params: Mapping[str, Parameter]) -> None:
    for name, parameter in params.items():
        value = conf.get(name, parameter.default)
        if value is NO_DEFAULT:
            raise ParameterRefused(name, "there is no value for it in the request, and it has no default")
        if reason := parameter.refusal(value):
            raise ParameterRefused(name, reason)


def _reason(error: ValidationError) -> str:
    """Where and which rule, never the value: it came from outside and may be large or secret."""
    place = "".join(f"[{step!r}]" for step in error.absolute_path)
    at = f"at {place}: " if place else ""
    if error.validator == "type":
        return f"{at}expected {error.validator_value}, not {_type_name(error.instance)}"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{at}{', '.join(missing)} is missing"
    return f"{at}the value breaks {error.validator}: {error.validator_value!r}"


def _type_name(value: Any) -> str:
    return "null" if value is None else sorted(_json_types(value) or {type(value).__name__})[0]
