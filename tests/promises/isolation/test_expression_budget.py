"""All expressions of a webhook share one budget to be compiled and one to be evaluated, and none is free.

What a request costs is measured as time of the processor in this thread. The limits are those of a machine on
which a loop of a million additions takes REFERENCE_SECONDS; on a slower one they grow with that loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import pytest

from inbound_webhooks.errors import ContentRefused, DefinitionError, TemplateRefused
from inbound_webhooks.event.conf.mapping import compile_mapping
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.budget import (
    MAX_WORK,
    Budget,
    CompileBudget,
    ExpressionLimits,
)
from inbound_webhooks.event.expressions.engine import Expression, compile_expression
from inbound_webhooks.event.expressions.filters import FILTERS
from inbound_webhooks.event.expressions.operators import COMPARISONS
from inbound_webhooks.event.expressions.value_tests import TESTS
from inbound_webhooks.event.judge import Outcome, decide
from inbound_webhooks.event.response import CONTENT_TYPES, compile_response
from inbound_webhooks.event.rules import compile_rules
from inbound_webhooks.records.webhook import Draft
from tests.unit.event.builders import request, sources

REFERENCE_SECONDS = 0.045
REQUEST_SECONDS = 0.25
COMPILE_SECONDS = 0.25
NANOSECONDS_PER_UNIT = 4
WORK = MAX_WORK // 16
"""Enough to measure by; the whole budget would take sixteen times as long, for each expression and body."""

MEASURABLE_UNITS = WORK // 4

CHARS = 128 * 1024
FIELDS = "&".join(f"f{number}={number}" for number in range(4_000)) + "&t=" + "a&t=" * 4_000

BODIES: dict[str, dict[str, Any]] = {
    "a text": {"x": "a" * (CHARS // 2), "y": "a" * (CHARS // 2 - 1) + "b"},
    "a text that is not ASCII": {"x": "ß" * (CHARS // 12), "y": "ß" * (CHARS // 12)},
    "quotes": {"x": '"\\' * (CHARS // 8), "y": '"'},
    "words": {"x": "a " * (CHARS // 4), "y": " "},
    "digits": {"x": "9" * 4_300, "y": "2026-01-01T00:00:00Z"},
    "numbers": {"x": [1] * (CHARS // 4), "y": [1] * (CHARS // 4)},
    "large numbers": {"x": [10**4_299] * 200, "y": 10**4_299},
    "lists": {"x": [[]] * (CHARS // 8), "y": [[]] * (CHARS // 8)},
    "nested lists": {"x": [[[[1]]]] * (CHARS // 30), "y": [[[[1]]]] * (CHARS // 30)},
    "objects": {"x": [{"a": 1}] * (CHARS // 20), "y": {f"k{n}": n for n in range(CHARS // 40)}},
}

FILTER_ARGUMENTS: dict[str, list[str]] = {
    "default": ["", "(body.y)", "(body.y, true)"],
    "hmac_sha256": ["(body.y)"],
    "join": ["", "(body.y)", "(attribute='a')"],
    "replace": ["('a', 'bb')", "('', body.y)", "(body.y, '')", "(body.y, body.x)", "('a', 'b', 3)"],
    "round": ["", "(2)", "(2, 'floor')"],
    "split": ["", "('a')", "(body.y)", "(' ', 3)"],
    "to_datetime": ["", "('YYYY-MM-DDTHH:mm:ssZ')"],
    "tojson": ["", "(8)"],
    "trim": ["", "('a')", "(body.y)"],
    "truncate": ["(9)", "(1000000)"],
}
TEST_ARGUMENTS: dict[str, list[str]] = {"in": ["(body.y)"], "eq": ["(body.y)"], "ne": ["(body.y)"]}
SIGNS = {
    "eq": "==",
    "ne": "!=",
    "gt": ">",
    "gteq": ">=",
    "lt": "<",
    "lteq": "<=",
    "in": "in",
    "notin": "not in",
}
OPERATIONS = [
    *(f"body.x {SIGNS[name]} body.y" for name in COMPARISONS),
    *(f"body.x {sign} body.y" for sign in ("+", "-", "/", "//", "~", "and", "or")),
    *("-body.x", "+body.x", "not body.x", "body.x[1:]", "body.x[::-1]", "body.x[body.y]", "headers[body.x]"),
    *(
        "[body.x, body.x]",
        "{'a': body.x}",
        "{body.y: 1}",
        "body.x if body.y else 1",
        "body.x.a.b",
        "body.x[0]",
    ),
    *("body.y in [body.x, body.x]", "[body.x, body] == [body.y, body]", "query == query", "'t' in query"),
    *(
        "query | length",
        "query.t | length",
        "query.t | join",
        "query | tojson",
        "headers | tojson",
        "body | length",
    ),
]
EXPRESSIONS = [
    *(f"body.x | {name}{rest}" for name in FILTERS for rest in FILTER_ARGUMENTS.get(name, [""])),
    *(f"body.x is {name}{rest}" for name in TESTS for rest in TEST_ARGUMENTS.get(name, [""])),
    *OPERATIONS,
]


ATTEMPTS = 10
PAUSE_SECONDS = 0.2
"""Other processes and the garbage collector make a measurement too long, never too short: later attempts come
after longer pauses."""


def slowness() -> float:
    """How much slower than the reference this machine is at the moment; at least 1."""
    return max(1.0, loop_seconds() / REFERENCE_SECONDS)


@cache
def usual_slowness() -> float:
    """What is good enough for a first attempt; other processes change it."""
    return slowness()


def loop_seconds() -> float:
    started, total = time.thread_time(), 0
    for number in range(1_000_000):
        total += number
    return time.thread_time() - started


def least_seconds(work: Callable[[], object], limit: float) -> float:
    """CPU seconds that a call takes: the first attempt below the limit, else the least of all."""
    least = float("inf")
    for attempt in range(ATTEMPTS):
        time.sleep(PAUSE_SECONDS * attempt)
        slower = slowness() if attempt else usual_slowness()
        started = time.thread_time()
        work()
        least = min(least, (time.thread_time() - started) / slower)
        if least < limit:
            break
    return least


@cache
def compiled(expression: str) -> Expression:
    """It stands in a list many times, as it may in a webhook."""
    return compile_expression("{{ [" + ", ".join([f"({expression})"] * 100) + "] | length }}")


@cache
def received(kind: str) -> DataSources:
    """A request, parsed."""
    made = sources(BODIES[kind], query=FIELDS)
    assert made.body.value
    assert made.query.lists
    return made


def cost(expression: Expression, made: DataSources, *, slower: float) -> tuple[float, int]:
    """Seconds of the processor, and units of the budget, that one evaluation takes."""
    made.budget = Budget(WORK)
    started = time.thread_time()
    with suppress(ContentRefused):
        expression.evaluate(made)
    return (time.thread_time() - started) / slower, WORK - made.budget.left


@pytest.mark.parametrize("kind", BODIES)
def test_no_filter_test_or_operator_works_without_being_charged(kind):
    made, wrong = received(kind), []
    for source in EXPRESSIONS:
        for attempt in range(ATTEMPTS):
            time.sleep(PAUSE_SECONDS * attempt)
            slower = slowness() if attempt else usual_slowness()
            seconds, units = cost(compiled(source), made, slower=slower)
            nanoseconds = seconds * 1e9 / max(units, MEASURABLE_UNITS)
            if nanoseconds <= NANOSECONDS_PER_UNIT:
                break
        else:
            wrong.append(f"{source}: {seconds:.3f} s, {nanoseconds:.1f} ns for each of {units} units")
    assert wrong == []


def test_every_filter_test_and_comparison_is_among_them():
    written = " ".join(EXPRESSIONS)
    assert all(f"| {name}" in written for name in FILTERS)
    assert all(f"is {name}" in written for name in TESTS)
    assert set(SIGNS) == set(COMPARISONS)


# --- the ways around an earlier budget ------------------------------------------------------


def conf_cost(mapping: dict[str, str], made: DataSources, reason: str = "computing budget") -> float:
    compiled = compile_mapping(mapping)

    def refused() -> None:
        made.budget = Budget()
        with pytest.raises(ContentRefused, match=reason):
            compiled.conf_text(made, None)

    return least_seconds(refused, 2 * REQUEST_SECONDS)


def test_one_list_written_two_hundred_times_is_refused_while_it_is_walked():
    source = "{{ [" + "body.x, " * 200 + "] | tojson }}"
    assert conf_cost({"p": source}, sources(BODIES["numbers"])) < 2 * REQUEST_SECONDS


def test_a_conf_of_many_copies_is_refused_while_it_is_walked():
    mapping = {f"p{number}": "${Webhook::Body.x}" for number in range(200)}
    made = sources(BODIES["lists"])
    assert conf_cost(mapping, made, reason="more than 100000 values") < 2 * REQUEST_SECONDS


def test_the_length_of_a_query_copies_nothing():
    made = sources({}, query=FIELDS)
    assert made.query.lists
    line = "{{ [" + "query | length, " * 20 + "] }}"
    compiled = compile_mapping({f"p{number}": line for number in range(60)})
    started = time.thread_time()
    conf = compiled.conf(made, None)
    assert conf["p59"] == [4_001] * 20
    assert (time.thread_time() - started) / slowness() < REQUEST_SECONDS / 5


@pytest.mark.parametrize("fields", [("dedup",), ("filter", "dedup"), ("filter", "dedup", "event_type")])
def test_all_expressions_of_a_request_share_the_budget(fields):
    """Each of them takes 0.38 of it, the mapping's included: two can be evaluated."""
    costly = "{{ [" + "body.x | sha256, " * 3 + "] | length == 3 }}"
    draft = Draft(name="any", dag_id="any", mapping={"p": costly}, **dict.fromkeys(fields, costly))
    made = request({"x": "a" * (2 * 1024 * 1024 - 100)})
    verdict = decide(compile_rules(draft), made, made.body, None, delivery_id="0190", secrets={})
    assert (verdict.outcome == Outcome.REFUSED) == (len(fields) > 1)


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
@pytest.mark.parametrize("kind", ["quotes", "a text that is not ASCII", "lists", "large numbers"])
def test_a_response_is_charged_for_what_it_writes(kind, content_type):
    made = received(kind)
    for piece in ("{{ body.x }}", "${Webhook::Body}", "{{ body.y }}"):
        # The places inside and outside of a JSON string.
        for template in (f"[{', '.join([piece] * 500)}]", f'["{piece * 500}"]'):
            compiled = compile_response(content_type, template)

            def rendered(compiled: Any = compiled) -> None:
                made.budget = Budget()
                with suppress(ContentRefused):
                    compiled.rendered(200, made)

            assert least_seconds(rendered, REQUEST_SECONDS) < REQUEST_SECONDS


