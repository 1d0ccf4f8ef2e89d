"""Params of a cached DAG: what is the same for each of its runs is computed once."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from airflow.serialization.definitions.notset import is_arg_set
from airflow.serialization.definitions.param import SerializedParam, SerializedParamsDict
from jsonschema import FormatChecker
from jsonschema.exceptions import best_match
from jsonschema.validators import validator_for

from inbound_webhooks.event.cached_attribute import cached_attribute


class _Check:
    """The validator of a schema; all copies of a param share it."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema

    @cached_attribute
    def _validator(self) -> Any:
        validator = validator_for(self._schema)
        validator.check_schema(self._schema)
        return validator(self._schema, format_checker=FormatChecker())

    def error(self, value: Any) -> Exception | None:
        """The error that ``jsonschema.validate`` would raise, None for a valid value."""
        return best_match(self._validator.iter_errors(value))


class CheckedParam(SerializedParam):
    """Airflow's param, except that the validator of its schema is built once instead of for each run.

    ``SerializedParam.resolve`` calls ``jsonschema.validate``, which checks the schema itself before the
    value: a seventh of the time that creating a run takes. Values, errors and their texts are the same.
    """

    def __init__(self, param: SerializedParam) -> None:
        super().__init__(param.value, param.description, param.source)
        self.schema = param.schema
        # Kept over copies through __deepcopy__ below, so a DAG in memory builds each validator once.
        self._check = _Check(self.schema)

    def resolve(self, *, raises: bool = False) -> Any:
        """Like Airflow's: the value, or None if the schema refuses it.

        :raises ValueError: with ``raises``, there is no value
        :raises jsonschema.exceptions.ValidationError: with ``raises``, the schema refuses the value
        :raises jsonschema.exceptions.SchemaError: with ``raises``, the schema is not a JSON Schema
        """
        try:
            # The same exception types and texts as Airflow's, which callers tell apart.
            if not is_arg_set(self.value):
                raise ValueError("No value passed")
            if (error := self._check.error(self.value)) is not None:
                raise error
            return self.value
        # Airflow returns None for any error here, unless it is asked to raise.
        except Exception:
            if raises:
                raise
            return None

    def __deepcopy__(self, memo: dict[int, Any]) -> CheckedParam:
        """A copy with a value of its own and the same validator; Airflow copies params for each run."""
        copied = CheckedParam.__new__(CheckedParam)
        copied.__dict__ = {**self.__dict__, "value": deepcopy(self.value, memo)}
        return copied


def checked_params(params: Mapping[str, Any]) -> SerializedParamsDict:
    """A deserialised DAG's params, each turned into a :class:`CheckedParam`."""
    return SerializedParamsDict({name: CheckedParam(param) for name, param in params.items()})
