"""A task that waits for an event of a webhook: what a DAG file may write, and what a worker leaves."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import DAG

from inbound_webhooks.event.wait_match import MatchRegistration
from inbound_webhooks.operators import WaitForWebhook, wait_for_webhook
from inbound_webhooks.operators.errors import WaitFailed
from tests.unit.operators.test_execution import HOUR, ID, context, supervisor

__all__ = ["supervisor"]

MATCH = {"body.data.runId": 7}
EITHER = "needs either start, or webhook with match, match_expression or both"


def operator(**options):
    return WaitForWebhook(task_id="waiting", webhook="dbt", timeout=HOUR, **options)


def parked(task: WaitForWebhook, user: str | None = None):
    from airflow.sdk.exceptions import TaskAwaitingInput

    with pytest.raises(TaskAwaitingInput) as raised:
        task.execute(context(user))
    return raised.value


def test_a_worker_leaves_paths_and_values(supervisor, monkeypatch):
    monkeypatch.delenv("AIRFLOW__INBOUND_WEBHOOKS__PUBLIC_URL")
    left = parked(operator(match=MATCH, broadcast=True, result="${Webhook::Body.data}"))
    found = MatchRegistration.from_json(supervisor.xcom.value)
    assert (found.wait_id, found.webhook, found.broadcast) == (ID.hex, "dbt", True)
    assert found.match == {"${Webhook::Body.data.runId}": "7"}
    assert found.deadline - found.created_at == HOUR
    assert found.created_at - found.counts_from == timedelta(minutes=10)
    assert left.method_name == "complete_wait"


def test_values_are_templated_and_conditions_are_not(supervisor):
    assert "match" in WaitForWebhook.template_fields
    assert "match_expression" not in WaitForWebhook.template_fields
    with DAG("refresh", schedule=None):
        task = operator(match={"body.data.runId": "{{ run }}"})
    task.render_template_fields({"run": 12})
    parked(task)
    assert MatchRegistration.from_json(supervisor.xcom.value).match == {"${Webhook::Body.data.runId}": "12"}


@pytest.mark.parametrize("value", [None, "None", ""])
def test_a_template_that_found_nothing_fails_the_task_at_once(supervisor, value):
    with pytest.raises(WaitFailed, match=r"body\.data\.runId"):
        operator(match={"body.data.runId": value}).execute(context())
    assert supervisor.sent == []


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"match": MATCH, "start": lambda callback_url: None},
        {"match": MATCH, "webhook": None},
        {"webhook": None},
    ],
)
def test_a_task_has_one_of_the_two_forms(options):
    with pytest.raises(TypeError, match=EITHER):
        WaitForWebhook(**{"task_id": "waiting", "webhook": "dbt"} | options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"match": {"runId": 7}}, "is no path of an event"),
        ({"match": {"${Webhook::Body.a.}": 7}}, "line 1, column"),
        ({"match_expression": "body.a =="}, "match_expression: line 1, column"),
        ({"match": MATCH, "look_back": timedelta(days=2)}, "look_back must be a timedelta of at most"),
        ({"match": MATCH, "look_back": 60}, "look_back must be a timedelta"),
    ],
)
def test_a_mistake_is_an_error_of_the_import(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        operator(**options)


def test_a_function_returns_the_match_of_what_it_has_started(supervisor):
    @wait_for_webhook(webhook="dbt", match_expression="body.ok", timeout=HOUR)
    def run_dbt(job: int) -> dict[str, int]:
        return {"body.data.runId": 10 * job}

    with DAG("refresh", schedule=None):
        task = run_dbt(7).operator
    parked(task)
    found = MatchRegistration.from_json(supervisor.xcom.value)
    assert found.match == {"${Webhook::Body.data.runId}": "70"}
    assert (found.webhook, found.match_expression) == ("dbt", "body.ok")


@pytest.mark.parametrize("returned", [None, 7, {}, {"runId": 7}])
def test_a_function_that_returns_no_match_fails_the_task(supervisor, returned):
    with pytest.raises(WaitFailed, match=r"no match|match must name|is no path"):
        operator(start=lambda: returned).execute(context())


def test_values_can_be_mapped():
    with DAG("refresh", schedule=None):
        mapped = WaitForWebhook.partial(task_id="waiting", webhook="dbt").expand(match=[MATCH, {"body.a": 1}])
    assert mapped.unmap({"match": {"body.a": 1}}).match == {"body.a": 1}


def test_a_wait_that_is_refused_fails_the_task_even_if_failures_skip_it():
    with pytest.raises(WaitFailed, match="There is no webhook"):
        operator(match=MATCH, soft_fail=True).complete_wait({}, {"refused": "There is no webhook 'dbt'."})


def test_the_timeout_names_the_webhook():
    sentence = (
        "No event of webhook dbt matched within 1:00:00. 2 events were refused, the last one because: odd"
    )
    with pytest.raises(WaitFailed, match=sentence):
        operator(match=MATCH).complete_wait(
            {}, {"error_type": "timeout", "refused_calls": 2, "refusal": "odd"}
        )


def test_dag_test_is_refused_with_a_sentence(supervisor):
    with pytest.raises(WaitFailed, match=r"dag\.test\(\) cannot run"):
        operator(match=MATCH).execute(context("dag_test"))
