"""A submitted form of a webhook: all of its problems at once, and whether Airflow knows its DAG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from inbound_webhooks.airflow_bridge.dag_cache import dag_states
from inbound_webhooks.errors import DefinitionError, Problem
from inbound_webhooks.files.plan import webhook_of
from inbound_webhooks.records.target import subject_of
from inbound_webhooks.records.webhook import Draft, Webhook
from inbound_webhooks.storage.credentials import list_credentials
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.webhooks import webhook_by_name
from inbound_webhooks.web.forms import WebhookForm, typed_secrets
from inbound_webhooks.webhooks import service
from inbound_webhooks.webhooks.access import Access
from inbound_webhooks.webhooks.secrets import NewSecret, check_secret


@dataclass(frozen=True)
class Submission:
    """A typed form; ``draft`` is None where it cannot be read, and ``problems`` say why."""

    draft: Draft | None
    secrets: Sequence[NewSecret]
    problems: list[Problem]


def read_submission(form: WebhookForm, form_data: Any, stored: Webhook | None, access: Access) -> Submission:
    """Read a form and find everything that would keep it from being saved; writes nothing."""
    problems = form.problems(form_data)
    secrets: Sequence[NewSecret] = typed_secrets(form_data)
    purposes = {secret.purpose for secret in secrets}
    if stored is not None:
        with transaction() as connection:
            purposes |= {held.purpose for held in list_credentials(connection, stored.id) if held.purpose}
    try:
        draft = form.draft(form_data, purposes, stored)
    except (DefinitionError, ValueError) as error:
        return Submission(None, secrets, _with(problems, _unreadable(error, problems)))
    return Submission(draft, secrets, _with(problems, _problems_of(draft, secrets, stored, access)))


def _unreadable(error: Exception, found: Sequence[Problem]) -> list[Problem]:
    """The problem of a draft that cannot be read, unless the form has found it already."""
    if isinstance(error, DefinitionError):
        return [error.problem]
    # A number that is none, which the form has found.
    return [] if found else [Problem("The form cannot be read.")]


def _problems_of(
    draft: Draft, secrets: Sequence[NewSecret], stored: Webhook | None, access: Access
) -> Iterator[Problem]:
    if not access.may_change(draft, "PUT" if stored else "POST"):
        yield not_permitted(draft)
        return
    if (problem := access.save_problem(draft, stored)) is not None:
        yield problem
    webhook = webhook_of(draft, stored)
    yield from service.problems_of(webhook)
    with transaction() as connection:
        same = webhook_by_name(connection, draft.name)
    if same is not None and (stored is None or same.id != stored.id):
        yield Problem(f"A webhook named {draft.name!r} already exists.", "name")
    for secret in secrets:
        try:
            check_secret(webhook, secret)
        except DefinitionError as error:
            # A definition that does not compile is reported with the field that is wrong.
            if error.problem.field == "secrets":
                yield error.problem


def not_permitted(draft: Draft) -> Problem:
    """The problem of a user who may not save a webhook with this target."""
    if draft.dag_id:
        return Problem("You may not trigger this Dag.", "dag_id")
    return Problem(
        f"You lack the permission {subject_of(draft).right('Dag')}.", "asset" if draft.asset else ""
    )


def _with(problems: list[Problem], more: Iterator[Problem] | list[Problem]) -> list[Problem]:
    """The problems, and those of further places."""
    places = {problem.place for problem in problems}
    return problems + [problem for problem in more if problem.place not in places]


def unknown_dag(draft: Draft, stored: Webhook | None) -> str | None:
    """The question before a webhook is saved for a DAG that Airflow does not know; None for known ones."""
    if not draft.dag_id or (stored is not None and stored.dag_id == draft.dag_id):
        return None
    with transaction() as connection:
        is_known = draft.dag_id in dag_states(connection, {draft.dag_id})
    return None if is_known else f"Airflow has no Dag {draft.dag_id}. Its deliveries wait until it exists."
