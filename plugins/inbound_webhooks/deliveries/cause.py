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
RELEASE = "release"
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
    ``is_call`` says that it is the call of a waiting task, ``is_event`` that it can only resume one.
    ``progress`` is what it waits for with others of its group; ``batch_id`` and ``superseded_by`` are other
    deliveries, None where they are this one.
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
    is_event: bool = False
    progress: str | None = None
    batch_id: str | None = None
    superseded_by: str | None = None
    cancelled_by: str | None = None


def cause_of(now: Circumstances) -> Cause | None:
    """The cause of a delivery's state; None where its help says all."""
    if now.is_call:
        return _of_call(now)
    if now.is_event and now.state in _OF_EVENTS:
        return _of_event(now)
    match now.state:
        case State.REFUSED:
            return Cause(now.error or "Its content cannot be used.", "bad", (*_edit(now), _SEE_REQUEST))
        case State.FILTERED:
            sentence = now.error or "The webhook's filter excluded it."
            return Cause(sentence, "info", _of_webhook(now, FILTER, "Edit filter"))
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
        case State.HELD:
            return _held(now)
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


_OF_EVENTS = (State.SUCCEEDED, State.FAILED, State.ACCEPTED, State.UNMATCHED)


def _of_event(now: Circumstances) -> Cause | None:
    match now.state:
        case State.SUCCEEDED:
            return Cause("The event resumed a task that waited for it.", "info")
        case State.FAILED:
            return Cause("The event failed its task, as the task's fail_when says.", "info")
        case State.UNMATCHED:
            return Cause(
                "No task waits for this event. One that begins to wait may still look back at it.", "info"
            )
    if now.webhook is not None and not now.webhook.enabled:
        return _waiting(now)
    if not now.has_dispatcher:
        return Cause("No dispatcher is running. Events wait until one starts.", "warn")
    return Cause("The event is kept until its task waits.", "info")


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
        return Cause(f"The last attempt failed: {now.error}", "warn", _open_dag(now))
    if not now.has_dispatcher:
        return Cause(NO_DISPATCHER, "warn")
    return None


def _held(now: Circumstances) -> Cause | None:
    webhook = now.webhook
    if webhook is None:
        return Cause("The webhook is on hold.", "warn")
    release = (NextStep(RELEASE, "Release the webhook"),)
    if webhook.held_by_all:
        return Cause(
            "All webhooks are on hold. The delivery goes on when they are released.", "warn", release
        )
    if webhook.is_stopped:
        return Cause("The webhook is on hold. The delivery goes on when it is released.", "warn", release)
    if not webhook.enabled:
        sentence = "The webhook is disabled; its deliveries wait until it is enabled."
        return Cause(sentence, "warn", (NextStep(WEBHOOK, "Enable the webhook"),))
    for window in filter(None, (webhook.release_window, webhook.start_window)):
        return Cause(f"It waits for its turn within {window}.", "info")
    if webhook.release_per_minute is not None:
        rate = f"{webhook.release_per_minute:,} deliveries a minute go on"
        return Cause(f"The webhook is being released: {rate}, in their order.", "info")
    if not now.has_dispatcher:
        return Cause("No dispatcher is running. Deliveries wait until one starts.", "warn")
    return Cause("The webhook is being released. The delivery goes on in its turn.", "info")


def dag_problem(dag_id: str, dag: DagState | None) -> Cause | None:
    """What is wrong with a DAG that cannot take runs; nothing where there is none ("")."""
    if not dag_id:
        return None
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
    return (*_edit(now), *_open_dag(now))


def _open_dag(now: Circumstances) -> tuple[NextStep, ...]:
    return (NextStep(DAG, "Open the Dag"),) if now.dag_id else ()


def _edit(now: Circumstances) -> tuple[NextStep, ...]:
    """To the mapping, where the error names a parameter."""
    # A refusal at the endpoint begins with it; the dispatcher's has a sentence before.
    is_of_parameter = "parameter " in (now.error or "").lower()
    return _of_webhook(now, MAPPING, "Edit mapping") if is_of_parameter else ()


def _of_webhook(now: Circumstances, place: str, label: str) -> tuple[NextStep, ...]:
    return () if now.webhook is None else (NextStep(place, label),)


_SEE_REQUEST = NextStep(REQUEST, "See the request")
_UNPAUSE = NextStep(UNPAUSE, "Unpause")
