"""Params of a DAG in memory: the same answers as Airflow's own, from a schema that is looked through once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.serialization.definitions.notset import NOTSET
from airflow.serialization.definitions.param import SerializedParam, SerializedParamsDict
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from inbound_webhooks.airflow_bridge.params import checked_params
from tests.infrastructure.dags_builder import store_dag

SCHEMAS: list[dict[str, Any]] = [
    {},
    {"type": "string"},
    {"type": ["null", "integer"]},
    {"type": "string", "minLength": 2, "pattern": "^a"},
    {"type": "string", "format": "date"},
    {"type": "integer", "minimum": 2, "multipleOf": 3},
    {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}},
    {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    {"anyOf": [{"type": "string"}, {"type": "integer", "maximum": 3}]},
    {"$defs": {"id": {"type": "integer"}}, "$ref": "#/$defs/id"},
    {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True},
    {"enum": ["a", 1, None]},
    {"const": {"a": 1}},
    {"type": "no such type"},
    {"minLength": "2"},
]
VALUES: list[Any] = [
    None,
    True,
    0,
    3,
    2.5,
    "",
    "a",
    "ab",
    "2026-02-30",
    [],
    ["a", "a"],
    {},
    {"id": 1},
    {"id": "1"},
]


def _outcome(params: SerializedParamsDict, conf: dict[str, Any]) -> Any:
    try:
        return params.deep_merge(conf).validate()
    except ValueError as error:
        return str(error)


def _both(param: SerializedParam, conf: dict[str, Any]) -> tuple[Any, Any]:
    own = SerializedParamsDict({"value": param})
    return _outcome(checked_params(own), conf), _outcome(own, conf)


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_values_and_refusals_are_airflows_own(schema: dict[str, Any]) -> None:
    for default in (NOTSET, "a", 6):
        for value in VALUES:
            param = SerializedParam(default, description="A value", source="dag", **schema)
            ours, airflows = _both(param, {"value": value, "unknown": value})
            assert ours == airflows
            ours, airflows = _both(param, {})
            assert ours == airflows


@given(
    schema=st.sampled_from(SCHEMAS),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
)
def test_any_value_is_judged_as_airflow_does(schema: dict[str, Any], value: Any) -> None:
    ours, airflows = _both(SerializedParam(**schema), {"value": value})
    assert repr(ours) == repr(airflows)  # as text: NaN is not equal to itself


def test_what_the_interface_shows_is_as_it_was() -> None:
    own = SerializedParamsDict(
        {
            "good": SerializedParam("a", description="Text", source="dag", type="string", title="Good"),
            "bad": SerializedParam("a", type="integer"),
            "missing": SerializedParam(type="integer"),
        }
    )
    checked = checked_params(own)
    assert checked == own
    for name in own:
        assert checked.get_param(name).dump() == own.get_param(name).dump()


def test_one_run_does_not_change_the_next_ones_params() -> None:
    checked = checked_params(
        SerializedParamsDict({"ids": SerializedParam([1], type="array"), "day": SerializedParam("Monday")})
    )
    merged = checked.deep_merge({"day": "Friday"})
    merged["ids"].append(2)
    assert merged.validate() == {"ids": [1, 2], "day": "Friday"}
    assert checked.deep_merge({}).validate() == {"ids": [1], "day": "Monday"}


def test_a_dag_that_is_held_has_them(database) -> None:
    from inbound_webhooks.airflow_bridge.dag_cache import DagCache
    from inbound_webhooks.airflow_bridge.params import CheckedParam
    from inbound_webhooks.storage.database import autocommit

    store_dag("orders", params={"number": {"type": "integer"}})
    held = DagCache(recheck_seconds=1).get("orders", autocommit)
    assert held is not None
    assert isinstance(held.dag.params.get_param("number"), CheckedParam)


def test_a_schema_is_looked_through_once_for_all_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_through = []
    own = Draft202012Validator.check_schema

    def noted(schema: Any, *args: Any, **options: Any) -> None:
        looked_through.append(schema)
        own(schema, *args, **options)

    monkeypatch.setattr(Draft202012Validator, "check_schema", noted)
    checked = checked_params(SerializedParamsDict({"value": SerializedParam(type="integer")}))
    for value in range(3):
        assert checked.deep_merge({"value": value}).validate() == {"value": value}
    assert looked_through == [{"type": "integer"}]
