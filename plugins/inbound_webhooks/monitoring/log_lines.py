"""The package's loggers: a value from outside never begins a line of its own in a log.

DAG ids, webhook names, URLs and texts of errors come from users, senders and other servers. With a line break
in one of them, they could write lines that look like this package's own.
"""

from __future__ import annotations

import logging
import unicodedata
from typing import Any

_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control and formatting characters, lone surrogates, line and paragraph separators."""


class SourceLines(str):
    """Lines of a traceback: they quote source code and no values, so they may stay several lines."""

    __slots__ = ()


def get_logger(name: str) -> logging.Logger:
    """The logger of a module; arguments of its messages are written on one line."""
    logger = logging.getLogger(name)
    logger.addFilter(_escape_arguments)
    return logger


def one_line(text: str) -> str:
    r"""A text with line breaks, control and formatting characters, and backslashes, escaped as in ``repr``.

    A printable text stays readable: ``Zürich``. ``a\nb`` with a line break becomes ``a\nb`` without one.
    """
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character == "\\" or unicodedata.category(character) in _UNSAFE_CATEGORIES:
        return character.encode("unicode_escape").decode("ascii")
    return character


def _escape_arguments(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(map(_safe, record.args))
    return True


def _safe(value: Any) -> Any:
    # Numbers keep their type, for %d. Everything else is text by the time it is written.
    if value is None or isinstance(value, (int, float, SourceLines)):
        return value
    return one_line(str(value))
