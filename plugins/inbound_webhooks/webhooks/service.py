"""Creates, changes and deletes webhooks, for command line, pages and API."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from inbound_webhooks.airflow_bridge.teams import current_team
from inbound_webhooks.errors import (
    DefinitionError,
    InvalidDefinition,
    Problem,
    WebhookChanged,
    WebhookExists,
    WebhookNotFound,
)
from inbound_webhooks.event.json_text import text_problem
from inbound_webhooks.event.verification.scheme import DEFAULT_PURPOSE
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.hold import NOT_A_WINDOW, Hold, TimeWindow
from inbound_webhooks.records.target import basis_of, dags_that_may_wait, target_problems
from inbound_webhooks.records.webhook import FIELDS, Draft, Webhook
from inbound_webhooks.settings import Settings, public_url
from inbound_webhooks.storage.activity_counts import forget_webhook
from inbound_webhooks.storage.audit_log import write_audit_entry
from inbound_webhooks.storage.batch_size import BatchSize
from inbound_webhooks.storage.captured import delete_captured_of, lock_captured, set_listening
from inbound_webhooks.storage.credentials import (
    delete_ending,
    delete_secrets,
    delete_tokens,
    end_secrets,
    end_tokens,
    insert_secret,
    insert_token,
    list_credentials,
)
from inbound_webhooks.storage.database import begin_writing, transaction
from inbound_webhooks.storage.deliveries import cancel_accepted
from inbound_webhooks.storage.encryption import decrypt, encrypt
from inbound_webhooks.storage.holds import forget_pace, hold_of_all, lock_hold_of_all
from inbound_webhooks.storage.matched_waits import fail_waits
from inbound_webhooks.storage.rejections import keep_origin
from inbound_webhooks.storage.webhooks import (
    ById,
    delete_webhook,
    find_webhook,
    insert_webhook,
    is_webhook_id,
    raise_source,
    update_webhook,
)
from inbound_webhooks.urls import TOKEN_BYTES, WEBHOOK_ID_CHARS, endpoint_url
from inbound_webhooks.webhooks.compiled import compile_webhook
from inbound_webhooks.webhooks.recipients import check_recipients
from inbound_webhooks.webhooks.routes import check_routes, with_source
from inbound_webhooks.webhooks.secrets import (
    NewSecret,
    check_secret,
    check_signing,
    event_filter,
    preset_fields,
    with_refreshed_keys,
)

MAX_GRACE_HOURS = 24 * 90
"""The longest time that an old URL or secret stays valid after a rotation."""

MAX_CANCELLED = 500
"""Deliveries that one transaction of a deletion cancels."""

NAME_IS_AN_ID = "it is the id of another webhook; choose another name"

_LETTERS = string.ascii_letters + string.digits
_URL_SAFE = _LETTERS + "-_"


def drafted(
    *,
    preset: str | None,
    purposes: Collection[str] = (),
    refresh_keys: bool = False,
    events: Sequence[str] = (),
    **fields: Any,
) -> Draft:
    """A draft in which a preset fills in every field that is not given.

    :param purposes: the purposes of the secrets; a scheme whose secret is optional is left out without one
    :param events: event types to accept; combined with the given filter
    :param refresh_keys: fetch the sender's public keys instead of asking for them
    :raises InvalidDefinition: the preset does not exist, does not publish keys, or has no event types
    """
    given = {*purposes, DEFAULT_PURPOSE} if refresh_keys else purposes
    settings = preset_fields(preset, given)
    if fields.get("source") is not None:
        # The webhook that the events come from verifies their senders, and recognises repetitions.
        settings |= {name: None for name in ("handshake", "dedup") if name in settings}
        settings["verification"] = ()
    settings |= fields
    if refresh_keys:
        settings["verification"] = with_refreshed_keys(settings.get("verification", ()))
    if events:
        settings["filter"] = event_filter(settings, events)
    return Draft(**settings, preset=preset)


def create(
    draft: Draft,
    *,
    actor: str,
    secrets: Sequence[NewSecret] = (),
    team: str | None = None,
    checked_source: Webhook | None = None,
) -> Webhook:
    """Store a new webhook with a new token.

    It may wait for its secrets: some senders generate theirs only once they have the URL.

    :param team: the team of the DAG, as it was when the actor's right to trigger it was checked
    :param checked_source: the webhook whose events it gets, as when the actor's right to it was checked
    :raises DefinitionError: a field or secret is invalid, or the name is taken
    :raises FernetKeyMissing: there is no key to encrypt the token with
    """
    now = utc_now()
    webhook = Webhook(id=_new_id(), created_at=now, updated_at=now, team=team, **vars(draft))
    check(webhook)
    for secret in secrets:
        check_secret(webhook, secret)
    token = encrypt(_new_token())
    sealed = [(secret.purpose, encrypt(secret.value), secret.reference) for secret in secrets]
    try:
        with transaction() as connection:
            begin_writing(connection)
            lock_hold_of_all(connection, shared=True)
            if hold_of_all(connection) is not None:
                webhook = replace(webhook, held_by_all=True)
            webhook = with_source(connection, webhook, checked=checked_source)
            insert_webhook(connection, webhook)
            _check_name(connection, webhook)
            insert_token(connection, webhook.id, token, now)
            for purpose, encrypted, reference in sealed:
                insert_secret(connection, webhook.id, purpose, encrypted, now, reference=reference)
            _audit(connection, "webhook.create", webhook, actor, {"mapping": dict(webhook.mapping)})
    except IntegrityError:
        raise WebhookExists(f"A webhook named {webhook.name!r} already exists.") from None
    return webhook


def team_of(draft: Draft) -> str | None:
    """The current team of a draft's DAG, for callers who may trigger every DAG: operators with a shell.

    Without a DAG there is none: such a webhook stands for no team.
    """
    return None if not draft.dag_id or text_problem(draft.dag_id) else current_team(draft.dag_id)


def check(webhook: Webhook) -> None:
    """Validate a definition.

    :raises DefinitionError: names the field and the reason
    """
    for error in _errors_of(webhook):
        raise error


def problems_of(webhook: Webhook) -> list[Problem]:
    """All problems of a definition at once, for a form; of its expressions only the first one."""
    return [error.problem for error in _errors_of(webhook)]


def _errors_of(webhook: Webhook) -> Iterator[DefinitionError]:
    for name, field in FIELDS.items():
        value = getattr(webhook, name)
        if reason := text_problem(value) or field.problem(value):
            yield InvalidDefinition(name, reason)
    yield from target_problems(webhook)
    if webhook.response_status in (204, 205) and webhook.response_template is not None:
        reason = f"{webhook.response_status} cannot have a body, so leave out the template"
        yield InvalidDefinition("response_status", reason)
    if webhook.start_window is not None and TimeWindow.parse(webhook.start_window) is None:
        yield InvalidDefinition("start_window", NOT_A_WINDOW)
    for check_one in (
        partial(check_recipients, "notify_success", webhook.notify_success),
        partial(check_recipients, "notify_failure", webhook.notify_failure),
        partial(compile_webhook, webhook),
    ):
        try:
            check_one()
        except DefinitionError as error:
            yield error


def get(name_or_id: str) -> Webhook:
    """A webhook by id or name.

    :raises WebhookNotFound: there is no such webhook
    """
    with transaction() as connection:
        return _find(connection, name_or_id)


def change(
    webhook_id: str,
    draft: Draft,
    *,
    actor: str,
    version: int,
    secrets: Sequence[NewSecret] = (),
    team: str | None = None,
    checked: Webhook | None = None,
    checked_source: Webhook | None = None,
) -> Webhook:
    """Replace a webhook's definition by a draft, and secrets by new ones for the same purpose.

    :param version: the version that the draft is based on
    :param team: the team of the draft's DAG, as in :func:`create`
    :param checked: the webhook for which the actor's permission was checked; None for operators with a shell
    :raises WebhookChanged: the webhook has another version by now; nothing is written
    :raises DefinitionError: a field or secret is invalid, or the name is taken
    :raises FernetKeyMissing: there is no key to encrypt a secret with
    """
    sealed = [(secret.purpose, encrypt(secret.value), secret.reference) for secret in secrets]
    now = utc_now()
    before = get(ById(webhook_id))
    webhook = replace(before, team=team, **vars(draft))
    has_other_users = basis_of(before) != basis_of(webhook)
    # Before the transaction: it compiles, for which SQLite's other writers would wait.
    check(webhook)
    for secret in secrets:
        check_secret(webhook, secret)
    try:
        with transaction() as connection:
            begin_writing(connection)
            if has_other_users:
                lock_captured(connection, webhook_id)
            held = _find_checked(connection, ById(webhook_id), checked)
            if held.version != version:
                raise WebhookChanged
            webhook = replace(held, team=team, **vars(draft), hold=_hold_after(held, draft))
            check_routes(connection, held, webhook, named=checked is None)
            webhook = with_source(connection, webhook, checked=checked_source)
            # A name from before this rule stays until the webhook is renamed.
            if webhook.name != held.name:
                _check_name(connection, webhook)
            held_for = _valid_purposes(connection, webhook_id, now)
            if checked is not None:
                check_signing(held, webhook, held_for - {secret.purpose for secret in secrets})
            update_webhook(connection, webhook, now)
            if has_other_users:
                # What was captured is for those who may read the runs of the former target.
                set_listening(connection, webhook_id, None)
                delete_captured_of(connection, webhook_id)
            no_longer = set(dags_that_may_wait(held)) - set(dags_that_may_wait(webhook))
            if no_longer:
                reason = f"The webhook {webhook.name!r} no longer lets this DAG wait for its events."
                fail_waits(connection, webhook_id, reason, dag_ids=no_longer)
            if held.source != webhook.source:
                raise_source(connection, held.source)
            for purpose, encrypted, reference in sealed:
                delete_secrets(connection, webhook_id, purpose)
                insert_secret(connection, webhook_id, purpose, encrypted, now, reference=reference)
            details = {"changed": _changed(held, webhook), "secrets": [secret.purpose for secret in secrets]}
            _audit(connection, "webhook.change", webhook, actor, details)
    except IntegrityError:
        raise WebhookExists(f"A webhook named {draft.name!r} already exists.") from None
    return webhook


def _hold_after(held: Webhook, draft: Draft) -> str | None:
    """Deliveries that were held outside of the former hours go on before new ones."""
    if held.start_window is not None and draft.start_window is None and held.hold is None:
        return Hold.RELEASING
    return held.hold


def _check_name(connection: Connection, webhook: Webhook) -> None:
    if webhook.name != webhook.id and is_webhook_id(connection, webhook.name):
        raise InvalidDefinition("name", NAME_IS_AN_ID)


def _find_checked(connection: Connection, name_or_id: str, checked: Webhook | None) -> Webhook:
    """Lock a webhook and check that it still is the one for which the actor's permission was checked.

    The permission itself is checked before: auth managers read with sessions of their own, which on SQLite
    cannot follow a transaction that writes, and in which they could wait for its locks.

    :raises WebhookChanged: its target or team has changed since, for which the actor may have no permission
    """
    held = _find(connection, name_or_id, locked=True)
    if checked is not None and (held.id, basis_of(held)) != (checked.id, basis_of(checked)):
        raise WebhookChanged
    return held


def _valid_purposes(connection: Connection, webhook_id: str, now: datetime) -> set[str]:
    held = list_credentials(connection, webhook_id)
    return {credential.purpose for credential in held if credential.purpose and credential.is_valid(now)}


def _changed(before: Webhook, after: Webhook) -> list[str]:
    """The names of the fields that differ, without their values."""
    return [name for name, value in vars(after).items() if getattr(before, name) != value]


def set_enabled(
    name_or_id: str,
    enabled: bool,
    *,
    actor: str,
    team: str | None = None,
    checked: Webhook | None = None,
) -> Webhook:
    """Enable or disable a webhook; once this returns, a disabled one accepts and starts nothing.

    :param team: with ``enabled``, the team of its DAG, as in :func:`create`
    :param checked: as in :func:`change`
    :raises WebhookChanged: its target or team has changed since the permission was checked
    """
    with transaction() as connection:
        begin_writing(connection)
        held = _find_checked(connection, name_or_id, checked)
        webhook = replace(held, enabled=enabled, team=team if enabled else held.team)
        update_webhook(connection, webhook, utc_now())
        _audit(connection, "webhook.enable" if enabled else "webhook.disable", webhook, actor, {})
    return webhook


def set_state(
    name_or_id: str,
    values: Mapping[str, Any],
    *,
    event: str,
    actor: str,
    details: Mapping[str, Any] | None = None,
    checked: Webhook | None = None,
) -> Webhook:
    """Change fields that are no part of the definition, and write an audit entry.

    :param checked: as in :func:`change`
    :raises WebhookChanged: its DAG or team has changed since the permission was checked
    """
    with transaction() as connection:
        begin_writing(connection)
        webhook = replace(_find_checked(connection, name_or_id, checked), **values)
        update_webhook(connection, webhook, utc_now())
        _audit(connection, event, webhook, actor, dict(details or {}))
    return webhook


def rotate(name_or_id: str, *, actor: str, grace_hours: float = 0, checked: Webhook | None = None) -> Webhook:
    """Give a webhook a new token; old ones expire after the grace period.

    Without a grace period they are invalid once this returns.

    :param checked: as in :func:`change`
    :raises WebhookChanged: its target or team has changed since the permission was checked
    :raises DefinitionError: the grace period is too long
    :raises FernetKeyMissing: there is no key to encrypt the token with
    """
    encrypted, now = encrypt(_new_token()), utc_now()
    ends_at = _end_of_grace(now, grace_hours)
    with transaction() as connection:
        begin_writing(connection)
        webhook = _find_checked(connection, name_or_id, checked)
        update_webhook(connection, webhook, now)
        if ends_at:
            end_tokens(connection, webhook.id, ends_at)
        else:
            delete_tokens(connection, webhook.id)
        insert_token(connection, webhook.id, encrypted, now)
        _audit(connection, "webhook.rotate", webhook, actor, {"grace_hours": grace_hours})
    return webhook


def _end_of_grace(now: datetime, hours: float) -> datetime | None:
    if not 0 <= hours <= MAX_GRACE_HOURS:
        raise DefinitionError(f"The grace period must be between 0 and {MAX_GRACE_HOURS:,} hours.")
    return now + timedelta(hours=hours) if hours else None


def rotate_secret(
    name_or_id: str,
    secret: NewSecret,
    *,
    actor: str,
    grace_hours: float = 0,
    checked: Webhook | None = None,
) -> Webhook:
    """Give a webhook a new secret for one purpose; old ones expire after the grace period.

    :param checked: as in :func:`change`
    :raises WebhookChanged: its target or team has changed since the permission was checked
    :raises DefinitionError: the secret is invalid, or the grace period too long
    :raises FernetKeyMissing: there is no key to encrypt it with
    """
    encrypted, now = encrypt(secret.value), utc_now()
    ends_at = _end_of_grace(now, grace_hours)
    with transaction() as connection:
        begin_writing(connection)
        webhook = _find_checked(connection, name_or_id, checked)
        check_secret(webhook, secret)
        update_webhook(connection, webhook, now)
        if ends_at:
            end_secrets(connection, webhook.id, secret.purpose, ends_at)
        else:
            delete_secrets(connection, webhook.id, secret.purpose)
        insert_secret(connection, webhook.id, secret.purpose, encrypted, now)
        details = {"purpose": secret.purpose, "grace_hours": grace_hours}
        _audit(connection, "webhook.rotate_secret", webhook, actor, details)
    return webhook


def end_grace(name_or_id: str, *, actor: str, checked: Webhook | None = None) -> int:
    """End the grace period of a webhook's old URLs and secrets now; return how many there were.

    Once this returns, they are invalid; the newest ones stay.

    :param checked: as in :func:`change`
    :raises WebhookChanged: its target or team has changed since the permission was checked
    """
    now = utc_now()
    with transaction() as connection:
        begin_writing(connection)
        webhook = _find_checked(connection, name_or_id, checked)
        ending = [
            held
            for held in list_credentials(connection, webhook.id)
            if held.expires_at is not None and held.source_url is None
        ]
        delete_ending(connection, webhook.id)
        if ended := [held for held in ending if held.is_valid(now)]:
            # Raises the version, so that no request is accepted that was checked with one of them.
            update_webhook(connection, webhook, now)
            _audit(connection, "webhook.end_grace", webhook, actor, {"ended": len(ended)})
    return len(ended)


def delete(
    name_or_id: str,
    *,
    actor: str,
    checked: Webhook | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Delete a webhook and cancel its waiting deliveries; return how many were cancelled.

    Many deliveries are cancelled in small transactions, so that no other webhook waits. The first of them
    disables the webhook; where a failure ends the deletion early, it stays disabled and can be deleted again.

    :param checked: as in :func:`change`
    :raises WebhookChanged: its target or team has changed since the permission was checked
    :raises DatabaseUnavailable: the webhook was not deleted
    """
    found, cancelled, size = name_or_id, 0, BatchSize(MAX_CANCELLED)
    while True:
        started, limit = time.monotonic(), size.rows
        with transaction() as connection:
            begin_writing(connection)
            webhook = _find_checked(connection, found, checked)
            fail_waits(connection, webhook.id, f"The webhook {webhook.name!r} was deleted.")
            check_routes(connection, webhook, None, named=checked is None)
            # Before the deliveries: a request to the source commits none for the route after that.
            raise_source(connection, webhook.source)
            done = cancel_accepted(connection, webhook.id, limit)
            cancelled += done
            if done < limit:
                keep_origin(connection, webhook)
                delete_webhook(connection, webhook.id)
                forget_webhook(connection, webhook.id)
                forget_pace(connection, webhook.id)
                _audit(connection, "webhook.delete", webhook, actor, {"cancelled": cancelled})
                return cancelled
            if webhook.enabled:
                update_webhook(connection, replace(webhook, enabled=False), utc_now())
                _audit(connection, "webhook.disable", webhook, actor, {"cancelled": cancelled})
        found = ById(webhook.id)
        seconds = time.monotonic() - started
        size.adapt(seconds)
        # As long as the transaction took: SQLite's other writers get at least half of the time.
        pause(seconds)


