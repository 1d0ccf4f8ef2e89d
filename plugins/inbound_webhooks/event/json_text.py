"""JSON that everything downstream can store: RFC 8259, finite numbers, no NUL, limited depth."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from inbound_webhooks.errors import WebhookError

MAX_DEPTH = 100
"""Levels of nesting. Payloads of vendors have fewer than 20; Python's parser fails near 1,000."""

COLLECTED_CHARS = 32 * 1024
"""Longer texts are parsed without Python's cyclic garbage collector."""

MAX_INTEGER_DIGITS = 4_300
"""Python's own limit for converting text to int (sys.set_int_max_str_digits)."""


class JsonRefused(WebhookError, ValueError):
    """The text or value is not JSON that can be stored."""


def parse(text: str | bytes) -> Any:
    """Parse JSON text, or bytes in UTF-8; the last one of repeated keys wins.

    :raises JsonRefused: it is not JSON, or has a number or depth that nothing downstream can hold
    """
    # A parser makes no cycles, but the collector would walk through all values again for each few thousand
    # new ones: five sixths of the time of a long text, in which no other thread runs.
    pauses_collector = len(text) > COLLECTED_CHARS and gc.isenabled()
    if pauses_collector:
        gc.disable()
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        # msgspec accepts nothing that Python's parser refuses, and Python's messages say what is wrong where.
        return _parse_slowly(text if isinstance(text, str) else text.decode())
    finally:
        if pauses_collector:
            gc.enable()
    brackets = ("[", "{") if isinstance(text, str) else (b"[", b"{")
    # A text is nested no deeper than it has opening brackets, and counting them costs next to nothing.
    if sum(map(text.count, brackets)) > MAX_DEPTH:  # type: ignore[arg-type]
        _refuse_depth(value)
    return value


def _parse_slowly(text: str) -> Any:
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise JsonRefused(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise JsonRefused(f"it is nested deeper than {MAX_DEPTH} levels") from None
    _refuse_depth(value)
    return value


def dump(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """Write a value as compact JSON, with non-ASCII characters unescaped.

    :param default: converts objects that JSON does not have
    :raises JsonRefused: a number is not finite or too long, or the value is nested too deeply
    """
    if default is None:
        try:
            fast = msgspec.json.encode(value)
        except (msgspec.MsgspecError, TypeError, UnicodeError, ValueError, RecursionError):
            fast = b"null"
        # null is written for None, but also for NaN and infinity, which JSON does not have.
        if b"null" not in fast:
            return fast.decode()
    try:
        return (_ENCODER if default is None else _new_encoder(default)).encode(value)
    except JsonRefused:
        raise
    except (ValueError, RecursionError):
        raise JsonRefused("a number in it is not finite or too long, or it is nested too deeply") from None


def least_chars(value: Any, known: dict[int, int] | None = None) -> int:
    """A lower bound for the length of a value's JSON.

    Parts are counted as often as they are referenced: an expression can build a value of gigabytes out of
    references to one string, and this finds out without writing it.
    """
    if isinstance(value, str):
        return len(value)
    if not isinstance(value, (dict, list, tuple)):
        return 1
    known = {} if known is None else known
    # Parts that occur several times are measured once, but counted each time.
    if id(value) not in known:
        parts = (*value, *value.values()) if isinstance(value, dict) else value
        chars = 0
        for part in parts:
            if part.__class__ is str:
                chars += len(part)
            elif part.__class__ in _ONE_CHAR:
                chars += 1
            else:
                chars += least_chars(part, known)
        known[id(value)] = chars
    return known[id(value)]


def count_values(value: Any, limit: int) -> int:
    """Values in a value, itself and those inside of lists and objects included, up to a limit.

    A part counts as often as it is referenced, and counting stops at the limit.
    """
    count, pending = 1, [value]
    while pending and count < limit:
        parent = pending.pop()
        if isinstance(parent, (dict, list, tuple)):
            # Before its parts are looked at: of a list that is too long, none of them is.
            count += len(parent)
            if count < limit:
                parts = parent.values() if isinstance(parent, dict) else parent
                pending += [part for part in parts if part.__class__ not in SCALARS]
    return min(count, limit)


def unstorable_reason(value: Any, text: str) -> str | None:
    """Why PostgreSQL's jsonb would refuse a value, or None; ``text`` is the value's JSON.

    NUL and lone surrogates pass Python's json but not jsonb
    (https://www.postgresql.org/docs/current/datatype-json.html).
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return "it contains a lone surrogate, which is not a character"
    # NUL is written as \u0000, but so is a backslash followed by "u0000".
    if "\\u0000" in text and any("\0" in part for part in _strings(value)):
        return "it contains a NUL character, which PostgreSQL cannot store"
    return None


def text_problem(value: Any) -> str | None:
    """Why a text column could not store one of a value's texts, keys included, or None."""
    for part in _strings(value):
        if "\0" in part:
            return "it contains a NUL character, which PostgreSQL cannot store"
        if any("\ud800" <= character <= "\udfff" for character in part):
            return "it contains a lone surrogate, which is not a character"
    return None


_ONE_CHAR = frozenset({int, float, bool, type(None)})

SCALARS = _ONE_CHAR | {str}
"""Classes of values without parts."""


def _new_encoder(default: Callable[[Any], Any] | None) -> json.JSONEncoder:
    return json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default)


_ENCODER = _new_encoder(None)


def _refuse_constant(name: str) -> Any:
    raise JsonRefused(f"{name} is not JSON")


def _finite_float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise JsonRefused("a number is too large")
    return number


def _bounded_int(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_INTEGER_DIGITS:
        raise JsonRefused(f"a number has more than {MAX_INTEGER_DIGITS} digits")
    return int(digits)


_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite_float, parse_int=_bounded_int
)


def _refuse_depth(value: Any) -> None:
    # Level by level instead of recursively: deep values must not exhaust Python's stack here. The parsers
    # make no subclasses, and comparing classes takes a third of the time of calling a function.
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if parent.__class__ is dict else parent)
            if child.__class__ is dict or child.__class__ is list
        ]
        if not level:
            return
    raise JsonRefused(f"it is nested deeper than {MAX_DEPTH} levels")


def _strings(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, str):
            yield current
        elif isinstance(current, dict):
            pending.extend(current.keys())
            pending.extend(current.values())
        elif isinstance(current, (list, tuple)):
            pending.extend(current)
