"""The durable write: a delivery is committed here, or it was never accepted."""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec.structs import replace
from sqlalchemy import Connection

from inbound_webhooks.deliveries.store.base import DeliveryStore
from inbound_webhooks.records.delivery import Delivery, State
from inbound_webhooks.storage.audit_log import write_audit_entry
from inbound_webhooks.storage.database import begin_writing, transaction
from inbound_webhooks.storage.deliveries import insert_delivery

log = logging.getLogger(__name__)


class Inbox:
    """Commits deliveries and notifies the listeners of accepted ones."""

    def __init__(self, store: DeliveryStore, *, store_bodies: bool = True) -> None:
        self._store = store
        self._store_bodies = store_bodies
        self._listeners: list[Callable[[], None]] = []

    def on_accepted(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each commit of an accepted delivery; it must return at once."""
        self._listeners.append(listener)

    async def commit(self, delivery: Delivery, version: int) -> str | None:
        """Write a delivery if its webhook still has this version; else write nothing.

        Returns the id under which the event is stored: the delivery's own, or that of an earlier one which
        holds its deduplication key; None where the webhook has changed.

        A transaction that disables, deletes or changes the webhook waits for this one once it has its lock;
        an earlier one is seen here.

        :raises DatabaseUnavailable: nothing was written, as far as we know
        """
        if not self._store_bodies:
            delivery = _without_body(delivery)
        stored_id = await self._store.insert((delivery, version))
        if stored_id == delivery.id and delivery.state == State.ACCEPTED:
            self._notify()
        return stored_id

    def commit_as(self, actor: str, delivery: Delivery, version: int) -> str | None:
        """The same for a user, whom the audit log names; blocks."""
        if not self._store_bodies:
            delivery = _without_body(delivery)
        stored_id = _store_with_audit(delivery, version, actor)
        if stored_id == delivery.id and delivery.state == State.ACCEPTED:
            self._notify()
        return stored_id

    def _notify(self) -> None:
        for listener in self._listeners:
            try:
                listener()
            except Exception as error:  # noqa: BLE001 - the delivery is committed, and its response must say so
                log.error("inbox listener failed action=listener_failed kind=%s", type(error).__name__)


def _without_body(delivery: Delivery) -> Delivery:
    return replace(delivery, body=b"", body_stored=False)


def _store_with_audit(delivery: Delivery, version: int, actor: str) -> str | None:
    with transaction() as connection:
        begin_writing(connection)
        stored = insert_delivery(connection, delivery, version)
        if stored == delivery.id:
            _audit_replay(connection, delivery, actor)
    return stored


def _audit_replay(connection: Connection, delivery: Delivery, actor: str) -> None:
    write_audit_entry(
        connection,
        event="webhook.replay",
        dag_id=delivery.dag_id,
        actor=actor,
        at=delivery.received_at,
        details={"webhook": delivery.webhook_name, "delivery": delivery.id, "replay_of": delivery.replay_of},
    )
