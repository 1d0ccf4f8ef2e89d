"""The filters of expressions: bounded, on JSON values, without access to attributes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import math
import re
from collections.abc import Callable
from typing import Any

import pendulum

from inbound_webhooks.errors import ExpressionFailed
from inbound_webhooks.event import json_text
from inbound_webhooks.event.expressions.budget import (
    CALL,
    HASHED,
    ITEM,
    TIME,
    WRITTEN,
    charge,
    charge_parsing,
    digits_cost,
)
from inbound_webhooks.event.expressions.operators import charge_search
from inbound_webhooks.event.values import (
    NOTHING,
    JsonText,
    Missing,
    charge_reading,
    check_length,
    look_up,
    to_json,
    to_json_value,
    to_json_value_at_all_levels,
    to_text,
    unwrapped,
)

MAX_TIME_CHARS = 100
MAX_INDENT = 8
MAX_PRECISION = 300
MAX_TRIMMED_CHARS = 100

# As seconds, this is the year 5138; as milliseconds, 1973. Times from here on are taken as milliseconds.
_MILLISECONDS_FROM = 100_000_000_000


# The annotations are not only for readers: `arguments` converts what a template passes accordingly, and
# charges for the texts. A filter charges for everything else that depends on the size of its values, before
# it does it. Parameters have Jinja's names where Jinja has the filter.


def default(value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    """``default_value`` for a missing value or, with ``boolean``, for a false one."""
    is_missing = isinstance(value, Missing) or (boolean and not unwrapped(value))
    return default_value if is_missing else value


def tojson(value: Any, indent: int | None = None) -> JsonText:
    """The value as JSON, on one line or indented by so many spaces for each level."""
    if not indent:
        return JsonText(to_json(value))
    check_indent(indent)
    value = to_json_value(to_json_value_at_all_levels(value))
    charge_reading(value)
    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, indent=indent)
    parts, total = [], 0
    # Part by part: how long the result becomes depends on the depth of each item.
    for part in encoder.iterencode(value):
        total += len(part)
        check_length(total)
        charge(ITEM + WRITTEN * len(part))
        parts.append(part)
    return JsonText("".join(parts))


def check_indent(indent: int | None = None) -> None:
    """Check the arguments of tojson.

    :raises ExpressionFailed: they fail whatever the value is
    """
    if not 0 <= (indent or 0) <= MAX_INDENT:
        raise ExpressionFailed(f"tojson: indent is not between 0 and {MAX_INDENT}.")


def fromjson(value: str) -> Any:
    """The value of JSON text, such as the field ``payload`` of GitHub's form deliveries."""
    charge_parsing(value)
    try:
        return json_text.parse(value)
    except json_text.JsonRefused as error:
        raise ExpressionFailed(f"fromjson: {error.message}.") from None


