"""Translates Python's regular expressions into those of an engine that takes linear time.

Airflow checks a param's ``pattern`` with ``re.search``, which backtracks: 29 characters can take a minute.
The Rust engine (https://docs.rs/regex) never backtracks, but its classes and anchors mean something else, so
each construct is written out as the set of characters that Python means. A construct that the engine lacks,
or for which the two may differ, is refused instead of approximated.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

if sys.version_info >= (3, 11):
    from re import _parser as parser  # type: ignore[attr-defined]  # re.sre_parse under its new name
else:
    import sre_parse as parser

MAX_PATTERN_CHARS = 2_000
"""Python's parser of patterns is slow and recursive."""

_HARMLESS_FLAGS = re.UNICODE | re.VERBOSE
_SURROGATES = range(0xD800, 0xE000)

# str.isspace, str.isdecimal, and str.isalnum with the underscore: what re means by \s, \d and \w. A class
# cannot be negated inside of another one, so their complements are written out.
_SPACE = (
    r"\x{9}-\x{D}\x{1C}-\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"
)
_NOT_SPACE = (
    r"\x{0}-\x{8}\x{E}-\x{1B}\x{21}-\x{84}\x{86}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027}"
    r"\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{10FFFF}"
)
_NOT_WORD = (
    r"\p{M}\p{Pd}\p{Ps}\p{Pe}\p{Pi}\p{Pf}\p{Po}\p{S}\p{Z}\p{C}"
    # Pc, the connectors, without the underscore
    r"\x{203F}\x{2040}\x{2054}\x{FE33}\x{FE34}\x{FE4D}-\x{FE4F}\x{FF3F}"
)
_CATEGORIES = {
    "CATEGORY_DIGIT": r"\p{Nd}",
    "CATEGORY_NOT_DIGIT": r"\P{Nd}",
    "CATEGORY_SPACE": _SPACE,
    "CATEGORY_NOT_SPACE": _NOT_SPACE,
    "CATEGORY_WORD": r"\p{L}\p{N}\x{5F}",
    "CATEGORY_NOT_WORD": _NOT_WORD,
}
_ANCHORS = {"AT_BEGINNING": "^", "AT_BEGINNING_STRING": "^", "AT_END_STRING": r"\z"}

_REASONS = {
    "ASSERT": "it looks ahead or behind",
    "ASSERT_NOT": "it looks ahead or behind",
    "GROUPREF": "it refers back to a group",
    "GROUPREF_EXISTS": "it refers back to a group",
}


class NotLinear(Exception):
    """The linear engine cannot check this as Airflow does.

    ``part`` is "pattern" or "schema"; ``reason`` says of it why, as in "it looks ahead or behind".
    """

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(f"{part}: {reason}")
        self.part = part
        self.reason = reason


def linear_pattern(pattern: str) -> str:
    """A pattern for the Rust engine that matches where ``re.search`` with this one does.

    :raises NotLinear: there is none
    """
    if len(pattern) > MAX_PATTERN_CHARS:
        raise _not_linear(f"it is longer than {MAX_PATTERN_CHARS} characters")
    try:
        parsed = parse_pattern(pattern)
    except (re.error, ArithmeticError, RecursionError):
        raise _not_linear("it is not a regular expression of Python") from None
    if parsed.state.flags & ~_HARMLESS_FLAGS:
        raise _not_linear("it sets flags")
    return _sequence(parsed, is_last=True)


def parse_pattern(pattern: str) -> Any:
    """The syntax tree of a pattern, as Python's library parses it.

    :raises re.error: it is none of Python's
    """
    return parser.parse(pattern)


def _sequence(items: Sequence[tuple[Any, Any]], *, is_last: bool) -> str:
    """``is_last``: nothing of the pattern follows these items."""
    last = len(items) - 1
    return "".join(
        _item(code.name, value, is_last=is_last and place == last)
        for place, (code, value) in enumerate(items)
    )


def _item(name: str, value: Any, *, is_last: bool) -> str:
    if name not in _ITEMS:
        raise _not_linear(_REASONS.get(name, "it uses a construct that only a backtracking engine has"))
    return _ITEMS[name](value, is_last)


def _class(members: Sequence[tuple[Any, Any]], _is_last: bool) -> str:
    return f"[{''.join(_member(code.name, value) for code, value in members)}]"


def _member(name: str, value: Any) -> str:
    if name == "NEGATE":
        return "^"
    if name == "LITERAL":
        return _character(value)
    if name == "RANGE":
        return f"{_character(value[0])}-{_character(value[1])}"
    return _CATEGORIES[value.name]


def _repeat(value: Any, _is_last: bool) -> str:
    # Lazy or greedy makes no difference to whether there is a match.
    least, most, items = value
    upper = "" if most == parser.MAXREPEAT else int(most)
    return f"(?:{_sequence(items, is_last=False)}){{{int(least)},{upper}}}"


def _group(value: Any, is_last: bool) -> str:
    _, added_flags, removed_flags, items = value
    if added_flags or removed_flags:
        raise _not_linear("it sets flags")
    return f"(?:{_sequence(items, is_last=is_last)})"


def _anchor(value: Any, is_last: bool) -> str:
    # "$" matches before a line feed at the end, too. Elsewhere it would need to look ahead.
    if value.name == "AT_END" and is_last:
        return r"\x{A}?\z"
    if value.name not in _ANCHORS:
        raise _not_linear("it looks at the boundary of a word or line")
    return _ANCHORS[value.name]


def _character(code: int) -> str:
    if code in _SURROGATES:
        raise _not_linear("it contains a lone surrogate")
    return f"\\x{{{code:X}}}"


def _not_linear(reason: str) -> NotLinear:
    return NotLinear("pattern", reason)


_ITEMS: dict[str, Callable[[Any, bool], str]] = {
    "LITERAL": lambda value, _: _character(value),
    "NOT_LITERAL": lambda value, _: f"[^{_character(value)}]",
    "ANY": lambda _value, _: r"[^\x{A}]",
    "IN": _class,
    "BRANCH": lambda value, is_last: (
        f"(?:{'|'.join(_sequence(branch, is_last=is_last) for branch in value[1])})"
    ),
    "MAX_REPEAT": _repeat,
    "MIN_REPEAT": _repeat,
    "SUBPATTERN": _group,
    "AT": _anchor,
}
