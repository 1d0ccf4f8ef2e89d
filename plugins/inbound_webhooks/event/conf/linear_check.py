"""The check of a value in time that is linear in its size, by the Rust library jsonschema-rs.

It takes 20 ms for a million items, where Airflow's library takes seconds, and its patterns never backtrack.
Values must get the same verdict as from Airflow, whose check is repeated by the process of each task: what
the two libraries see differently is either given to the Rust library as Airflow means it (patterns, formats,
``multipleOf``) or not checked here (:class:`NotLinear`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema_rs import RegexOptions, ValidationError, validator_for

from inbound_webhooks.event import json_text
from inbound_webhooks.event.conf.patterns import NotLinear, linear_pattern
from inbound_webhooks.event.conf.violations import is_compared_slowly, sentence

MAX_MATCHED_CHARS = 32 * 1024
"""Text that is matched against patterns; one character may take as many steps as the pattern has states."""

MAX_PATTERN_BYTES = 2 * 1024 * 1024
"""Memory of a compiled pattern, and so its number of states."""

MAX_INTEGER_BITS = int(json_text.MAX_INTEGER_DIGITS * math.log2(10))

_DRAFTS = frozenset(
    {
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft-07/schema",
        "http://json-schema.org/draft-06/schema",
    }
)
"""Drafts that both libraries know and understand alike."""

_DIFFERENT = frozenset(
    {
        "$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef",
        "$schema", "$vocabulary", "unevaluatedItems", "unevaluatedProperties",
    }
)  # fmt: skip
"""Keywords that the two libraries may understand differently."""

_IGNORED = frozenset({"contentEncoding", "contentMediaType", "contentSchema"})
"""Keywords that only the Rust library checks."""

_SCHEMAS = frozenset(
    {
        "additionalItems", "additionalProperties", "allOf", "anyOf", "contains", "else", "if", "items", "not",
        "oneOf", "prefixItems", "propertyNames", "then",
    }
)  # fmt: skip
"""Keywords whose values are schemas or lists of schemas."""

_REFERENCE = re.compile(r"#/(?:\$defs|definitions|properties)/[^/%~]+")

_SCHEMAS_BY_NAME = frozenset({"properties", "$defs", "definitions", "dependentSchemas", "dependencies"})

_BOUNDED_FORMATS = frozenset({"date", "email", "idn-email", "ipv4", "ipv6", "time", "uuid"})
"""Formats whose check takes linear time: the standard library's, without backtracking."""


class LinearCheck:
    """Checks values against one schema that Airflow's library has accepted.

    :raises NotLinear: the schema cannot be checked here
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._patterns: dict[str, str] = {}
        self._formats: dict[str, Callable[[str], bool]] = {}
        _refuse_recursion(schema)
        translated = self._translated({key: value for key, value in schema.items() if key != "$schema"})
        try:
            self._validator = validator_for(
                {"$schema": _draft(schema), **translated},
                formats=self._formats,
                validate_formats=True,
                # Its own patterns are as linear as ours; the limits bound memory and the steps per character.
                pattern_options=RegexOptions(size_limit=MAX_PATTERN_BYTES),
                keywords={"multipleOf": _MultipleOf, "uniqueItems": _UniqueItems},
                # What it writes into its messages instead of the value.
                mask="value",
                offline=True,
            )
        except (ValidationError, ValueError):
            part = "pattern" if self._patterns else "schema"
            raise NotLinear(part, "it is too large, or uses what the engine does not have") from None

    def is_too_long(self, value: Any) -> bool:
        """Whether a value has more text than patterns are matched with here."""
        return bool(self._patterns) and json_text.least_chars(value) > MAX_MATCHED_CHARS

    def refusal(self, value: Any) -> str | None:
        """Why the schema refuses a value, or None."""
        # jsonschema-rs misjudges longer numbers. Inside of a list or object they are refused when written.
        if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
            return f"it has more than {json_text.MAX_INTEGER_DIGITS} digits"
        # Without an error to describe, alternatives are not listed.
        if self._validator.is_valid(value):
            return None
        try:
            self._validator.validate(value)
        except ValidationError as error:
            keyword = getattr(error.kind, "keyword", error.kind.name)
            # From the schema as its author has written it.
            limit = _at(self._schema, [self._patterns.get(str(step), step) for step in error.schema_path])
            return sentence(keyword, limit, error.instance, path=error.instance_path, schema=self._schema)
        return None

    def _translated(self, schema: Any) -> Any:
        """The schema with patterns and formats that mean here what they mean to Airflow."""
        if not isinstance(schema, Mapping):
            return [self._translated(part) for part in schema] if isinstance(schema, list) else schema
        if different := _DIFFERENT & schema.keys():
            raise NotLinear("schema", f"it uses {min(different)}")
        return {
            keyword: self._keyword(keyword, value)
            for keyword, value in schema.items()
            if keyword not in _IGNORED
        }

    def _keyword(self, keyword: str, value: Any) -> Any:
        if keyword == "pattern":
            return self._pattern(value)
        if keyword == "patternProperties":
            return {self._pattern(pattern): self._translated(part) for pattern, part in value.items()}
        if keyword in _SCHEMAS_BY_NAME:
            return {name: self._translated(part) for name, part in value.items()}
        if keyword == "format" and value not in self._formats:
            self._formats[value] = _format_check(value)
        return self._translated(value) if keyword in _SCHEMAS else value

    def _pattern(self, pattern: str) -> str:
        translated = linear_pattern(pattern)
        if self._patterns.setdefault(translated, pattern) != pattern:
            raise NotLinear("pattern", "it occurs in two spellings")
        return translated


class _MultipleOf:
    """The rule as Airflow's library computes it: 0.3 is no multiple of 0.1, because of its rounding."""

    def __init__(self, _schema: Any, divisor: Any, _path: Any) -> None:
        self._divisor = divisor

    def validate(self, value: Any) -> None:
        """Raise an exception for a value that breaks the rule."""
        for _ in _MULTIPLE_OF(_LIBRARY, self._divisor, value, {}):
            raise ValueError


