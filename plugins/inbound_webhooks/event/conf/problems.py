"""What is wrong with a mapping beside a DAG's params, told without a request, and from confs of before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inbound_webhooks.errors import Problem
from inbound_webhooks.event.conf.conversion import convert
from inbound_webhooks.event.conf.parameter import NO_DEFAULT, Parameter
from inbound_webhooks.event.values import Missing


def mapping_problem(parameter: str, message: str, *, breaks: bool = True) -> Problem:
    """One with a line of the mapping; the message says it of the parameter, as in "has no default".

    ``breaks``: every request is refused; otherwise some may be accepted.
    """
    return Problem(message, "mapping", parameter, severity="stops" if breaks else "hint")


def mapping_problems(mapping: Mapping[str, str], params: Mapping[str, Parameter]) -> list[Problem]:
    """What is wrong with a mapping whatever a request brings; of an empty one conf is the whole event."""
    found = [
        mapping_problem(name, what)
        for name, parameter in params.items()
        if (what := _never_fits(parameter, mapping))
    ]
    unknown = sorted(set(mapping) - set(params)) if params else []
    return found + [mapping_problem(name, "is no param of the DAG", breaks=False) for name in unknown]


def _never_fits(parameter: Parameter, mapping: Mapping[str, str]) -> str | None:
    """Why no request could satisfy a parameter: it gets no value, or always a wrong one."""
    if parameter.name in mapping:
        return _refused_constant(parameter, mapping[parameter.name])
    if parameter.default is NO_DEFAULT:
        return "has no default and no expression"
    if reason := parameter.refusal(parameter.default):
        return f"has a default that its schema refuses ({reason})"
    return None


def _refused_constant(parameter: Parameter, source: str) -> str | None:
    """Why a text without any expression can never be right."""
    if "{" in source:
        return None
    reason = parameter.refusal(convert(source, parameter.types))
    return f"is always {source!r}, which its schema refuses ({reason})" if reason else None


def conf_problems(confs: Sequence[Mapping[str, Any]], params: Mapping[str, Parameter]) -> list[Problem]:
    """Which parameters refuse what they were given before, when the DAG's params were others.

    ``confs`` are those of deliveries that were accepted then; their values are not repeated.
    """
    return [problem for parameter in params.values() for problem in _refused_values(parameter, confs)]


def _refused_values(parameter: Parameter, confs: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    refused = sum(_refuses(parameter, conf) for conf in confs)
    if refused:
        types = f" (it wants {' or '.join(sorted(parameter.types))})" if parameter.types else ""
        what = f"would refuse what {_of_all(refused, len(confs))} gave it{types}"
        yield mapping_problem(parameter.name, what, breaks=refused == len(confs))


def _of_all(refused: int, number: int) -> str:
    if number == 1:
        return "the last delivery"
    return f"{'each' if refused == number else refused} of the last {number} deliveries"


def _refuses(parameter: Parameter, conf: Mapping[str, Any]) -> bool:
    value = convert(conf[parameter.name], parameter.types) if parameter.name in conf else NO_DEFAULT
    if value is NO_DEFAULT or isinstance(value, Missing):
        value = parameter.default
    return value is NO_DEFAULT or parameter.refusal(value) is not None
