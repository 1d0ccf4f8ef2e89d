"""What the expressions of a request may compute is limited, in time and in memory; large bodies still fit."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from inbound_webhooks.errors import ExpressionFailed, ParameterRefused
from inbound_webhooks.event.expressions.engine import compile_condition, compile_expression
from tests.infrastructure.environment import CHECKOUT
from tests.unit.event.builders import conf_of, evaluate, sources
from tests.unit.event.worst_templates import BODY_CHARS, GROWN, LETTERS, WORST, many

SECONDS = 10
"""Of the processor; an ordinary machine takes a tenth of it."""

NAMES = (*WORST, "texts that become lists", "a filter")


@pytest.fixture(scope="module")
def taken() -> dict[str, dict[str, Any]]:
    """What each of them took, in a process that has little memory."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.event.worst_templates"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=len(NAMES) * 10 * SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {each["name"]: each for each in json.loads(done.stdout)}


@pytest.mark.parametrize("name", NAMES)
def test_the_worst_template_takes_seconds_and_little_memory(taken, name):
    assert taken[name]["seconds"] < SECONDS


def test_all_expressions_of_a_request_share_what_it_may_compute():
    half = many("body | sha256", 8)
    mapping = {"first": half, "second": half}
    with pytest.raises(ParameterRefused, match="second: The expressions exceed"):
        conf_of(mapping, sources(LETTERS))


def test_each_request_has_its_own_share():
    expression = compile_expression(many("body | sha256", 8))
    assert [expression.evaluate(sources(LETTERS)) for _ in range(3)] == [8, 8, 8]


def test_what_is_too_much_is_so_each_time():
    expression = compile_expression(many(GROWN, 2))
    for _ in range(3):
        with pytest.raises(ExpressionFailed, match="computing budget"):
            expression.evaluate(sources(LETTERS))


def test_a_body_of_the_largest_size_can_be_hashed_filtered_and_written():
    sent = sources({"items": ["a" * 90] * (BODY_CHARS // 100), "type": "push"})
    assert compile_condition('body.type == "push" and body.items | length > 9')(sent)
    mapping = {
        "key": "{{ body | sha256 }}",
        "json": "{{ body | tojson }}",
        "all": "{{ body.items }}",
        "some": "{{ body.items[:3] }}",
    }
    conf = conf_of(mapping, sent)
    assert (len(conf["key"]), len(conf["some"]), len(conf["all"])) == (64, 3, BODY_CHARS // 100)


def test_the_json_in_a_large_field_of_a_form_can_be_read():
    payload = {"items": [f"item {number}" for number in range(50_000)]}
    assert evaluate("{{ body.payload | fromjson }}", {"payload": json.dumps(payload)}) == payload


@pytest.mark.parametrize(
    ("source", "body", "value"),
    [
        ("{{ body[1:] }}", b'"abc"', "bc"),
        ("{{ body[:-1] }}", b"[1, 2, 3]", [1, 2]),
        ("{{ body.text[1:][0] }}", b'{"text": "abc"}', "b"),
        ('{{ body.text[::-1] ~ "-"[0:] }}', b'{"text": "abc"}', "cba-"),
        ("x{{ body.none[1:] }}", b"{}", "x"),
    ],
)
def test_a_part_of_a_value_is_what_python_gives(source, body, value):
    assert evaluate(source, body) == value
