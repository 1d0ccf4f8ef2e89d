"""The filters of expressions: bounded, on JSON values, without access to attributes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import re
from collections.abc import Callable
from typing import Any

import pendulum

from inbound_webhooks.errors import ExpressionFailed
from inbound_webhooks.event import json_text
from inbound_webhooks.event.expressions.budget import ITEM, PARSED, charge
from inbound_webhooks.event.values import JsonText, Missing, check_length, to_json, to_json_value, to_text

MAX_TIME_CHARS = 100

# As seconds, this is the year 5138; as milliseconds, 1973. Times from here on are taken as milliseconds.
_MILLISECONDS_FROM = 100_000_000_000


def default(value: Any, fallback: Any = "", boolean: bool = False) -> Any:
    """``fallback`` for a missing value or, with ``boolean``, for a false one."""
    return fallback if isinstance(value, Missing) or (boolean and not to_json_value(value)) else value


def tojson(value: Any) -> JsonText:
    """The value as JSON."""
    return JsonText(to_json(value))


def fromjson(value: Any) -> Any:
    """The value of JSON text, such as the field ``payload`` of GitHub's form deliveries."""
    written = to_text(value)
    charge(PARSED * len(written))
    try:
        return json_text.parse(written)
    except json_text.JsonRefused as error:
        raise ExpressionFailed(f"fromjson: {error.message}.") from None


def b64encode(value: Any) -> str:
    """The text's UTF-8 bytes as Base64."""
    content = _bytes(value)
    check_length(len(content) * 4 // 3)
    return base64.b64encode(content).decode("ascii")


def b64decode(value: Any) -> str:
    """Text from Base64 (standard or URL-safe alphabet, padding optional)."""
    encoded = to_text(value).replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise ExpressionFailed("b64decode: this is not Base64 of UTF-8 text.") from None


def sha256(value: Any) -> str:
    """SHA-256 of the text, in lower-case hex."""
    return hashlib.sha256(_bytes(value)).hexdigest()


def hmac_sha256(value: Any, key: Any) -> str:
    """HMAC-SHA256 of the text, in lower-case hex (RFC 2104)."""
    return hmac.new(_bytes(key), _bytes(value), hashlib.sha256).hexdigest()


def to_datetime(value: Any, format: str | None = None) -> str:
    """A time as ISO 8601 in UTC, from ISO 8601 or from seconds or milliseconds since 1970.

    ``format`` is one of pendulum's (https://pendulum.eustace.io/docs/#tokens). It must include the date:
    filling in today's would make the result depend on the day of the evaluation.
    """
    written = to_text(value).strip()
    if len(written) > MAX_TIME_CHARS or len(format or "") > MAX_TIME_CHARS:
        raise ExpressionFailed("to_datetime: this is too long for a time.")
    try:
        if format is None:
            moment = _parse_time(written)
        else:
            moment = pendulum.from_format(written, format) if re.search(r"Y|X|x", format) else None
    except (ValueError, OverflowError, TypeError, re.error):
        moment = None
    if not isinstance(moment, pendulum.DateTime):
        raise ExpressionFailed("to_datetime: this is not a time in a known format.")
    return moment.in_timezone("UTC").isoformat()


def _parse_time(written: str) -> Any:
    # Eight digits are a date (20241231); as seconds they would be before 1974.
    if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", written) and not re.fullmatch(r"[0-9]{8}", written):
        number = float(written)
        return pendulum.from_timestamp(number / 1000 if number >= _MILLISECONDS_FROM else number)
    # Anchored by a year: pendulum fills in today's date for a bare time.
    return pendulum.parse(written) if re.match(r"[0-9]{4}-?[0-9W]", written) else None


def lower(value: Any) -> str:
    """The text in lower case."""
    return to_text(value).lower()


def upper(value: Any) -> str:
    """The text in upper case."""
    return to_text(value).upper()


def trim(value: Any) -> str:
    """The text without surrounding white space."""
    return to_text(value).strip()


def length(value: Any) -> int:
    """The number of characters, items or fields."""
    held = to_json_value(value)
    return len(held) if isinstance(held, (str, list, dict)) else 0


def first(value: Any) -> Any:
    """The first item or character."""
    held = to_json_value(value)
    return held[0] if isinstance(held, (str, list)) and held else Missing(name="first")


def last(value: Any) -> Any:
    """The last item or character."""
    held = to_json_value(value)
    return held[-1] if isinstance(held, (str, list)) and held else Missing(name="last")


def join(value: Any, separator: Any = "") -> str:
    """The items of a list, joined to one text."""
    held = to_json_value(value)
    parts = [to_text(item) for item in held] if isinstance(held, list) else [to_text(held)]
    between = to_text(separator)
    check_length(sum(map(len, parts)) + len(between) * len(parts))
    return between.join(parts)


def split(value: Any, separator: Any) -> list[str]:
    """The parts of a text between separators, as a list."""
    whole, between = to_text(value), to_text(separator)
    if not between:
        raise ExpressionFailed("split: the separator is empty.")
    charge(ITEM * whole.count(between))
    return whole.split(between)


def replace(value: Any, old: Any, new: Any) -> str:
    """The text with every ``old`` replaced by ``new``."""
    whole, before, after = to_text(value), to_text(old), to_text(new)
    # replace() with an empty text inserts between all characters; the length says what it would make.
    times = whole.count(before)
    check_length(len(whole) + times * (len(after) - len(before)))
    return whole.replace(before, after)


def to_string(value: Any) -> str:
    """The value as text."""
    return to_text(value)


def to_int(value: Any, fallback: Any = None) -> Any:
    """The value as a whole number; ``fallback``, else an error, if it is not one."""
    written = to_text(value).strip()
    # An own limit per number of digits: converting longer texts takes quadratic time.
    if re.fullmatch(r"[+-]?[0-9]{1,4300}", written):
        return int(written)
    return _number_or(fallback, "int")


def to_float(value: Any, fallback: Any = None) -> Any:
    """The value as a number; ``fallback``, else an error, if it is not one."""
    written = to_text(value).strip()
    if re.fullmatch(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,2})?", written):
        number = float(written)
        return number if math.isfinite(number) else _number_or(fallback, "float")
    return _number_or(fallback, "float")


def _number_or(fallback: Any, name: str) -> Any:
    if fallback is None:
        raise ExpressionFailed(f"{name}: this is not a number.")
    return fallback


def _bytes(value: Any) -> bytes:
    # A lone surrogate is not a character and has no UTF-8 bytes.
    return to_text(value).encode("utf-8", "replace")


FILTERS: dict[str, Callable[..., Any]] = {
    "b64decode": b64decode,
    "b64encode": b64encode,
    "count": length,
    "d": default,
    "default": default,
    "first": first,
    "float": to_float,
    "fromjson": fromjson,
    "hmac_sha256": hmac_sha256,
    "int": to_int,
    "join": join,
    "last": last,
    "length": length,
    "lower": lower,
    "replace": replace,
    "sha256": sha256,
    "split": split,
    "string": to_string,
    "to_datetime": to_datetime,
    "tojson": tojson,
    "trim": trim,
    "upper": upper,
}