class _UniqueItems:
    """The rule, with a limit on what the process of a task would compare pairwise."""

    def __init__(self, _schema: Any, wanted: Any, _path: Any) -> None:
        self._check = validator_for({"uniqueItems": wanted})
        self._wanted = wanted

    def validate(self, value: Any) -> None:
        """Raise an exception for a value that breaks the rule."""
        if (self._wanted and is_compared_slowly(value)) or not self._check.is_valid(value):
            raise ValueError


_LIBRARY = Draft202012Validator({})
_MULTIPLE_OF = Draft202012Validator.VALIDATORS["multipleOf"]


def _format_check(name: str) -> Callable[[str], bool]:
    """Airflow's check of a format; one that its library does not know accepts every text."""
    check, raises = FormatChecker.checkers.get(name, (None, ()))
    if check is None:
        return lambda _text: True
    if name not in _BOUNDED_FORMATS:
        raise NotLinear("schema", f"the format {name} has no limit on its time")

    def is_valid(text: str) -> bool:
        try:
            return bool(check(text))
        except raises:
            return False

    return is_valid


def _draft(schema: Mapping[str, Any]) -> str:
    named = schema.get("$schema", Draft202012Validator.META_SCHEMA["$schema"])
    if not isinstance(named, str) or named.rstrip("#") not in _DRAFTS:
        raise NotLinear("schema", "its $schema names a draft that the engine does not have")
    return named.rstrip("#")


def _refuse_recursion(schema: Mapping[str, Any]) -> None:
    """A schema that refers to itself may be tried in exponentially many ways; see ``anyOf``.

    :raises NotLinear: it does, or a reference leads elsewhere than to a definition or property of it
    """
    leads_to: dict[str, set[str]] = {}
    pending = list(_references(schema))
    while pending:
        reference = pending.pop()
        if reference not in leads_to:
            if not _REFERENCE.fullmatch(reference):
                raise NotLinear("schema", "it refers to something else than a definition or property of it")
            # It is a JSON Pointer (RFC 6901).
            leads_to[reference] = set(_references(_at(schema, reference.split("/")[1:])))
            pending += leads_to[reference]
    try:
        TopologicalSorter(leads_to).prepare()
    except CycleError:
        raise NotLinear("schema", "it refers to itself") from None


def _references(part: Any) -> Iterator[str]:
    """Every ``$ref`` in a part of a schema, those in data included."""
    if isinstance(part, list):
        for each in part:
            yield from _references(each)
    elif isinstance(part, Mapping):
        for keyword, value in part.items():
            if keyword == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)


def _at(schema: Any, steps: Any) -> Any:
    for step in steps:
        try:
            schema = schema[int(step)] if isinstance(schema, list) else schema[step]
        except (LookupError, TypeError, ValueError):
            raise NotLinear("schema", "a reference in it leads nowhere") from None
    return schema
