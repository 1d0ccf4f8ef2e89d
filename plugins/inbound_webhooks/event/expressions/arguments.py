"""Binds the arguments of filters and tests to their signatures, when a webhook is compiled.

The annotation of a parameter says what its argument becomes before the filter runs: ``str`` text, ``int`` a
whole number, ``float`` a number, ``bool`` the truth of the value, ``Any`` the value itself. A parameter that
may be None takes a missing value and null as None.
"""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from inbound_webhooks.errors import ExpressionFailed
from inbound_webhooks.event.expressions.budget import charge
from inbound_webhooks.event.values import Missing, to_text, unwrapped

Converter = Callable[[Any], Any]


class ArgumentsRefused(Exception):
    """The arguments do not fit the signature."""


def bind(
    name: str, function: Callable[..., Any], positional: Sequence[Any], named: Sequence[tuple[str, Any]]
) -> dict[str, Any]:
    """Parameter -> argument; the first positional one is the value that is filtered or tested.

    :raises ArgumentsRefused: too many, too few, or one that is not known
    """
    signature = inspect.signature(function)
    value, *_ = signature.parameters
    keywords = dict(named)
    if len(keywords) < len(named):
        raise ArgumentsRefused(f"{name}: an argument is named twice")
    if value in keywords:
        raise ArgumentsRefused(f"{name}: there is no argument {value!r}; {_usage(name, function)}")
    try:
        return dict(signature.bind(*positional, **keywords).arguments)
    except TypeError as error:
        raise ArgumentsRefused(f"{name}: {error}; {_usage(name, function)}") from None


def arguments_in_words(function: Callable[..., Any]) -> str:
    """The arguments behind the value, such as ``old, new, count=none``; "" where there are none."""
    _, *parameters = inspect.signature(function).parameters.values()
    return ", ".join(map(_in_words, parameters))


def _usage(name: str, function: Callable[..., Any]) -> str:
    written = arguments_in_words(function)
    return f"write {name}({written})" if written else f"{name} has no arguments"


def _in_words(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return parameter.name
    default = parameter.default
    # As it is written in a template.
    written = f'"{default}"' if isinstance(default, str) else str(default).lower()
    return f"{parameter.name}={written}"


@cache
def converters(name: str, function: Callable[..., Any]) -> Mapping[str, Converter]:
    """Parameter -> the converter that its annotation names; cached, for the functions of this package."""
    hints = typing.get_type_hints(function)
    parameters = inspect.signature(function).parameters
    return {parameter: _converter(f"{name}: {parameter}", hints[parameter]) for parameter in parameters}


def _converter(name: str, hint: Any) -> Converter:
    if not isinstance(hint, types.UnionType):
        return _CONVERTERS[hint](name)
    (kind,) = (each for each in typing.get_args(hint) if each is not type(None))
    convert = _CONVERTERS[kind](name)
    return lambda value: None if value is None or isinstance(value, Missing) else convert(value)


def _text(name: str) -> Converter:
    def convert(value: Any) -> str:
        written = to_text(value)
        charge(len(written))
        return written

    return convert


def _whole_number(name: str) -> Converter:
    def convert(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST_ARGUMENT:
            return value
        raise ExpressionFailed(f"{name} is not a whole number below {LARGEST_ARGUMENT}.")

    return convert


def _number(name: str) -> Converter:
    def convert(value: Any) -> float:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return value
        raise ExpressionFailed(f"{name} is not a number.")

    return convert


def _truth(_: str) -> Converter:
    return lambda value: bool(unwrapped(value))


def _unchanged(_: str) -> Converter:
    return lambda value: value


LARGEST_ARGUMENT = 10**9
"""No text and no list is that long."""

_CONVERTERS: dict[Any, Callable[[str], Converter]] = {
    str: _text,
    int: _whole_number,
    float: _number,
    bool: _truth,
    Any: _unchanged,
}
