"""A value that a DAG's param accepts, from its JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from inbound_webhooks.event.conf.parameter import NO_DEFAULT, Parameter
from inbound_webhooks.event.conf.patterns import MAX_PATTERN_CHARS, parse_pattern

MAX_DEPTH = 6
MAX_ITEMS = 20
MAX_TEXT_CHARS = 2_000
MAX_VALUES = 500

NO_EXAMPLE = object()
"""No value was found that the param accepts."""

_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00+00:00",
    "duration": "PT1H",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "regex": "^a",
    "time": "12:00:00+00:00",
    "uri": "https://example.com/",
    "uuid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
}
"""Format of a text -> an example (https://json-schema.org/understanding-json-schema/reference/type)."""

# Names of values that people write without a schema.
_NUMERIC_NAME = re.compile(r"(^|_)(amount|count|number|price|quantity|size|total|year|age)$", re.IGNORECASE)


def example_of(parameter: Parameter) -> Any:
    """The first of the schema's examples, the default or a made-up value that the param accepts.

    :returns: the value, or :data:`NO_EXAMPLE`
    :raises TooBusy: a slow check has to wait for too many others
    """
    for candidate in _candidates(parameter):
        if parameter.refusal(candidate) is None:
            return candidate
    return NO_EXAMPLE


def _candidates(parameter: Parameter) -> Iterator[Any]:
    schema = parameter.schema
    yield from _listed(schema.get("examples"))[:MAX_ITEMS]
    # An empty default says nothing about what the sender sends.
    if parameter.default is not NO_DEFAULT and parameter.default not in (None, "", [], {}):
        yield parameter.default
    yield made_up(schema, parameter.name)
    yield from _listed(schema.get("enum"))[:MAX_ITEMS]
    if parameter.default is not NO_DEFAULT:
        yield parameter.default


def made_up(schema: Mapping[str, Any], name: str) -> Any:
    """A value for a schema; it may violate rules that are not looked at."""
    return _Maker(schema).make(schema, name)


class _Maker:
    """Makes one value; the schema may be recursive, so the number of its parts is bounded."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = MAX_VALUES

    def make(self, schema: Any, name: str, depth: int = 0) -> Any:
        self._left -= 1
        if self._left < 0:
            return None
        schema = self._whole(schema)
        if "const" in schema:
            return schema["const"]
        for listed in ("examples", "enum"):
            if found := _listed(schema.get(listed)):
                return found[0]
        return self._of_type(_type_of(schema, name), schema, name, depth)

    def _whole(self, schema: Any) -> Mapping[str, Any]:
        """The schema with its first alternative, and all that it is composed of."""
        schema = self._resolved(schema)
        for _ in range(MAX_DEPTH):
            composed = [key for key in ("anyOf", "oneOf", "allOf") if _listed(schema.get(key))]
            if not composed:
                break
            options = [one for one in schema[composed[0]] if one != {"type": "null"}]
            parts = options if composed[0] == "allOf" else options[:1]
            rest = {key: value for key, value in schema.items() if key != composed[0]}
            schema = _merged([rest, *map(self._resolved, parts)])
        return schema

    def _of_type(self, kind: str, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        if kind in ("integer", "number"):
            return _number(schema, is_integer=kind == "integer")
        if kind in ("boolean", "null"):
            return True if kind == "boolean" else None
        if kind == "string":
            return _text(schema, name)
        if depth >= MAX_DEPTH:
            return [] if kind == "array" else {}
        if kind == "array":
            given = _listed(schema.get("prefixItems")) or [schema.get("items", {})]
            number = min(max(int(_bound(schema, "minItems") or 1), len(given)), MAX_ITEMS)
            items = [given[min(index, len(given) - 1)] for index in range(number)]
            return [self.make(item, name, depth + 1) for item in items]
        properties = _mapping(schema.get("properties"))
        names = [*properties, *(one for one in _listed(schema.get("required")) if one not in properties)]
        return {
            str(one): self.make(properties.get(one, {}), str(one), depth + 1) for one in names[:MAX_ITEMS]
        }

    def _resolved(self, schema: Any) -> Mapping[str, Any]:
        """The schema that a local ``$ref`` names; boolean schemas accept every value."""
        for _ in range(MAX_DEPTH):
            reference = schema.get("$ref") if isinstance(schema, Mapping) else None
            if not isinstance(reference, str) or not reference.startswith("#/"):
                break
            schema = self._root
            for part in reference[2:].split("/"):
                schema = _mapping(schema).get(part.replace("~1", "/").replace("~0", "~"), {})
        return schema if isinstance(schema, Mapping) else {}


def _type_of(schema: Mapping[str, Any], name: str) -> str:
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else _listed(kinds)
    for kind in kinds:
        if kind != "null":
            return str(kind)
    if kinds:
        return "null"
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "minItems" in schema:
        return "array"
    if "minimum" in schema or "maximum" in schema or _NUMERIC_NAME.search(name):
        return "number"
    return "string"


def _number(schema: Mapping[str, Any], *, is_integer: bool) -> float:
    least, above = _bound(schema, "minimum"), _bound(schema, "exclusiveMinimum")
    most, below = _bound(schema, "maximum"), _bound(schema, "exclusiveMaximum")
    step = _bound(schema, "multipleOf") or 1
    value: float = 1
    if least is not None:
        value = max(value, least)
    if above is not None and value <= above:
        value = above + step
    if most is not None:
        value = min(value, most)
    if below is not None and value >= below:
        value = below - step
    if value % step:
        value = -(-value // step) * step if most is None else value // step * step
    return int(value) if is_integer or value == int(value) else value


def _text(schema: Mapping[str, Any], name: str) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    if isinstance(schema.get("pattern"), str):
        return matching(schema["pattern"])
    written = f"example {name}" if name else "example"
    most, least = _bound(schema, "maxLength"), _bound(schema, "minLength")
    if least is not None and len(written) < least:
        written += "x" * min(int(least) - len(written), MAX_TEXT_CHARS)
    return written[: int(most)] if most is not None and most >= 0 else written


def _bound(schema: Mapping[str, Any], name: str) -> float | None:
    value = schema.get(name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and abs(value) < 1e15 else None  # type: ignore[arg-type]


def _merged(schemas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for schema in schemas:
        for key, value in schema.items():
            if key == "properties" and isinstance(value, Mapping):
                value = {**_mapping(merged.get(key)), **value}
            elif key == "required":
                value = [*_listed(merged.get(key)), *_listed(value)]
            merged[key] = value
    return merged


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


# --- patterns -------------------------------------------------------------------------------


def matching(pattern: str) -> str:
    """A short text that a regular expression matches; "example" where none can be made up."""
    if len(pattern) > MAX_PATTERN_CHARS:
        return "example"
    try:
        parsed = parse_pattern(pattern)
        return "".join(_matching(parsed))[:MAX_TEXT_CHARS]
    except (re.error, ArithmeticError, RecursionError, KeyError, StopIteration):
        return "example"


_LIKELY = "aA0-_ .@/:1bBzZ9"
_CATEGORIES: dict[str, Callable[[str], bool]] = {
    "CATEGORY_DIGIT": str.isdecimal,
    "CATEGORY_NOT_DIGIT": lambda character: not character.isdecimal(),
    "CATEGORY_SPACE": str.isspace,
    "CATEGORY_NOT_SPACE": lambda character: not character.isspace(),
    "CATEGORY_WORD": lambda character: character.isalnum() or character == "_",
    "CATEGORY_NOT_WORD": lambda character: not (character.isalnum() or character == "_"),
}
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


def _matching(items: Any) -> Iterator[str]:
    for code, value in items:
        name = code.name
        if name == "LITERAL":
            yield chr(value)
        elif name == "NOT_LITERAL":
            yield next(one for one in _LIKELY if ord(one) != value)
        elif name == "ANY":
            yield "a"
        elif name == "IN":
            yield _member(value)
        elif name == "BRANCH":
            yield from _matching(value[1][0])
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, repeated = value
            times = min(max(int(least), 1 if int(most) > 1 else int(least)), MAX_TEXT_CHARS)
            once = "".join(_matching(repeated))
            yield once * min(times, max(MAX_TEXT_CHARS // max(len(once), 1), 1))
        elif name == "SUBPATTERN":
            yield from _matching(value[3])
        elif name not in ("AT", "ASSERT", "ASSERT_NOT"):
            raise KeyError(name)


def _member(members: Any) -> str:
    """A character of a class, a letter or digit if there is one."""
    is_negated = members[0][0].name == "NEGATE"

    def is_named(character: str) -> bool:
        return any(_names(code.name, value, character) for code, value in members)

    found = [one for one in _LIKELY + _PRINTABLE if is_named(one) != is_negated]
    if found:
        return found[0]
    code, value = members[0]
    return chr(value[0] if code.name == "RANGE" else value)


def _names(name: str, value: Any, character: str) -> bool:
    if name == "LITERAL":
        return ord(character) == int(value)
    if name == "RANGE":
        return bool(value[0] <= ord(character) <= value[1])
    return name == "CATEGORY" and bool(_CATEGORIES[value.name](character))
