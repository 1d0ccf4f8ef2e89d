"""Why a delivery is in its state, and what a user can do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inbound_webhooks.airflow_bridge.dag_cache import DagState
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.failed_task import FailedTask
from inbound_webhooks.records.webhook import Webhook

MAX_LOGS = 5
"""Failed tasks that are offered with their logs; the run has the others."""

MAPPING, FILTER, WEBHOOK, REQUEST = "mapping", "filter", "webhook", "request"
DELIVERY = "delivery"
SUPERSEDED = "A newer event of its key ran instead."
NO_DISPATCHER = "No dispatcher is running. Deliveries wait until one starts."
DAG, UNPAUSE, RUN, RUNS, LOG, IMPORT_ERRORS = "dag", "unpause", "run", "runs", "log", "import-errors"


@dataclass(frozen=True)
class NextStep:
    """A place that helps; ``task`` is the one whose log it is, ``delivery_id`` another delivery."""

    place: str
    label: str
    task: FailedTask | None = None
    delivery_id: str | None = None


@dataclass(frozen=True)
class Cause:
    """A sentence, how bad it is ("bad", "warn", "info"), and the places that help."""

    message: str
    tone: str
    steps: tuple[NextStep, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What decides about a delivery beside itself.

    ``state`` is that of the delivery, or of its run where that is ahead. ``waits_for`` is a limit.
    ``is_call`` says that it is the call of a waiting task. ``progress`` is what it waits for with others of
    its group; ``batch_id`` and ``superseded_by`` are other deliveries, None where they are this one.
    """

    state: str
    error: str | None
    dag_id: str
    webhook: Webhook | None
    dag: DagState | None
    has_dispatcher: bool
    waits_for: str | None = None
    failed_tasks: Sequence[FailedTask] = ()
    is_call: bool = False
    progress: str | None = None
    batch_id: str | None = None
    superseded_by: str | None = None
    cancelled_by: str | None = None


def cause_of(now: Circumstances) -> Cause | None:
    """The cause of a delivery's state; None where its help says all."""
    if now.is_call:
        return _of_call(now)
    match now.state:
        case State.REFUSED:
            return Cause(now.error or "Its content cannot be used.", "bad", (*_edit(now), _SEE_REQUEST))
        case State.FILTERED:
            return Cause("The webhook's filter excluded it.", "info", _of_webhook(now, FILTER, "Edit filter"))
        case State.CANCELLED:
            sentence = now.error or "The webhook was deleted."
            return Cause(sentence, "info", _other(now.cancelled_by, "What cancelled it"))
        case State.SUPERSEDED:
            return Cause(SUPERSEDED, "info", _other(now.superseded_by, "The newer delivery"))
        case State.SKIPPED:
            return Cause(now.error or "A run of its key was active.", "info")
        case State.BATCHED | State.SETTLING | State.IN_TURN:
            return _in_group(now)
        case State.UNDELIVERABLE:
            return Cause(now.error or "The run could not be created.", "bad", _after_giving_up(now))
        case State.FAILED:
            return _failed(now)
        case State.ACCEPTED:
            return _waiting(now)
        case "queued" | State.DISPATCHED if now.dag is not None and now.dag.is_paused:
            return Cause(f"Dag {now.dag_id} is paused, so its run stays queued.", "warn", (_UNPAUSE,))
    return None


def _in_group(now: Circumstances) -> Cause | None:
    if now.webhook is not None and not now.webhook.enabled:
        return _waiting(now)
    if not now.has_dispatcher:
        return Cause(NO_DISPATCHER, "warn")
    return None if now.progress is None else Cause(now.progress, "info")


def _other(delivery_id: str | None, label: str) -> tuple[NextStep, ...]:
    return () if delivery_id is None else (NextStep(DELIVERY, label, delivery_id=delivery_id),)


def _of_call(now: Circumstances) -> Cause | None:
    match now.state:
        case State.SUCCEEDED:
            return Cause("The call resumed its task.", "info")
        case State.CANCELLED:
            return Cause(now.error or "Its task did not wait any more.", "warn")
        case State.FAILED:
            return Cause("The call failed its task, as the task's fail_when says.", "info")
        case State.ACCEPTED if not now.has_dispatcher:
            return Cause("No dispatcher is running. Calls wait until one starts.", "warn")
        case State.ACCEPTED:
            return Cause("The call is kept until its task waits.", "info")
    return None


def _failed(now: Circumstances) -> Cause:
    tasks = now.failed_tasks
    if not tasks:
        return Cause(now.error or "The Dag run failed.", "bad", (NextStep(RUN, "Open the run"),))
    first = named(tasks[0])
    message = (
        f"Task {first} failed." if len(tasks) == 1 else f"{len(tasks)} tasks failed, the first is {first}."
    )
    logs = (NextStep(LOG, f"Log of {named(task)}", task) for task in tasks[:MAX_LOGS])
    return Cause(f"{message} {now.error}" if now.error else message, "bad", tuple(logs))


def named(task: FailedTask) -> str:
    """A task with its map index, as Airflow writes it."""
    return f"{task.task_id}[{task.map_index}]" if task.map_index >= 0 else task.task_id


def _waiting(now: Circumstances) -> Cause | None:
    if now.webhook is not None and not now.webhook.enabled:
        sentence = "The webhook is disabled; its deliveries wait until it is enabled."
        return Cause(sentence, "warn", (NextStep(WEBHOOK, "Enable the webhook"),))
    if now.batch_id is not None:
        return Cause("It is part of a batch.", "info", _other(now.batch_id, "The first one of its batch"))
    if now.waits_for:
        return Cause(f"It waits for {now.waits_for}", "warn", (NextStep(RUNS, "Runs of the Dag"),))
    if (problem := dag_problem(now.dag_id, now.dag)) is not None:
        return problem
    if now.error:
        return Cause(f"The last attempt failed: {now.error}", "warn", (NextStep(DAG, "Open the Dag"),))
    if not now.has_dispatcher:
        return Cause(NO_DISPATCHER, "warn")
    return None


def dag_problem(dag_id: str, dag: DagState | None) -> Cause | None:
    """What is wrong with a DAG that cannot take runs."""
    if dag is None or dag.is_stale:
        sentence = f"Airflow has no Dag {dag_id} now. Deliveries wait until it exists."
        return Cause(sentence, "warn", (NextStep(IMPORT_ERRORS, "Dags and import errors"),))
    if dag.has_import_errors:
        sentence = f"The file of Dag {dag_id} has import errors. Deliveries wait until they are fixed."
        return Cause(sentence, "warn", (NextStep(IMPORT_ERRORS, "Import errors"),))
    return None


def _after_giving_up(now: Circumstances) -> tuple[NextStep, ...]:
    if dag_problem(now.dag_id, now.dag) is not None:
        return (NextStep(IMPORT_ERRORS, "Dags and import errors"),)
    return (*_edit(now), NextStep(DAG, "Open the Dag"))


def _edit(now: Circumstances) -> tuple[NextStep, ...]:
    """To the mapping, where the error names a parameter."""
    # A refusal at the endpoint begins with it; the dispatcher's has a sentence before.
    is_of_parameter = "parameter " in (now.error or "").lower()
    return _of_webhook(now, MAPPING, "Edit mapping") if is_of_parameter else ()


def _of_webhook(now: Circumstances, place: str, label: str) -> tuple[NextStep, ...]:
    return () if now.webhook is None else (NextStep(place, label),)


_SEE_REQUEST = NextStep(REQUEST, "See the request")
_UNPAUSE = NextStep(UNPAUSE, "Unpause")