def b64encode(value: str) -> str:
    """The text's UTF-8 bytes as Base64."""
    content = _bytes(value)
    check_length(len(content) * 4 // 3)
    charge(WRITTEN * len(content) * 4 // 3)
    return base64.b64encode(content).decode("ascii")


def b64decode(value: str) -> str:
    """Text from Base64 (standard or URL-safe alphabet, padding optional)."""
    charge(2 * WRITTEN * len(value))
    encoded = value.replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise ExpressionFailed("b64decode: this is not Base64 of UTF-8 text.") from None


def sha256(value: str) -> str:
    """SHA-256 of the text, in lower-case hex."""
    content = _bytes(value)
    charge(HASHED * len(content))
    return hashlib.sha256(content).hexdigest()


def hmac_sha256(value: str, key: str) -> str:
    """HMAC-SHA256 of the text, in lower-case hex (RFC 2104)."""
    secret, content = _bytes(key), _bytes(value)
    charge(HASHED * (len(secret) + len(content)))
    return hmac.new(secret, content, hashlib.sha256).hexdigest()


def to_datetime(value: str, format: str | None = None) -> str:
    """A time as ISO 8601 in UTC, from ISO 8601 or from seconds or milliseconds since 1970.

    ``format`` is one of pendulum's (https://pendulum.eustace.io/docs/#tokens). It must include the date:
    filling in today's would make the result depend on the day of the evaluation.
    """
    charge(TIME)
    check_format(format)
    written = value.strip()
    if len(written) > MAX_TIME_CHARS:
        raise ExpressionFailed("to_datetime: this is too long for a time.")
    try:
        moment = _parse_time(written) if format is None else pendulum.from_format(written, format)
    except (ValueError, OverflowError, TypeError, re.error):
        moment = None
    if not isinstance(moment, pendulum.DateTime):
        raise ExpressionFailed("to_datetime: this is not a time in a known format.")
    return moment.in_timezone("UTC").isoformat()


def check_format(format: str | None = None) -> None:
    """Check the arguments of to_datetime.

    :raises ExpressionFailed: they fail whatever the value is
    """
    if format is not None and len(format) > MAX_TIME_CHARS:
        raise ExpressionFailed(f"to_datetime: the format is longer than {MAX_TIME_CHARS} characters.")
    if format is not None and re.search(r"Y|X|x", format) is None:
        raise ExpressionFailed("to_datetime: the format has no year.")


def _parse_time(written: str) -> Any:
    # Eight digits are a date (20241231); as seconds they would be before 1974.
    if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", written) and not re.fullmatch(r"[0-9]{8}", written):
        number = float(written)
        return pendulum.from_timestamp(number / 1000 if number >= _MILLISECONDS_FROM else number)
    # Anchored by a year: pendulum fills in today's date for a bare time.
    return pendulum.parse(written) if re.match(r"[0-9]{4}-?[0-9W]", written) else None


def lower(value: str) -> str:
    """The text in lower case."""
    charge(_CASED * len(value))
    return value.lower()


def upper(value: str) -> str:
    """The text in upper case."""
    charge(_CASED * len(value))
    return value.upper()


def capitalize(value: str) -> str:
    """The text with its first character in upper case and the others in lower case."""
    charge(_CASED * len(value))
    return value.capitalize()


def trim(value: str, chars: str | None = None) -> str:
    """The text without white space at both ends, or without any of these characters."""
    check_trimmed(chars)
    charge(WRITTEN * len(value) + len(value) * len(chars or ""))
    return value.strip(chars)


def check_trimmed(chars: str | None = None) -> None:
    """Check the arguments of trim.

    :raises ExpressionFailed: they fail whatever the value is
    """
    if len(chars or "") > MAX_TRIMMED_CHARS:
        raise ExpressionFailed(f"trim: more than {MAX_TRIMMED_CHARS} characters to remove.")


def truncate(
    value: str, length: int = 255, killwords: bool = False, end: str = "...", leeway: int | None = None
) -> str:
    """The text, shortened to this length with ``end``; as Jinja's, at a space unless ``killwords``."""
    check_truncation(length, killwords, end, leeway)
    if len(value) <= length + (_LEEWAY_CHARS if leeway is None else leeway):
        return value
    charge(WRITTEN * length)
    kept = value[: length - len(end)]
    return (kept if killwords else kept.rsplit(" ", 1)[0]) + end


def check_truncation(
    length: int = 255, killwords: bool = False, end: str = "...", leeway: int | None = None
) -> None:
    """Check the arguments of truncate.

    :raises ExpressionFailed: they fail whatever the value is
    """
    if length < len(end):
        raise ExpressionFailed("truncate: length is less than that of end.")
    if (leeway or 0) < 0:
        raise ExpressionFailed("truncate: leeway is negative.")


def length(value: Any) -> int:
    """The number of characters, items or fields."""
    held = unwrapped(value)
    return len(held) if isinstance(held, (str, list, dict)) else 0


def first(value: Any) -> Any:
    """The first item or character."""
    held = unwrapped(value)
    return held[0] if isinstance(held, (str, list)) and held else NOTHING


def last(value: Any) -> Any:
    """The last item or character."""
    held = unwrapped(value)
    return held[-1] if isinstance(held, (str, list)) and held else NOTHING


def join(value: Any, d: str = "", attribute: str | None = None) -> str:
    """The items of a list, joined to one text; with ``attribute`` this field of each item."""
    held = unwrapped(value)
    items = held if isinstance(held, list) else [held]
    charge((ITEM + ITEM // 4) * len(items))
    if attribute is not None:
        charge(2 * CALL * len(items))
        items = [look_up(item, attribute) for item in items]
    parts = [item if item.__class__ is str else to_text(item) for item in items]
    total = sum(map(len, parts)) + len(d) * max(len(parts) - 1, 0)
    check_length(total)
    charge(WRITTEN * total)
    return d.join(parts)


def split(value: str, separator: str | None = None, maxsplit: int = -1) -> list[str]:
    """The parts of a text between separators, or between white space, as a list."""
    check_separator(separator, maxsplit)
    if separator is None:
        # There is at most one part for every two characters.
        charge((WRITTEN + ITEM // 2) * len(value))
    else:
        charge_search(value, separator)
        charge(ITEM * value.count(separator) + WRITTEN * len(value))
    return value.split(separator, maxsplit)


def check_separator(separator: str | None = None, maxsplit: int = -1) -> None:
    """Check the arguments of split.

    :raises ExpressionFailed: they fail whatever the value is
    """
    if separator == "":
        raise ExpressionFailed("split: the separator is empty.")


def replace(value: str, old: str, new: str, count: int | None = None) -> str:
    """The text with every ``old`` replaced by ``new``, or only the first ``count``."""
    charge_search(value, old)
    times = value.count(old)
    if count is not None and count >= 0:
        times = min(times, count)
    # replace() with an empty text inserts between all characters; the length says what it would make.
    total = len(value) + times * (len(new) - len(old))
    check_length(total)
    charge_search(value, old)
    charge(WRITTEN * total + ITEM * times // 4)
    return value.replace(old, new, times)


def to_string(value: str) -> str:
    """The value as text."""
    return value


def to_int(value: str, default: Any = None) -> Any:
    """The value as a whole number; ``default``, else an error, if it is not one."""
    written = value.strip()
    # An own limit per number of digits: converting longer texts takes quadratic time.
    if re.fullmatch(r"[+-]?[0-9]{1,4300}", written):
        charge(len(written) ** 2 >> 8)
        return int(written)
    return _number_or(default, "int")


def to_float(value: str, default: Any = None) -> Any:
    """The value as a number; ``default``, else an error, if it is not one."""
    written = value.strip()
    if re.fullmatch(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,2})?", written):
        number = float(written)
        return number if math.isfinite(number) else _number_or(default, "float")
    return _number_or(default, "float")


def _number_or(fallback: Any, name: str) -> Any:
    if fallback is None:
        raise ExpressionFailed(f"{name}: this is not a number.")
    return fallback


def absolute(value: float) -> Any:
    """The number without its sign."""
    charge(CALL + (digits_cost(value) if isinstance(value, int) else 0))
    return abs(value)


def rounded(value: float, precision: int = 0, method: str = "common") -> float:
    """The number rounded to so many decimals: ``common``, ``ceil`` or ``floor``."""
    check_rounding(precision, method)
    charge(CALL + (digits_cost(value) if isinstance(value, int) else 0))
    if method == "common":
        return float(round(value, precision))
    shifted = value * 10.0**precision
    return float((math.ceil if method == "ceil" else math.floor)(shifted) / 10.0**precision)


def check_rounding(precision: int = 0, method: str = "common") -> None:
    """Check the arguments of round.

    :raises ExpressionFailed: they fail whatever the value is
    """
    if method not in ("common", "ceil", "floor"):
        raise ExpressionFailed("round: method is not common, ceil or floor.")
    if abs(precision) > MAX_PRECISION:
        raise ExpressionFailed(f"round: precision is not between -{MAX_PRECISION} and {MAX_PRECISION}.")


def _bytes(value: str) -> bytes:
    charge(len(value))
    # A lone surrogate is not a character and has no UTF-8 bytes.
    return value.encode("utf-8", "replace")


_CASED = 16
"""Weight of a character whose case changes: Unicode has rules that look around it and make several of one."""

_LEEWAY_CHARS = 5
"""Jinja's: a text that is this much too long is not shortened."""

CHECKS: dict[str, Callable[..., None]] = {
    "round": check_rounding,
    "split": check_separator,
    "to_datetime": check_format,
    "tojson": check_indent,
    "trim": check_trimmed,
    "truncate": check_truncation,
}
"""Filter -> check of the arguments behind the value, which the filter repeats for computed ones."""


FILTERS: dict[str, Callable[..., Any]] = {
    "abs": absolute,
    "b64decode": b64decode,
    "b64encode": b64encode,
    "capitalize": capitalize,
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
    "round": rounded,
    "sha256": sha256,
    "split": split,
    "string": to_string,
    "to_datetime": to_datetime,
    "tojson": tojson,
    "trim": trim,
    "truncate": truncate,
    "upper": upper,
}
