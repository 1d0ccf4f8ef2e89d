"""Params of a DAG whose runs get confs that were checked before."""

from __future__ import annotations

from typing import Any

from airflow.serialization.definitions.param import SerializedParamsDict


class UncheckedParams(SerializedParamsDict):
    """Airflow's params, except that :meth:`validate` takes every value.

    ``create_dagrun`` merges the conf into the DAG's params and calls ``validate``, whose time has no limit: a
    ``pattern`` backtracks, a large list takes seconds, and the dispatcher's transaction stays open meanwhile.
    Its message also quotes the value. So the conf is checked by
    :func:`inbound_webhooks.event.conf.parameter.check_conf` against the same version of the DAG, at the
    endpoint or by the dispatcher before its transaction. Nothing else of ``create_dagrun`` is left out.
    """

    def validate(self) -> dict[str, Any]:
        """The values, unchecked."""
        return {name: self[name] for name in self}
