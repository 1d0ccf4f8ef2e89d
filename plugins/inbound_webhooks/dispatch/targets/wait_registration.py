"""Registers waits for events of webhooks, once the webhook admits their DAG."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sqlalchemy import Connection

from inbound_webhooks.airflow_bridge.teams import owner_of
from inbound_webhooks.errors import TemplateRefused
from inbound_webhooks.event.expressions.engine import compile_condition
from inbound_webhooks.event.task_wait import check_expressions
from inbound_webhooks.event.wait_match import canonical
from inbound_webhooks.records.target import dags_that_may_wait
from inbound_webhooks.records.wait import Wait
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import matched_waits
from inbound_webhooks.storage.database import begin_writing, transaction
from inbound_webhooks.storage.waits import insert_waits
from inbound_webhooks.storage.webhooks import find_webhook

MAX_CONDITIONS = 1_000
"""Waits of one webhook that have a condition: each of them is evaluated for each event."""

MAX_PATH_LISTS = 100
"""Distinct lists of paths of one webhook's waits."""

WITHOUT_BODIES = (
    "The dispatcher's configuration has [inbound_webhooks] store_bodies off, so no task can wait for events."
)
"""Why no event can be compared."""


def register(waits: Collection[Wait], settings: Settings) -> None:
    """Store waits that tasks have registered; those that cannot be served are to fail their tasks."""
    for name in sorted({wait.webhook_name or "" for wait in waits}):
        with transaction() as connection:
            begin_writing(connection)
            # Inserts of deliveries lock the row too: an event is either committed before, and looked back at,
            # or sees that it is awaited.
            webhook = find_webhook(connection, name, locked=True)
            for wait in waits:
                if wait.webhook_name == name:
                    failure = _refusal(connection, webhook, wait, settings)
                    insert_waits(connection, [_stored(wait, webhook, failure)])
            if webhook is not None:
                matched_waits.set_awaited(connection, webhook.id, True)


def _stored(wait: Wait, webhook: Webhook | None, failure: str | None) -> Wait:
    if webhook is None or failure is not None:
        return replace(wait, failure=failure)
    return replace(wait, webhook_id=webhook.id, look_back_due=True)


def _refusal(connection: Connection, webhook: Webhook | None, wait: Wait, settings: Settings) -> str | None:
    """Why a wait cannot be served, as a sentence; None if it can."""
    if webhook is None:
        return f"There is no webhook {wait.webhook_name!r}."
    if webhook.source is not None:
        return (
            f"The webhook {webhook.name!r} gets the events of another webhook, for which tasks can wait: "
            f"name that one."
        )
    if wait.dag_id not in dags_that_may_wait(webhook):
        return (
            f"The DAG {wait.dag_id} may not wait for events of the webhook {webhook.name!r}: "
            f"add it to the webhook's waiting_dags (--waiting-dag {wait.dag_id})."
        )
    if not owner_of(connection, wait.dag_id).admits(webhook.team):
        return f"The DAG {wait.dag_id} belongs to another team than the webhook {webhook.name!r}."
    if not settings.store_bodies:
        return WITHOUT_BODIES
    return _definition_problem(wait) or _limit_problem(connection, webhook, wait)


def _definition_problem(wait: Wait) -> str | None:
    """What is wrong with paths and expressions; the operator has checked them, in the worker's version."""
    try:
        check_expressions(wait.result, wait.fail_when)
        if wait.match_expression is not None:
            compile_condition(wait.match_expression)
        if wait.match_paths is not None or wait.match_expression is None:
            canonical(wait.match)
    except TemplateRefused as error:
        return error.message
    except ValueError as error:
        return str(error)
    return None


def _limit_problem(connection: Connection, webhook: Webhook, wait: Wait) -> str | None:
    if wait.match_paths is None:
        if matched_waits.count_conditions(connection, webhook.id) < MAX_CONDITIONS:
            return None
        return (
            f"{MAX_CONDITIONS:,} tasks wait for the webhook {webhook.name!r} with match_expression alone; "
            "that is the limit. Use match, which has none."
        )
    paths, _ = matched_waits.compared_with(connection, webhook.id)
    if wait.match_paths in paths or len(paths) < MAX_PATH_LISTS:
        return None
    return (
        f"The waits for the webhook {webhook.name!r} have {MAX_PATH_LISTS} different lists of paths; "
        "that is the limit. Use the same paths in match."
    )
