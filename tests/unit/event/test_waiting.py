"""How long a response waits, and what it is once the run has a result."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inbound_webhooks.errors import InvalidDefinition
from inbound_webhooks.event import responses
from inbound_webhooks.event.judge import decide
from inbound_webhooks.event.response_headers import name_problem
from inbound_webhooks.event.rules import Rules, compile_rules
from inbound_webhooks.event.waiting import RunResult, RunState
from inbound_webhooks.records.webhook import Draft
from tests.unit.event.builders import JSON, request

DELIVERY = "0190"


def rules_of(**fields: Any) -> Rules:
    return compile_rules(Draft(name="orders", dag_id="orders", **fields))


def waited(preference: str | None = None, **fields: Any) -> int:
    headers = () if preference is None else (("Prefer", preference),)
    made = request({"id": 1}, JSON, headers=headers)
    verdict = decide(rules_of(**fields), made, made.body, None, delivery_id=DELIVERY, secrets={})
    return verdict.wait_seconds


@pytest.mark.parametrize(
    ("preference", "seconds"),
    [
        (None, 0),
        ("wait=5", 5),
        ("respond-async, wait=10", 10),
        ('handling=lenient; a, WAIT = "7"; b', 7),
        ("wait=600", 60),
        ("wait=0", 0),
        ("wait=x", 0),
        ("await=5", 0),
        ("wait=", 0),
    ],
)
def test_a_sender_chooses_by_prefer_where_it_may(preference, seconds):
    assert waited(preference, prefer_wait=True) == seconds
    assert waited(preference) == 0
    assert waited(preference, wait_seconds=20) == 20


def test_a_preference_replaces_the_time_of_the_webhook():
    assert [waited(it, prefer_wait=True, wait_seconds=20) for it in (None, "wait=3", "respond-async")] == [
        20,
        3,
        0,
    ]


@pytest.mark.parametrize(
    ("preference", "applied"),
    [("respond-async, wait=10", "wait=10"), ("wait=600", "wait=60"), ("respond-async", "respond-async")],
)
def test_the_response_names_the_preference_that_is_applied(preference, applied):
    made = request({"id": 1}, JSON, headers=(("Prefer", preference),))
    for may_prefer, headers in ((True, [applied]), (False, [])):
        rules = rules_of(prefer_wait=may_prefer, wait_seconds=20)
        response = decide(rules, made, made.body, None, delivery_id=DELIVERY, secrets={}).response
        assert [value for name, value in response.headers if name == "Preference-Applied"] == headers


def test_only_an_accepted_event_waits():
    assert waited(wait_seconds=20, filter="false") == 0


# --- where the run can be read ---------------------------------------------------------------

READS = ("${Webhook::Result.passed}", "{{ run.state }}")


@pytest.mark.parametrize("source", READS)
@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("mapping", lambda source: {"mapping": {"a": source}}),
        ("filter", lambda source: {"filter": source}),
        ("dedup", lambda source: {"dedup": source}),
        ("event_type", lambda source: {"event_type": source}),
    ],
)
def test_nothing_that_is_computed_before_the_run_reads_it(source, field, fields):
    with pytest.raises(InvalidDefinition) as refused:
        rules_of(wait_seconds=5, **fields(source))
    assert refused.value.problem.field == field
    assert "only known to the response of a webhook that waits" in refused.value.message


@pytest.mark.parametrize("source", READS)
def test_a_webhook_that_does_not_wait_reads_no_run(source):
    for fields in ({"response_template": f'"{source}"'}, {"response_headers": {"X-A": source}}):
        with pytest.raises(InvalidDefinition, match="only known to the response"):
            rules_of(**fields)
        assert rules_of(prefer_wait=True, **fields)


def test_a_template_that_reads_the_run_is_for_no_other_response():
    rules = rules_of(
        prefer_wait=True,
        filter="body.id != 2",
        response_template='{"passed": ${Webhook::Result.passed}}',
        response_headers={"X-Run": "${Webhook::Run.id}", "X-Delivery": "${Webhook::Delivery.id}"},
    )
    for body, status in (({"id": 1}, "accepted"), ({"id": 2}, "filtered")):
        made = request(body, JSON)
        response = decide(rules, made, made.body, None, delivery_id=DELIVERY, secrets={}).response
        assert json.loads(response.body)["status"] == status
        assert response.headers == (("X-Delivery", DELIVERY),)


# --- the response after the wait ---------------------------------------------------------------


def response_of(found: RunResult, body: Any = None, **fields: Any):
    rules = rules_of(wait_seconds=5, **fields)
    made = request({"id": 7} if body is None else body, JSON)
    return responses.of_run(rules, rules.sources(made, made.body, DELIVERY), DELIVERY, found)


COMPLETED = RunResult(
    state=RunState.COMPLETED, run_id="webhook__0190", run_state="running", result={"passed": True, "n": [1]}
)
FAILED = RunResult(state=RunState.FAILED, run_id="webhook__0190", run_state="failed")


def test_without_a_template_it_is_the_result_and_the_run():
    response = response_of(COMPLETED)
    assert (response.status, json.loads(response.body)) == (
        200,
        {
            "status": "completed",
            "delivery_id": DELIVERY,
            "run": {"id": "webhook__0190", "state": "running"},
            "result": {"passed": True, "n": [1]},
        },
    )


@pytest.mark.parametrize(
    ("found", "status", "document"),
    [
        (FAILED, 500, {"status": "failed", "result": None}),
        (RunResult(state=RunState.UNDELIVERABLE), 500, {"status": "undeliverable"}),
        (RunResult(state=RunState.CANCELLED), 500, {"status": "cancelled"}),
    ],
)
def test_a_run_without_success_is_never_taken_for_one(found, status, document):
    response = response_of(found, response_status=201)
    assert response.status == status
    assert document.items() <= json.loads(response.body).items()


def test_a_result_that_cannot_be_sent_says_why():
    found = RunResult(state=RunState.COMPLETED, run_id="r", run_state="success", problem="It is too large.")
    assert json.loads(response_of(found).body)["error"] == "It is too large."


@pytest.mark.parametrize(
    ("expression", "found", "status"),
    [
        ("{{ 200 if result.passed else 422 }}", COMPLETED, 200),
        ("{{ 200 if result.passed else 422 }}", FAILED, 422),
        ("${Webhook::Result.n[0]}", COMPLETED, 500),
        ("204", COMPLETED, 204),
        ("302", COMPLETED, 500),
        ("{{ result.passed + 1 }}", FAILED, 500),
        ("{{ 409 if run.state == 'failed' else 200 }}", FAILED, 409),
        ("${Webhook::Body.id}", COMPLETED, 500),
    ],
)
def test_its_status_is_an_expression_and_never_a_redirect(expression, found, status):
    assert response_of(found, result_status=expression).status == status


def test_a_template_that_fails_sends_nothing_of_the_result():
    response = response_of(
        COMPLETED, response_template="{{ result.n + 1 }}", response_content_type="text/plain"
    )
    assert (response.status, json.loads(response.body)["status"]) == (200, "completed")
    assert "result" not in json.loads(response.body)


def test_template_and_headers_read_the_request_the_result_and_the_run():
    response = response_of(
        COMPLETED,
        response_template='{"id": ${Webhook::Body.id}, "n": ${Webhook::Result.n}, "run": "{{ run.id }}"}',
        response_headers={"X-State": "${Webhook::Run.state}", "X-None": "${Webhook::Result.none}"},
        response_status=201,
    )
    assert (response.status, json.loads(response.body)) == (201, {"id": 7, "n": [1], "run": "webhook__0190"})
    assert response.headers == (("X-State", "running"),)


# --- headers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("Set-Cookie", "Location", "Content-Security-Policy", "Access-Control-Allow-Origin", "Link"),
        *("Clear-Site-Data", "Refresh", "Service-Worker-Allowed", "Strict-Transport-Security", "Allow"),
        *("X-Frame-Options", "X-Content-Type-Options", "X-Accel-Redirect", "X-Sendfile", "x-forwarded-for"),
        *("Content-Type", "Content-Length", "Transfer-Encoding", "Connection", "Cache-Control", "Server"),
        *("X-LiteSpeed-Location", "X-Envoy-Overloaded", "X A", "X-A:", "X_A", "X-\n", "", "X-" + "a" * 100),
    ],
)
def test_a_header_that_browsers_or_proxies_act_on_is_refused(name):
    assert name_problem(name)
    with pytest.raises(InvalidDefinition, match="response headers"):
        rules_of(response_headers={name: "a"})


@pytest.mark.parametrize("name", ["X-Hook-Secret", "x-slack-no-retry", "Retry-After", "Content-Language"])
def test_a_harmless_one_is_allowed(name):
    assert name_problem(name) is None


def header_of(template: str, body: Any) -> str | None:
    made = request(body, JSON)
    rules = rules_of(response_headers={"X-A": template})
    response = decide(rules, made, made.body, None, delivery_id=DELIVERY, secrets={}).response
    return dict(response.headers).get("X-A")


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("plain", "plain"),
        (" inside spaces ", "inside spaces"),
        (7, "7"),
        ("\xe9", "\xe9"),
        ("a\r\nSet-Cookie: a=b", None),
        ("a\nb", None),
        ("\N{SNOWMAN}", None),
        ("a\x00", None),
        ("", None),
        (None, None),
        ({"a": 1}, None),
        ("x" * 1001, None),
    ],
)
def test_a_value_that_cannot_stand_in_a_header_is_left_out(value, sent):
    assert header_of("${Webhook::Body.value}", {"value": value}) == sent


@pytest.mark.parametrize("template", ["a\r\nb", "\N{SNOWMAN}", " ", ""])
def test_a_constant_that_cannot_stand_in_a_header_is_refused_when_it_is_saved(template):
    with pytest.raises(InvalidDefinition):
        rules_of(response_headers={"X-A": template})


def test_names_differ_and_are_few():
    with pytest.raises(InvalidDefinition, match="twice"):
        rules_of(response_headers={"X-A": "1", "x-a": "2"})
    with pytest.raises(InvalidDefinition, match="more than 20"):
        rules_of(response_headers={f"X-{number}": "1" for number in range(21)})
