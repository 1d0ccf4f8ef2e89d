"""Faults of a mapping are found without a request, and from the confs of earlier deliveries."""

from __future__ import annotations

import pytest

from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.event.conf.problems import conf_problems, mapping_problems

INTEGER = {"type": "integer"}


def params(schema=INTEGER, **default) -> dict[str, Parameter]:
    return {"number": Parameter("number", schema, **default)}


@pytest.mark.parametrize(
    ("mapping", "default", "messages"),
    [
        ({"number": "${Webhook::Body.a}"}, {}, []),
        ({"number": "7"}, {}, []),
        ({"number": "seven"}, {}, ["is always 'seven', which its schema refuses"]),
        ({}, {}, ["has no default and no expression"]),
        ({}, {"default": 7}, []),
        ({}, {"default": "seven"}, ["has a default that its schema refuses"]),
        ({"number": "7", "other": "1"}, {}, ["is not a param of the DAG"]),
    ],
    ids=str,
)
def test_a_mapping_beside_the_params(mapping, default, messages):
    found = mapping_problems(mapping, params(**default))
    assert [problem.message.partition(" (")[0] for problem in found] == messages


def test_a_dag_without_params_takes_any_mapping():
    assert mapping_problems({"any": "1"}, {}) == []


@pytest.mark.parametrize(
    ("values", "default", "what"),
    [
        ([1, "2", 3.0], {}, None),
        ([1, "two"], {}, "would refuse the value from 1 of the last 2 deliveries (expected integer)"),
        (["two", []], {}, "would refuse the value from each of the last 2 deliveries (expected integer)"),
        ([None], {}, "would refuse the value from the last delivery (expected integer)"),
        ([None], {"default": 7}, None),
        ([], {}, None),
    ],
    ids=str,
)
def test_params_beside_what_they_were_given_before(values, default, what):
    found = conf_problems([{"number": value} for value in values], params(**default))
    assert [problem.message for problem in found] == ([what] if what else [])
    assert [problem.stops for problem in found] == ([1 not in values] if what else [])


def test_a_value_that_was_left_out_takes_the_default():
    assert conf_problems([{}], params(default=7)) == []
    (problem,) = conf_problems([{}], params())
    assert problem.stops


def test_no_problem_repeats_a_value():
    (problem,) = conf_problems([{"number": "canary"}], params())
    assert "canary" not in problem.message
