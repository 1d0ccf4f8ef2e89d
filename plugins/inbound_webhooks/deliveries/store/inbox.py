"""The durable write: only a delivery that is committed here is accepted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace
from sqlalchemy import Connection

from inbound_webhooks.deliveries.store.backend import LeftOut
from inbound_webhooks.deliveries.store.base import DeliveryStore
from inbound_webhooks.errors import AlreadyClaimed
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.records.delivery import Delivery, State
from inbound_webhooks.records.wait import Wait
from inbound_webhooks.storage.audit_log import write_audit_entry
from inbound_webhooks.storage.database import begin_writing, transaction
from inbound_webhooks.storage.deliveries import insert_replay
from inbound_webhooks.storage.waits import insert_call, insert_waits

log = get_logger(__name__)


class Inbox:
    """Commits deliveries and notifies the listeners of accepted ones."""

    def __init__(self, store: DeliveryStore, *, store_bodies: bool = True) -> None:
        self._store = store
        self._store_bodies = store_bodies
        self._listeners: list[Callable[[], None]] = []
        self._call_listeners: list[Callable[[], None]] = []
        self._group_listeners: list[Callable[[], None]] = []

    def on_accepted(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each commit of an accepted delivery; it must return at once."""
        self._listeners.append(listener)

    def on_called(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each commit of the call of a waiting task; it must return at once."""
        self._call_listeners.append(listener)

    def on_grouped(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each commit of a delivery that waits for others of its group; it must
        return at once."""
        self._group_listeners.append(listener)

    async def commit(self, delivery: Delivery, version: int, children: Sequence[Delivery] = ()) -> str | None:
        """Write a delivery if its webhook still has this version; otherwise write nothing.

        Its children are written with it, without those whose deduplication keys earlier deliveries have.

        Returns the id under which the event is stored: the delivery's own, or that of an earlier one with the
        same deduplication key; None if the webhook has changed.

        Once this transaction has its lock, a transaction that disables, deletes or changes the webhook waits
        for it; the effect of an earlier one is visible here.

        :raises DatabaseUnavailable: probably nothing was written
        :raises TooBusy: too many requests of the webhook wait for a change of it
        """
        if not self._store_bodies:
            delivery, children = _without_body(delivery), list(map(_without_body, children))
        given = (delivery, version, children)
        stored_id = await self._store.insert(given)
        if isinstance(stored_id, LeftOut):
            stored_id = await self._store.insert_left_out(given, stored_id)
        if self._listeners and stored_id == delivery.id:
            self._notify(delivery, children)
        return stored_id

    def commit_as(
        self, actor: str, delivery: Delivery, version: int, children: Sequence[Delivery] = ()
    ) -> str | None:
        """Commit a user's replay and write it to the audit log; blocks."""
        if not self._store_bodies:
            delivery, children = _without_body(delivery), list(map(_without_body, children))
        stored_id = _store_with_audit(delivery, version, actor, children)
        if stored_id == delivery.id:
            self._notify(delivery, children)
        return stored_id

    def commit_claimed(
        self,
        delivery: Delivery,
        version: int,
        claim: Callable[[Connection], bool],
        children: Sequence[Delivery] = (),
    ) -> str | None:
        """Commit a replay together with a claim that makes it the only one; blocks.

        Returns None, with nothing written, if the webhook has no longer this version.

        :param claim: writes in the same transaction; False if the replay was claimed already
        :raises AlreadyClaimed: nothing was written
        """
        if not self._store_bodies:
            delivery, children = _without_body(delivery), list(map(_without_body, children))
        with transaction() as connection:
            begin_writing(connection)
            if not claim(connection):
                raise AlreadyClaimed
            stored_id = insert_replay(connection, delivery, version, children)
            if stored_id not in (None, delivery.id):
                # Another delivery has the event's key, but the user asked for this replay explicitly.
                again = replace(delivery, dedup_key=None)
                stored_id = insert_replay(connection, again, version, children)
            if stored_id is None:
                connection.get_transaction().rollback()  # type: ignore[union-attr]
        if stored_id is not None:
            self._notify(delivery, children)
        return stored_id

    def commit_call(self, delivery: Delivery, wait: Wait) -> str | None:
        """Commit the call of a waiting task, and its wait where that is not stored yet; blocks.

        Returns the id under which the call is stored: the delivery's own, or that of the first call; None if
        the wait ended without one.
        """
        if not self._store_bodies:
            delivery = _without_body(delivery)
        with transaction() as connection:
            begin_writing(connection)
            insert_waits(connection, [wait])
            stored_id = insert_call(connection, delivery, token_sha256=wait.token_sha256)
        if stored_id == delivery.id:
            _call_each(self._call_listeners)
        return stored_id

    def _notify(self, delivery: Delivery, children: Sequence[Delivery] = ()) -> None:
        states = {each.state for each in (delivery, *children)}
        if State.ACCEPTED in states:
            _call_each(self._listeners)
        if not states.isdisjoint(State.GROUPED):
            _call_each(self._group_listeners)


def _call_each(listeners: Sequence[Callable[[], None]]) -> None:
    for listener in listeners:
        try:
            listener()
        except Exception as error:  # noqa: BLE001 - the delivery is committed, so the response must be 2xx
            log.error("inbox listener failed action=listener_failed kind=%s", type(error).__name__)


def _without_body(delivery: Delivery) -> Delivery:
    return replace(delivery, body=b"", body_stored=False)


def _store_with_audit(
    delivery: Delivery, version: int, actor: str, children: Sequence[Delivery]
) -> str | None:
    with transaction() as connection:
        begin_writing(connection)
        stored = insert_replay(connection, delivery, version, children)
        if stored == delivery.id:
            _audit_replay(connection, delivery, actor)
    return stored


def _audit_replay(connection: Connection, delivery: Delivery, actor: str) -> None:
    write_audit_entry(
        connection,
        event="webhook.replay",
        dag_id=delivery.dag_id or None,
        actor=actor,
        at=delivery.received_at,
        details={"webhook": delivery.webhook_name, "delivery": delivery.id, "replay_of": delivery.replay_of},
    )
