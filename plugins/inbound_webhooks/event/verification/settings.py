"""Checks the settings of a verification scheme against the fields of its class."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from inbound_webhooks.errors import InvalidDefinition

MAX_SECONDS = 366 * 86_400

# https://www.rfc-editor.org/rfc/rfc9110#name-tokens
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_NAMES_HEADER = ("header", "header_prefix", "timestamp_from", "id_from")
_NEVER_EMPTY = ("header", "header_prefix", "field", "items")


def check_settings(scheme_class: type[Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as arguments of the class, with the lists of JSON as tuples.

    :raises InvalidDefinition: names the setting that is unknown, missing or of the wrong type
    """
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()
    }
    fields = {field.name: field for field in dataclasses.fields(scheme_class)}
    if unknown := sorted(set(values) - set(fields)):
        raise InvalidDefinition("verification", f"it has no setting {', '.join(unknown)}")
    needed = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
    if missing := sorted(needed - set(values)):
        raise InvalidDefinition("verification", f"it needs the setting {', '.join(missing)}")
    hints = get_type_hints(scheme_class)
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise InvalidDefinition("verification", f"{name} is not {_describe(hints[name])}")
        if name in _NEVER_EMPTY and not value:
            raise InvalidDefinition("verification", f"{name} is empty")
        if name in _NAMES_HEADER and value and not _HEADER_NAME.fullmatch(value):
            raise InvalidDefinition("verification", f"{name} is not the name of a header")
    return values


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        return isinstance(value, str) and value in get_args(hint)
    if origin is UnionType:
        return any(_fits(value, option) for option in get_args(hint))
    if origin is tuple:
        return isinstance(value, tuple) and all(isinstance(item, str) and item for item in value)
    if hint is float:
        # A NaN as tolerance would accept every time: no comparison with it is true.
        return type(value) in (int, float) and 0 < value <= MAX_SECONDS
    return type(value) is hint  # not isinstance, for which True is an int


def _describe(hint: Any) -> str:
    origin = get_origin(hint)
    if origin is Literal:
        return f"one of {', '.join(get_args(hint))}"
    if origin is UnionType:
        return " or ".join(_describe(option) for option in get_args(hint))
    if origin is tuple:
        return "a list of texts"
    return {
        str: "a text",
        bool: "true or false",
        float: "a number above 0 and at most a year of seconds",
        NoneType: "null",
    }[hint]