# --- compiling ------------------------------------------------------------------------------

LARGE_SOURCES = {
    "items": "{{ [" + "1," * 5_000 + "] }}",
    "paths": "${Webhook::Body.a.b}" * 300,
    "names": "{{ body.a.b.c }}" * 300,
    "filters": "{{ " + " ~ ".join(["body|upper"] * 300) + " }}",
    "arguments": "{{ [" + ", ".join(["body|replace('a',body,1)"] * 300) + "] }}",
    "comparisons": "{{ " + " and ".join(["body is eq(1)"] * 35) + " }}",
    "text": "x" * 65_000,
    "one path": "${Webhook::Body" + ".a" * 9_000 + "}",
    "constants": "{{ 'a'|replace('a','" + "b" * 5_000 + "')|replace('b','" + "c" * 100 + "')|length }}",
    "comments": "{# #}" * 12_000,
    "spaces": "{{ " + " " * 60_000 + "1 }}",
    "dollars": "$${" * 20_000,
    "brackets": "{{ " + "(" * 30_000,
    "digits": "{{ " + "1_" * 30_000 + "1 }}",
}


@pytest.mark.parametrize("name", LARGE_SOURCES)
def test_many_large_expressions_are_refused_before_they_cost_more_than_one_webhook_may(name):
    draft = Draft(name="any", dag_id="any", mapping={f"p{n}": LARGE_SOURCES[name] for n in range(1_000)})

    def refused() -> None:
        with pytest.raises(DefinitionError, match=r"mapping p\d+: line 1, column \d+: ") as caught:
            compile_rules(draft)
        assert caught.value.problem.field == "mapping"

    assert least_seconds(refused, COMPILE_SECONDS) < COMPILE_SECONDS


def test_the_branches_of_a_json_template_are_checked_within_the_same_limit():
    template = '["' + "{% if body.a %}x{% else %}y{% endif %}" * 400 + "z" * 40_000 + '"]'
    draft = Draft(name="any", dag_id="any", response_template=template)

    def refused() -> None:
        with pytest.raises(DefinitionError, match="too long"):
            compile_rules(draft)

    assert least_seconds(refused, COMPILE_SECONDS) < COMPILE_SECONDS


def test_the_limits_are_those_of_the_webhook_not_of_one_expression():
    line = "{{ [" + "body, " * 30 + "] }}"
    one = Draft(name="any", dag_id="any", mapping={"p": line})
    two = Draft(name="any", dag_id="any", mapping={"p": line}, dedup=line)
    assert compile_rules(one, ExpressionLimits(parts=150))
    with pytest.raises(DefinitionError, match="more than 150 parts"):
        compile_rules(two, ExpressionLimits(parts=150))


def test_the_place_is_where_the_limit_is_exceeded():
    with pytest.raises(TemplateRefused) as caught:
        compile_expression("{{ body }}\n{{ body.a }}", CompileBudget(9))
    assert (caught.value.line, caught.value.column) == (2, 3)
