"""Converts the result of an expression to the type that a param asks for."""

from __future__ import annotations

import math
import re
from typing import Any

from inbound_webhooks.event import json_text
from inbound_webhooks.event.body import Body
from inbound_webhooks.event.conf.parameter import TYPES_OF_CLASS
from inbound_webhooks.event.conf.violations import json_types
from inbound_webhooks.event.expressions.budget import charge_parsing
from inbound_webhooks.event.multidict import SingleValue
from inbound_webhooks.event.values import Missing, to_json_value, to_text

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


_INTEGER = re.compile(r"-?[0-9]{1,4300}")
# At most 300 digits on each side: a longer number would overflow float or take long to convert.
_NUMBER = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,2})?")


def convert(value: Any, types: frozenset[str]) -> Any:
    """Convert the result of an expression to what a parameter of these JSON types accepts.

    Text is converted to integer, number, boolean, object and array if it reads as one; everything is
    converted to string. What cannot be converted is returned unchanged, for the schema to refuse. Null
    counts as missing for a parameter that does not accept null, so that its default applies. So does an empty
    value of a form, query or header for a parameter that does not accept text: it was not filled in.
    """
    # The common case first: the class alone shows that nothing has to be converted.
    known = TYPES_OF_CLASS.get(value.__class__)
    if known is not None and not (types and types.isdisjoint(known)):
        return value
    if isinstance(value, Missing):
        return value
    if isinstance(value, SingleValue) and not value and types and "string" not in types:
        return Missing(name="empty")
    if isinstance(value, Body):
        # The body as received if text is accepted, else its JSON value.
        value = value.text if "string" in types or not value.is_json else value.value
    value = to_json_value(value)
    if value is None:
        return None if not types or "null" in types else Missing(name="null")
    if not types or json_types(value) & types:
        return value
    if "string" in types:
        return to_text(value)
    return _convert_text(value, types) if isinstance(value, str) else value


def _convert_text(written: str, types: frozenset[str]) -> Any:
    if "integer" in types and _INTEGER.fullmatch(written):
        return int(written)
    if "number" in types and _NUMBER.fullmatch(written):
        number = int(written) if _INTEGER.fullmatch(written) else float(written)
        return number if isinstance(number, int) or math.isfinite(number) else written
    if "boolean" in types and written.lower() in _BOOLEANS:
        return _BOOLEANS[written.lower()]
    if types & {"object", "array"}:
        charge_parsing(written)
        try:
            value = json_text.parse(written)
        except json_text.JsonRefused:
            return written
        return value if json_types(value) & types else written
    return written