def url(webhook: Webhook) -> str:
    """The URL for the sender, with the webhook's newest token; "" where another webhook has the sender.

    :raises TokenUnreadable: the token cannot be decrypted
    """
    if webhook.source is not None:
        return ""
    with transaction() as connection:
        held = list_credentials(connection, webhook.id)
    newest = next(credential for credential in held if not credential.purpose)
    return endpoint_url(public_url(Settings.load()), webhook.id, decrypt(newest.encrypted))


def _find(connection: Connection, name_or_id: str, *, locked: bool = False) -> Webhook:
    webhook = find_webhook(connection, name_or_id, locked=locked)
    if webhook is None:
        raise WebhookNotFound(f"There is no webhook {name_or_id!r}.")
    return webhook


def _audit(connection: Connection, event: str, webhook: Webhook, actor: str, details: dict[str, Any]) -> None:
    write_audit_entry(
        connection,
        event=event,
        dag_id=webhook.dag_id or None,
        actor=actor,
        at=utc_now(),
        details={"webhook": webhook.name, "webhook_id": webhook.id, **details},
    )


def _new_id() -> str:
    # An id must not begin with a hyphen: commands would take it for an option.
    return secrets.choice(_LETTERS) + "".join(secrets.choice(_URL_SAFE) for _ in range(WEBHOOK_ID_CHARS - 1))


def _new_token() -> str:
    return secrets.token_hex(TOKEN_BYTES)
