"""The operator: what a DAG file may write, and what the task does at its end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowSkipException

from inbound_webhooks.operators import WaitForWebhook, wait_for_webhook
from inbound_webhooks.operators.errors import WaitFailed

HOUR = timedelta(hours=1)


def begin(callback_url: str) -> None:
    """What a DAG author wrote."""


def operator(**options):
    return WaitForWebhook(task_id="waiting", start=begin, **options)


def test_a_decorated_function_gets_the_url_without_an_argument_for_it():
    @wait_for_webhook(timeout=HOUR, result="${Webhook::Body.status}")
    def start_training(model: str, callback_url: str) -> None: ...

    with DAG("training", schedule=None):
        task = start_training("large").operator
    assert (task.task_id, task.timeout, task.op_args) == ("start_training", HOUR, ("large",))
    assert task.task_type == "@wait_for_webhook" or task.operator_name == "@wait_for_webhook"


def test_a_decorated_function_can_be_mapped():
    @wait_for_webhook
    def start_training(model: str, callback_url: str) -> None: ...

    with DAG("training", schedule=None):
        task = start_training.partial().expand(model=["small", "large"]).operator
    unmapped = task.unmap({"op_kwargs": {"model": "small"}})
    assert unmapped.op_kwargs["model"] == "small"


def test_the_url_is_no_argument_of_the_caller():
    @wait_for_webhook
    def start_training(callback_url: str) -> None: ...

    with DAG("training", schedule=None), pytest.raises(TypeError, match="leave it out"):
        start_training(callback_url="https://example.com")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"result": "${Webhook::Body.a.}"}, "line 1, column"),
        ({"fail_when": "body.status =="}, "line 1, column"),
        ({"timeout": 60}, "timeout must be a timedelta"),
        ({"timeout": timedelta()}, "above zero"),
    ],
)
def test_what_cannot_work_fails_the_import_of_the_dag(options, message):
    with pytest.raises(ValueError, match=message):
        operator(**options)


def test_a_function_that_takes_no_url_fails_the_import_of_the_dag():
    with pytest.raises(TypeError, match="callback_url"):
        WaitForWebhook(task_id="waiting", start=lambda model: None)


def test_the_result_is_what_the_call_selected():
    event = {"outcome": '{"result":{"a":[1,null]}}', "delivery_id": "d"}
    assert operator().complete_wait({}, event) == {"a": [1, None]}


def test_a_call_that_fails_the_task_is_quoted():
    event = {"outcome": '{"failure":"no GPU"}', "delivery_id": "d"}
    with pytest.raises(WaitFailed, match="Its message: 'no GPU'"):
        operator().complete_wait({}, event)


@pytest.mark.parametrize(
    "event",
    [
        {"error_type": "timeout", "refused_calls": 0, "refusal": None},
        {"error_type": "timeout", "error": "The Human-in-the-loop response timeout has passed."},
    ],
    ids=["the dispatcher's", "Airflow's"],
)
def test_a_task_that_is_not_called_says_how_long_it_waited(event):
    with pytest.raises(WaitFailed, match=r"^No call came within 1:00:00\.$"):
        operator(timeout=HOUR).complete_wait({}, event)


def test_a_task_that_is_not_called_says_why_calls_were_refused():
    event = {"error_type": "timeout", "refused_calls": 2, "refusal": "The body is no JSON."}
    message = r"within 1:00:00\. 2 calls were refused, the last one because: The body is no JSON\."
    with pytest.raises(WaitFailed, match=message):
        operator(timeout=HOUR).complete_wait({}, event)


def test_the_timeout_of_a_trigger_has_the_same_message():
    with pytest.raises(WaitFailed, match="No call came within 1:00:00"):
        operator(timeout=HOUR).resume_execution("__fail__", {"error": "Trigger timeout"}, {})


def test_a_soft_failure_skips_the_task():
    event = {"error_type": "timeout", "refused_calls": 0, "refusal": None}
    with pytest.raises(AirflowSkipException, match="No call came"):
        operator(soft_fail=True).complete_wait({}, event)
