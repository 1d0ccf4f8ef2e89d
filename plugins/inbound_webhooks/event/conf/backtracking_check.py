"""The check of a value by the library that Airflow uses: exact, but its time has no limit.

A pattern may backtrack, and a recursive schema may be tried in exponentially many ways. So it runs only where
it can be killed: see ``airflow_bridge/check_process.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jsonschema import FormatChecker
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend, validator_for
from referencing import Registry

from inbound_webhooks.event.conf.violations import is_compared_slowly, sentence


class BacktrackingCheck:
    """Checks values against one schema, as Airflow's ``SerializedParam.resolve`` does.

    :raises jsonschema.exceptions.SchemaError: it is not a JSON Schema
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = dict(schema)
        validator_class = validator_for(self._schema)
        validator_class.check_schema(self._schema)
        # With an empty registry, a $ref that leads out of the schema is an error instead of a request of
        # ours.
        self._validator = _bounded_validator(validator_class)(
            self._schema, format_checker=FormatChecker(), registry=Registry()
        )

    def refusal(self, value: Any) -> str | None:
        """Why the schema refuses a value, or None.

        :raises Exception: one of VALIDATOR_ERRORS: the library cannot tell
        """
        error = best_match(self._validator.iter_errors(value))
        if error is None:
            return None
        return sentence(
            str(error.validator or "falseSchema"),
            error.validator_value,
            error.instance,
            path=error.absolute_path,
            schema=self._schema,
        )


@lru_cache
def _bounded_validator(validator_class: Any) -> Any:
    """The validator with a limit on its quadratic comparison of lists."""
    check_unique = validator_class.VALIDATORS.get("uniqueItems")

    def unique(validator: Any, wanted: Any, items: Any, schema: Any) -> Any:
        if wanted and is_compared_slowly(items):
            yield ValidationError("too many items to compare")
        else:
            yield from check_unique(validator, wanted, items, schema) or ()

    return validator_class if check_unique is None else extend(validator_class, {"uniqueItems": unique})
