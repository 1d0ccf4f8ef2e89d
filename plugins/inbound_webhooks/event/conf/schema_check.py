"""Checks values against a schema: in linear time where possible, else by a check that can be killed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

from inbound_webhooks.event.cached_attribute import cached_attribute
from inbound_webhooks.event.conf.backtracking_check import BacktrackingCheck
from inbound_webhooks.event.conf.linear_check import LinearCheck
from inbound_webhooks.event.conf.patterns import NotLinear
from inbound_webhooks.event.conf.violations import VALIDATOR_ERRORS, unchecked

NOT_A_SCHEMA = "the DAG's schema for it is not a JSON Schema"

SlowCheck = Callable[[Mapping[str, Any], Any], "str | None"]
"""Checks a value (second) against a schema in limited time: why it is refused, or None."""


class SchemaCheck:
    """A param's schema, and how its values are checked; thread-safe."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = dict(schema)

    @cached_attribute
    def linear(self) -> LinearCheck | NotLinear | None:
        """The check in linear time, why there is none, or None where the schema is not a JSON Schema."""
        try:
            validator_for(self.schema).check_schema(self.schema)
            return LinearCheck(self.schema)
        except NotLinear as error:
            return error
        except (SchemaError, *VALIDATOR_ERRORS):
            return None

    def refusal(self, value: Any, check_slowly: SlowCheck) -> str | None:
        """Why the schema refuses a value, or None."""
        linear = self.linear
        if linear is None:
            return NOT_A_SCHEMA
        if isinstance(linear, NotLinear) or linear.is_too_long(value):
            return check_slowly(self.schema, value)
        return _guarded(linear, value)

    def prepare(self) -> None:
        """Compile what :meth:`unlimited_refusal` needs."""
        if isinstance(self.linear, NotLinear):
            _ = self._backtracking

    def unlimited_refusal(self, value: Any) -> str | None:
        """The same, in this thread and however long it takes."""
        if isinstance(self.linear, LinearCheck):
            return _guarded(self.linear, value)
        return NOT_A_SCHEMA if self.linear is None else _guarded(self._backtracking, value)

    @cached_attribute
    def _backtracking(self) -> BacktrackingCheck:
        return BacktrackingCheck(self.schema)


def _guarded(check: LinearCheck | BacktrackingCheck, value: Any) -> str | None:
    try:
        return check.refusal(value)
    except VALIDATOR_ERRORS as error:
        return unchecked(error)
