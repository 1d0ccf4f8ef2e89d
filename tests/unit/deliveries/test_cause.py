"""Why a delivery is in its state, and the next step that the page offers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from inbound_webhooks.airflow_bridge.dag_cache import DagState
from inbound_webhooks.deliveries.cause import MAX_LOGS, Circumstances, cause_of
from inbound_webhooks.deliveries.replay_offer import replay_offer
from inbound_webhooks.records.failed_task import FailedTask

WEBHOOK: Any = SimpleNamespace(enabled=True, dag_id="orders")
DISABLED: Any = SimpleNamespace(enabled=False, dag_id="orders")


def dag(**fields: Any) -> DagState:
    base = {"is_stale": False, "is_paused": False, "has_import_errors": False, "allowed_run_types": None}
    return DagState("orders", **base | fields)


def cause(state: str, **fields: Any) -> Any:
    base = {"error": None, "dag_id": "orders", "webhook": WEBHOOK, "dag": dag(), "has_dispatcher": True}
    return cause_of(Circumstances(state=state, **base | fields))


ERROR = "parameter order_id: expected integer, not string"
CASES: dict[str, tuple[Any, str, list[str]]] = {
    "a parameter": (cause("refused", error=ERROR), ERROR, ["mapping", "request"]),
    "a body": (cause("refused", error="The body is not JSON."), "The body is not JSON.", ["request"]),
    "a filter": (cause("filtered"), "The webhook's filter excluded it.", ["filter"]),
    "an earlier filter": (cause("filtered", webhook=None), "The webhook's filter excluded it.", []),
    "params at dispatch": (
        cause("undeliverable", error=f"The DAG refuses the run: {ERROR}"),
        f"The DAG refuses the run: {ERROR}",
        ["mapping", "dag"],
    ),
    "a dag that is gone": (
        cause("undeliverable", error="Airflow knows no active DAG orders.", dag=None),
        "Airflow knows no active DAG orders.",
        ["import-errors"],
    ),
    "cancelled": (cause("cancelled", error="The webhook was deleted."), "The webhook was deleted.", []),
    "cancelled by an event": (
        cause("cancelled", error="A later event cancelled it.", cancelled_by="another"),
        "A later event cancelled it.",
        ["delivery"],
    ),
    "superseded": (
        cause("superseded", superseded_by="another"),
        "A newer event of its key ran instead.",
        ["delivery"],
    ),
    "skipped": (cause("skipped", error="A run was active."), "A run was active.", []),
    "a batch": (cause("batched", progress="It has 2 of 3 events."), "It has 2 of 3 events.", []),
    "a batch of a disabled webhook": (
        cause("batched", webhook=DISABLED, progress="It has 2 of 3 events."),
        "The webhook is disabled; its deliveries wait until it is enabled.",
        ["webhook"],
    ),
    "a turn without a dispatcher": (
        cause("in_turn", has_dispatcher=False, progress="Its turn is next."),
        "No dispatcher is running. Deliveries wait until one starts.",
        [],
    ),
    "a part of a closed batch": (
        cause("accepted", batch_id="another"),
        "It is part of a batch.",
        ["delivery"],
    ),
    "a task": (
        cause("failed", failed_tasks=[FailedTask("work", 3)]),
        "Task work[3] failed.",
        ["log"],
    ),
    "tasks": (
        cause("failed", failed_tasks=[FailedTask("a"), FailedTask("b")]),
        "2 tasks failed, the first is a.",
        ["log", "log"],
    ),
    "a deleted run": (cause("failed", error="The run was deleted."), "The run was deleted.", ["run"]),
    "disabled": (
        cause("accepted", webhook=DISABLED),
        "The webhook is disabled; its deliveries wait until it is enabled.",
        ["webhook"],
    ),
    "a limit": (cause("accepted", waits_for="the end of a run."), "It waits for the end of a run.", ["runs"]),
    "import errors": (
        cause("accepted", dag=dag(has_import_errors=True)),
        "The file of Dag orders has import errors. Deliveries wait until they are fixed.",
        ["import-errors"],
    ),
    "no dag": (
        cause("accepted", dag=dag(is_stale=True)),
        "Airflow has no Dag orders now. Deliveries wait until it exists.",
        ["import-errors"],
    ),
    "an attempt": (cause("accepted", error="It broke."), "The last attempt failed: It broke.", ["dag"]),
    "no dispatcher": (
        cause("accepted", has_dispatcher=False),
        "No dispatcher is running. Deliveries wait until one starts.",
        [],
    ),
    "paused": (
        cause("queued", dag=dag(is_paused=True)),
        "Dag orders is paused, so its run stays queued.",
        ["unpause"],
    ),
}


@pytest.mark.parametrize(("found", "message", "places"), CASES.values(), ids=CASES.keys())
def test_each_cause_has_a_sentence_and_the_place_that_helps(found, message, places):
    assert (found.message, [step.place for step in found.steps]) == (message, places)


@pytest.mark.parametrize(
    "found",
    [cause("accepted"), cause("running", dag=dag(is_paused=True)), cause("queued"), cause("succeeded")],
)
def test_there_is_none_where_all_is_well(found):
    assert found is None


def test_a_run_with_many_failed_tasks_offers_a_few_logs():
    found = cause("failed", failed_tasks=[FailedTask(f"task_{number}") for number in range(50)])
    assert len(found.steps) == MAX_LOGS
    assert found.message.startswith("50 tasks failed")


def offer(webhook: Any = WEBHOOK, state: Any = None, *, body: bool = True, **given: bool) -> Any:
    rights = {"has_conf": True, "is_visible": True, "may_read_runs": True, "may_replay": True} | given
    return replay_offer(SimpleNamespace(body_stored=body, wait_id=None), webhook, state or dag(), **rights)


def test_both_ways_of_a_replay_are_offered_where_they_can_work():
    assert (offer().original, offer().remap, offer().reason) == (True, True, "")
    refused = offer(has_conf=False)
    assert (refused.original, refused.remap) == (False, True)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (offer(None), "The webhook was deleted"),
        (offer(DISABLED), "The webhook is disabled"),
        (offer(state=dag(is_stale=True)), "Airflow has no Dag orders now"),
        (offer(state=dag(has_import_errors=True)), "has import errors"),
        (offer(may_replay=False), "permission to change the webhook and to trigger the Dag orders"),
        (offer(may_read_runs=False), "permission to read the Dag's runs"),
        (offer(is_visible=False), "permission to see the webhook's Dag"),
        (offer(body=False, has_conf=False), "cannot be replayed either"),
    ],
)
def test_a_replay_that_cannot_work_is_not_offered_and_says_why(found, reason):
    assert not found.is_possible
    assert reason in found.reason


def test_without_a_body_the_original_conf_is_all_that_can_be_replayed():
    found = offer(body=False)
    assert (found.original, found.remap) == (True, False)
    assert "Only a replay with the original conf is possible." in found.reason


# --- calls of waiting tasks -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "fields", "message"),
    [
        ("accepted", {}, "The call is kept until its task waits."),
        ("accepted", {"has_dispatcher": False}, "No dispatcher is running. Calls wait until one starts."),
        ("failed", {}, "The call failed its task, as the task's fail_when says."),
        ("cancelled", {"error": "The task ended."}, "The task ended."),
        ("succeeded", {}, "The call resumed its task."),
    ],
)
def test_a_call_says_what_became_of_its_task(state, fields, message):
    assert cause(state, is_call=True, **fields).message == message
