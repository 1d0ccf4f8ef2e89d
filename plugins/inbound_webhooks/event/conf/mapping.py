"""Mapping + DAG params -> the conf of a DAG run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inbound_webhooks.errors import ExpressionFailed, InvalidDefinition, ParameterRefused, TemplateRefused
from inbound_webhooks.event import json_text
from inbound_webhooks.event.cached_attribute import cached_attribute
from inbound_webhooks.event.conf.conversion import convert
from inbound_webhooks.event.conf.parameter import NO_TYPES, Parameter, check_conf
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.budget import CURRENT_BUDGET, CompileBudget, charging
from inbound_webhooks.event.expressions.engine import Expression, compile_expression
from inbound_webhooks.event.expressions.syntax import SOURCES, Sources
from inbound_webhooks.event.redaction import without_credentials
from inbound_webhooks.event.sizes import MAX_CONF_ITEMS
from inbound_webhooks.event.values import Missing, charge_reading

MAX_CONF_CHARS = 16 * 1024 * 1024


# As \u0000, a character of the data takes six characters of JSON.
MAX_CHARS_OF_ONE = 6
# Headers and query together; servers limit them.
MAX_HEAD_CHARS = 64 * 1024
# A header takes four characters at least.
MAX_HEAD_VALUES = MAX_HEAD_CHARS // 4


@dataclass(frozen=True)
class ConfMapping:
    """A compiled mapping: parameter name -> expression. If it is empty, conf is the whole event."""

    lines: Mapping[str, Expression] = field(default_factory=dict)

    def conf_text(
        self,
        sources: DataSources,
        params: Mapping[str, Parameter] | None,
        *,
        max_items: int = MAX_CONF_ITEMS,
    ) -> str:
        """The conf as JSON text that PostgreSQL's jsonb accepts; see :meth:`conf`.

        :raises ParameterRefused: also where it is too large, or holds something that JSON or jsonb cannot
        """
        # Paths only copy the data. Where that cannot exceed a limit, nothing is counted.
        copies, body_bytes = len(self.lines or "1"), len(sources.body.content)
        is_short = self._are_paths and copies * (body_bytes + MAX_HEAD_VALUES) <= max_items
        conf = self.conf(sources, params, max_items=None if is_short else max_items)
        most_chars = MAX_CHARS_OF_ONE * copies * (body_bytes + MAX_HEAD_CHARS)
        if self._are_paths and most_chars <= MAX_CONF_CHARS:
            try:
                written = json_text.dump(conf)
            except json_text.JsonRefused:
                return dump_conf(conf)
            if json_text.unstorable_reason(conf, written) is None:
                return written
        with charging(sources.budget):
            return dump_conf(conf)

    @cached_attribute
    def _are_paths(self) -> bool:
        return all(expression.is_path for expression in self.lines.values())

    def conf(
        self,
        sources: DataSources,
        params: Mapping[str, Parameter] | None,
        *,
        max_items: int | None = MAX_CONF_ITEMS,
    ) -> dict[str, Any]:
        """Compute and check the conf; ``params`` is None while the DAG is unknown.

        :param max_items: limit on values in it, those of lists and objects too; None if nothing is to be
            counted
        :raises ParameterRefused: a value violates the DAG's params, or there are too many
        :raises BodyMalformed: an expression needs a body that does not fit its media type
        """
        params = params or {}
        if not self.lines:
            also = sources.credential_names
            # One item instead of the whole list, which each of its runs would get.
            is_item = not isinstance(sources.item, Missing)
            event = {
                **({"item": sources.item} if is_item else {"body": sources.body.value_or_text}),
                "query": without_credentials(sources.query, also),
                "headers": without_credentials(sources.headers, also),
            }
            conf: dict[str, Any] = {"webhook": event}
        else:
            conf = self._values(sources, params)
        if max_items is not None:
            _limit_items(conf, max_items)
        try:
            check_conf(conf, params)
        except ParameterRefused as error:
            error.computed = conf if self.lines else None
            raise
        return conf

    def _values(self, sources: DataSources, params: Mapping[str, Parameter]) -> dict[str, Any]:
        conf: dict[str, Any] = {}
        # Set directly: a context manager would be three more calls in every request.
        token = CURRENT_BUDGET.set(sources.budget)
        try:
            for name, expression in self.lines.items():
                parameter = params.get(name)
                types = NO_TYPES if parameter is None else parameter.types
                try:
                    value = convert(expression.evaluate(sources), types)
                except ExpressionFailed as error:
                    raise ParameterRefused(name, error.message) from None
                # A missing value is left out, so that the param's default applies.
                if not isinstance(value, Missing):
                    conf[name] = value
        finally:
            CURRENT_BUDGET.reset(token)
        return conf


def compile_mapping(
    mapping: Mapping[str, str], budget: CompileBudget | None = None, *, sources: Sources = SOURCES
) -> ConfMapping:
    """Compile each line of a mapping.

    :param budget: what all expressions of the webhook share
    :param sources: what it may read
    :raises InvalidDefinition: an expression does not compile; names the parameter, line and column
    """
    lines: dict[str, Expression] = {}
    budget = budget or CompileBudget()
    for name, source in mapping.items():
        if not name.strip():
            raise InvalidDefinition("mapping", "a parameter's name is empty")
        try:
            lines[name] = compile_expression(source, budget, sources=sources)
        except TemplateRefused as error:
            raise InvalidDefinition("mapping", error.message, name) from None
    return ConfMapping(lines)


def dump_conf(conf: dict[str, Any]) -> str:
    """Write the conf as JSON text that PostgreSQL's jsonb accepts.

    :raises ParameterRefused: it is too large, or holds something that JSON or jsonb cannot
    """
    # Entry by entry, so that the error can name the parameter, and writing stops once the limit is exceeded.
    written: list[str] = []
    room = MAX_CONF_CHARS
    for name, value in conf.items():
        try:
            least_chars = charge_reading(value)
        except ExpressionFailed as error:
            raise ParameterRefused(name, error.message) from None
        entry = "" if least_chars > room else _dump_entry(name, value)
        room -= len(entry)
        if not entry or room < 0:
            raise ParameterRefused(name, f"with it the conf is longer than {MAX_CONF_CHARS} characters")
        written.append(entry)
    return "{" + ",".join(written) + "}"


def _limit_items(conf: dict[str, Any], max_items: int) -> None:
    """Refuse a conf with more values, those inside of lists and objects included."""
    left = max_items
    for name, value in conf.items():
        left -= 1 if value.__class__ in json_text.SCALARS else json_text.count_values(value, left + 1)
        if left < 0:
            raise ParameterRefused(name, f"with it the conf has more than {max_items} values")


def _dump_entry(name: str, value: Any) -> str:
    try:
        entry = f"{json_text.dump(name)}:{json_text.dump(value)}"
    except json_text.JsonRefused as error:
        raise ParameterRefused(name, error.message) from None
    if reason := json_text.unstorable_reason([name, value], entry):
        raise ParameterRefused(name, reason)
    return entry
