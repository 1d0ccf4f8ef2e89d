"""Problems between a mapping and a DAG's params, found without a request, and from past confs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inbound_webhooks.errors import Problem, TooBusy
from inbound_webhooks.event.conf.conversion import convert
from inbound_webhooks.event.conf.parameter import LEFT_OUT, NO_DEFAULT, Parameter
from inbound_webhooks.event.values import Missing


def mapping_problem(parameter: str, message: str, *, breaks: bool = True) -> Problem:
    """A problem of one line; ``message`` continues the parameter's name, as in "has no default".

    ``breaks``: no request can succeed; otherwise some may.
    """
    return Problem(message, "mapping", parameter, severity="stops" if breaks else "hint")


def mapping_problems(mapping: Mapping[str, str], params: Mapping[str, Parameter]) -> list[Problem]:
    """Problems of a mapping that are independent of the request; if it is empty, conf is the whole event."""
    found = [
        mapping_problem(name, message)
        for name, parameter in params.items()
        if (message := _unconditional_problem(parameter, mapping))
    ]
    unknown = sorted(set(mapping) - set(params)) if params else []
    return found + [mapping_problem(name, "is not a param of the DAG", breaks=False) for name in unknown]


def _unconditional_problem(parameter: Parameter, mapping: Mapping[str, str]) -> str | None:
    """Why no request can satisfy a parameter: it gets no value, or always an invalid one."""
    if parameter.name in mapping:
        source = mapping[parameter.name]
        if "{" in source:
            return None  # its value depends on the request
        reason = _refusal(parameter, convert(source, parameter.types))
        return f"is always {source!r}, which its schema refuses ({reason})" if reason else None
    if parameter.default is NO_DEFAULT:
        return "has no default and no expression"
    if parameter.default is LEFT_OUT:
        return None
    if reason := _refusal(parameter, parameter.default):
        return f"has a default that its schema refuses ({reason})"
    return None


def conf_problems(confs: Sequence[Mapping[str, Any]], params: Mapping[str, Parameter]) -> list[Problem]:
    """Parameters that would refuse the values that past deliveries gave them.

    ``confs`` are those of deliveries that were accepted with the DAG's former params; the messages do not
    contain their values.
    """
    return [problem for parameter in params.values() for problem in _refused_values(parameter, confs)]


def _refused_values(parameter: Parameter, confs: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    refused = sum(_refuses(parameter, conf) for conf in confs)
    if not refused:
        return
    if len(confs) == 1:
        deliveries = "the last delivery"
    else:
        deliveries = f"{'each' if refused == len(confs) else refused} of the last {len(confs)} deliveries"
    types = f" (expected {' or '.join(sorted(parameter.types))})" if parameter.types else ""
    message = f"would refuse the value from {deliveries}{types}"
    yield mapping_problem(parameter.name, message, breaks=refused == len(confs))


def _refuses(parameter: Parameter, conf: Mapping[str, Any]) -> bool:
    value = convert(conf[parameter.name], parameter.types) if parameter.name in conf else NO_DEFAULT
    # The param's default takes effect, as it would for a run.
    if value is NO_DEFAULT or isinstance(value, Missing):
        value = parameter.default
    if value is LEFT_OUT:
        return False
    return value is NO_DEFAULT or _refusal(parameter, value) is not None


def _refusal(parameter: Parameter, value: Any) -> str | None:
    """Why the parameter refuses a value; None also where that cannot be found out now."""
    try:
        return parameter.refusal(value)
    except TooBusy:
        return None
