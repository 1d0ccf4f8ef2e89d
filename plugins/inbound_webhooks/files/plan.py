"""Plans an import: compares each webhook in the files with the stored one, field by field."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from inbound_webhooks.errors import (
    DefinitionError,
    FilesRefused,
    InvalidDefinition,
    Problem,
    TokenUnreadable,
)
from inbound_webhooks.event.differences import ABSENT, Difference, differences
from inbound_webhooks.event.verification.scheme import to_bytes
from inbound_webhooks.files.entry import Entry
from inbound_webhooks.files.references import PLAIN, resolve
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.credential import Credential
from inbound_webhooks.records.target import target_in_words
from inbound_webhooks.records.webhook import Draft, Webhook, json_fields
from inbound_webhooks.storage.credentials import list_credentials, secret_references
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.encryption import check_key, decrypt
from inbound_webhooks.storage.webhooks import ById, list_webhooks
from inbound_webhooks.webhooks import service
from inbound_webhooks.webhooks.readiness import bare_paths
from inbound_webhooks.webhooks.secrets import NewSecret, check_secret, missing_secrets

Action = Literal["create", "change", "keep", "delete"]

HIDDEN = "a secret"
NEW_SECRET = "a new secret"  # noqa: S105 - shown instead of the secret


@dataclass(frozen=True)
class Step:
    """The action for one webhook; ``stored`` is its current definition.

    ``hints`` are the secrets that it will wait for, and values that look like a mistake.
    """

    action: Action
    name: str
    dag_id: str
    file: str = ""
    draft: Draft | None = None
    stored: Webhook | None = None
    secrets: tuple[NewSecret, ...] = ()
    differences: tuple[Difference, ...] = ()
    hints: tuple[Problem, ...] = ()

    @property
    def target(self) -> str:
        """What its deliveries start, in words."""
        webhook = self.draft or self.stored
        return "" if webhook is None else target_in_words(webhook)


def plan(entries: Sequence[Entry], *, prune: bool = False) -> list[Step]:
    """The steps of an import; writes nothing.

    :param prune: delete stored webhooks that have no entry
    :raises FilesRefused: an entry is invalid; lists all problems
    :raises FernetKeyMalformed: secrets can be neither compared nor stored
    """
    check_key()
    with transaction() as connection:
        stored = {webhook.name: webhook for webhook in list_webhooks(connection)}
        credentials = {webhook.name: list_credentials(connection, webhook.id) for webhook in stored.values()}
        references = {webhook.name: secret_references(connection, webhook.id) for webhook in stored.values()}
    ids = {webhook.id for webhook in stored.values()}
    named = {entry.name for entry in entries}
    steps, problems = [], []
    for entry in entries:
        try:
            name = entry.name
            if name in ids and name not in stored:
                raise InvalidDefinition("name", service.NAME_IS_AN_ID)
            held = credentials.get(name, ())
            draft = _with_source(entry.draft(), stored, named)
            steps.append(_step(entry, draft, stored.get(name), held, references.get(name, {})))
        except DefinitionError as error:
            problems.append(entry.problem(error))
    if problems:
        raise FilesRefused([str(problem) for problem in problems])
    gone = [webhook for name, webhook in stored.items() if prune and name not in named]
    steps += [Step("delete", webhook.name, webhook.dag_id, stored=webhook) for webhook in gone]
    return sorted(steps, key=_order)


def _order(step: Step) -> int:
    """A webhook exists before those that get its events, and is deleted after them."""
    webhook = step.draft or step.stored
    is_route = webhook is not None and webhook.source is not None
    if step.action == "delete":
        return 2 if is_route else 3
    return 1 if is_route else 0


def _with_source(draft: Draft, stored: Mapping[str, Webhook], named: Collection[str]) -> Draft:
    """The draft with the id of its source, or its name if an entry creates it."""
    source = draft.source
    if source is None or source in {webhook.id for webhook in stored.values()}:
        return draft
    if source in stored:
        return replace(draft, source=stored[source].id)
    if source not in named:
        raise InvalidDefinition("source", f"there is no webhook {source!r}")
    return draft


def apply(steps: Sequence[Step], *, actor: str) -> None:
    """Carry out a plan, each step in its own transaction.

    :raises WebhookError: a concurrent change prevents a step; earlier steps stay committed
    """
    for step in steps:
        if step.action == "delete" and step.stored is not None:
            service.delete(ById(step.stored.id), actor=actor)
        elif step.action == "create" and step.draft is not None:
            service.create(step.draft, secrets=step.secrets, actor=actor, team=service.team_of(step.draft))
        elif step.action == "change" and step.draft is not None and step.stored is not None:
            service.change(
                step.stored.id,
                step.draft,
                version=step.stored.version,
                secrets=step.secrets,
                actor=actor,
                team=service.team_of(step.draft),
            )


def problems_of(entry: Entry, *, alone: bool) -> list[Problem]:
    """The problems of an entry; resolves no references and needs no database.

    :param alone: whether to name the secrets that the file lacks, since none are stored
    """
    try:
        webhook = webhook_of(entry.draft())
        service.check(webhook)
        missing = missing_secrets(webhook, set(entry.secrets)) if alone else []
    except DefinitionError as error:
        return [entry.problem(error)]
    hints = [*(replace(problem, severity="hint") for problem in missing), *bare_paths(webhook)]
    return [entry.placed(hint) for hint in hints] if alone else []


def webhook_of(draft: Draft, stored: Webhook | None = None) -> Webhook:
    """A draft as a webhook: a change of the stored one, or a new one without an id."""
    if stored is not None:
        return replace(stored, **vars(draft))
    now = utc_now()
    return Webhook(id="", created_at=now, updated_at=now, **vars(draft))


def _step(
    entry: Entry,
    draft: Draft,
    stored: Webhook | None,
    credentials: Sequence[Credential],
    references: Mapping[int, str],
) -> Step:
    webhook = webhook_of(draft, stored)
    service.check(webhook)
    given = [
        NewSecret(purpose, resolve(purpose, where), None if where.startswith(PLAIN) else where)
        for purpose, where in entry.secrets.items()
    ]
    for secret in given:
        check_secret(webhook, secret)
    held = held_secrets(credentials)
    hints = [*missing_secrets(webhook, set(held) | set(entry.secrets)), *bare_paths(webhook)]
    changed = [(secret, one) for secret in given for one in _secret_differences(secret, held, references)]
    secrets = tuple(secret for secret, _ in changed)
    found = [*differences(json_fields(stored) if stored else {}, json_fields(draft))]
    found += [one for _, one in changed]
    action: Action = "create" if stored is None else "change" if found else "keep"
    return Step(
        action, draft.name, draft.dag_id, entry.file, draft, stored, secrets, tuple(found), tuple(hints)
    )


def _secret_differences(
    secret: NewSecret, held: Mapping[str, Credential], references: Mapping[int, str]
) -> list[Difference]:
    """The difference in a secret, if any: its value or its reference."""
    place = f"secrets.{secret.purpose}"
    if not is_held(secret, held):
        return [Difference(place, HIDDEN if secret.purpose in held else ABSENT, NEW_SECRET)]
    stored_reference = references.get(held[secret.purpose].id)
    if secret.reference is None or secret.reference == stored_reference:
        return []
    return [Difference(place, stored_reference or HIDDEN, secret.reference)]


def held_secrets(credentials: Sequence[Credential]) -> dict[str, Credential]:
    """Purpose -> the newest valid secret."""
    now = utc_now()
    oldest_first = [held for held in reversed(credentials) if held.purpose and held.is_valid(now)]
    return {held.purpose: held for held in oldest_first}


def is_held(secret: NewSecret, held: Mapping[str, Credential]) -> bool:
    """Whether a secret equals the one stored for its purpose."""
    if secret.purpose not in held:
        return False
    try:
        stored = decrypt(held[secret.purpose].encrypted)
    except TokenUnreadable:
        return False
    return hmac.compare_digest(to_bytes(stored), to_bytes(secret.value))
