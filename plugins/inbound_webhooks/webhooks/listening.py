"""Listening for requests: a user sees the next requests to a webhook's URL for some minutes."""

from __future__ import annotations

from datetime import datetime, timedelta

from inbound_webhooks.errors import TooManyListeners, WebhookChanged, WebhookNotFound
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.target import basis_of
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage.audit_log import write_audit_entry
from inbound_webhooks.storage.captured import (
    count_listeners,
    delete_captured_of,
    lock_listeners,
    set_listening,
)
from inbound_webhooks.storage.database import begin_writing, transaction
from inbound_webhooks.storage.webhooks import ById, find_webhook


def start(checked: Webhook, settings: Settings, *, actor: str, now: datetime | None = None) -> datetime:
    """Let a webhook listen, and return until when; one that listens already goes on.

    :param checked: the webhook for which the actor's permissions were checked
    :raises TooManyListeners: as many others listen as may
    :raises WebhookChanged: its target or team has changed since then
    """
    now = now or utc_now()
    until = now + timedelta(seconds=settings.listening_seconds)
    with transaction() as connection:
        begin_writing(connection)
        lock_listeners(connection)
        held = find_webhook(connection, ById(checked.id), locked=True)
        if held is None:
            raise WebhookNotFound
        if basis_of(held) != basis_of(checked):
            raise WebhookChanged
        if is_listening(held, now) and held.listening_until is not None:
            return held.listening_until
        if count_listeners(connection, now) >= settings.max_listeners:
            raise TooManyListeners
        delete_captured_of(connection, held.id)
        set_listening(connection, held.id, until)
        write_audit_entry(
            connection,
            event="webhook.listen",
            dag_id=held.dag_id or None,
            actor=actor,
            at=now,
            details={"webhook": held.name, "until": until.isoformat()},
        )
    return until


def stop(checked: Webhook) -> None:
    """Let a webhook stop to listen; what it has captured stays until it expires."""
    with transaction() as connection:
        begin_writing(connection)
        set_listening(connection, checked.id, None)


def is_listening(webhook: Webhook, now: datetime) -> bool:
    """Whether its page shows the requests that come now."""
    return webhook.listening_until is not None and webhook.listening_until > now
