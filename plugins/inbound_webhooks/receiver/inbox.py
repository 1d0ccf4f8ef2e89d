"""The durable write: a delivery is committed here, or it was never accepted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection

from inbound_webhooks.storage import queries
from inbound_webhooks.storage.database import at_once, begin_writing, transaction
from inbound_webhooks.storage.queries import Delivery, State

log = logging.getLogger(__name__)


class Inbox:
    """Commits deliveries and tells whoever waits for accepted ones."""

    def __init__(self, *, store_bodies: bool = True) -> None:
        self._store_bodies = store_bodies
        self._listeners: list[Callable[[], None]] = []

    def on_accepted(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each commit of an accepted delivery; it must return at once."""
        self._listeners.append(listener)

    def commit(self, delivery: Delivery, version: int, *, actor: str | None = None) -> str | None:
        """Write a delivery if its webhook is still as it was at ``version``; else write nothing.

        Returns the id under which the event is stored: the delivery's own, or that of an earlier one which
        holds its deduplication key; None where the webhook has changed.

        A webhook that is disabled, deleted or changed after this transaction has its lock waits for it; one
        that was changed before is seen here. With an ``actor`` the audit log names who did it.

        :raises DatabaseUnavailable: nothing was written, as far as we know
        """
        if not self._store_bodies:
            delivery = replace(delivery, body=b"", body_stored=False)
        if actor is None:
            stored = at_once(lambda connection: queries.store(connection, delivery, version))
        else:
            stored = _store_with_audit(delivery, version, actor)
        if stored == delivery.id and delivery.state == State.ACCEPTED:
            self._tell()
        return stored

    def _tell(self) -> None:
        for listener in self._listeners:
            try:
                listener()
            except Exception as error:  # noqa: BLE001 - the delivery is committed, and its answer must say so
                log.error("inbox listener failed action=listener_failed kind=%s", type(error).__name__)


def _store_with_audit(delivery: Delivery, version: int, actor: str) -> str | None:
    with transaction() as connection:
        begin_writing(connection)
        stored = queries.store(connection, delivery, version)
        if stored == delivery.id:
            _audit_replay(connection, delivery, actor)
    return stored


def _audit_replay(connection: Connection, delivery: Delivery, actor: str) -> None:
    queries.audit(
        connection,
        event="webhook.replay",
        dag_id=delivery.dag_id,
        actor=actor,
        at=delivery.received_at,
        details={"webhook": delivery.webhook_name, "delivery": delivery.id, "replay_of": delivery.replay_of},
    )
