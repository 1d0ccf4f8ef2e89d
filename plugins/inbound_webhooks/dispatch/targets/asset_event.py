"""Creates the asset events of deliveries: one for each, in the transaction that records it.

A delivery has succeeded once its event is recorded: which DAGs take it, and how many events become one run,
is Airflow's matter. Locks are taken in this order: mails, then assets by their ids. Airflow's own processes
lock assets as well, so they come last and are held for a moment only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from inbound_webhooks.airflow_bridge.assets import Callback, FoundAsset, NewEvent, create_events, find_asset
from inbound_webhooks.errors import AssetUnavailable
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.records.delivery import State
from inbound_webhooks.storage import claims
from inbound_webhooks.storage.claims import ClaimedDelivery
from inbound_webhooks.storage.mails import MailState, write_mails
from inbound_webhooks.storage.outcomes import outcome_without_run


class AssetEvents:
    """The events of a batch, all or none: one failure rolls back the transaction."""

    def __init__(self, digest_window_seconds: float) -> None:
        self._digest_window_seconds = digest_window_seconds

    def create(self, session: Session, batch: Sequence[ClaimedDelivery], at: datetime) -> list[Callback]:
        """Create the events, and record them; returns what is to be called after the commit.

        :raises AssetUnavailable: an asset is unknown, or no DAG file names it
        """
        connection = session.connection()
        named = {asset: _usable(connection, asset) for asset in {each.asset or "" for each in batch}}
        written = write_mails(
            connection,
            [outcome_without_run(delivery, State.SUCCEEDED, at) for delivery in batch],
            at=at,
            digest_window_seconds=self._digest_window_seconds,
        )
        callbacks: list[Callback] = [partial(metrics.count, f"mails.{MailState.WAITING}", written)]
        ordered = sorted(batch, key=lambda each: named[each.asset or ""].id)
        new = [
            NewEvent(named[each.asset or ""], extra_of(each), each.partition_key, each.team)
            for each in ordered
        ]
        ids = create_events(session, new, callbacks)
        events = {delivery.id: event_id for delivery, event_id in zip(ordered, ids, strict=True)}
        claims.mark_events(connection, events, at=at)
        return callbacks


def extra_of(delivery: ClaimedDelivery) -> dict[str, Any]:
    """The event's extra: the mapped data, and where it comes from."""
    conf: dict[str, Any] = json.loads(delivery.conf or "{}")
    return conf | {"from_webhook": delivery.webhook_name, "delivery_id": delivery.id}


def _usable(connection: Connection, asset: str) -> FoundAsset:
    """An asset; one that no DAG file names any more is waited for, like a DAG that is gone."""
    found = find_asset(connection, asset)
    if found is None or not found.is_active:
        raise AssetUnavailable(asset)
    return found
