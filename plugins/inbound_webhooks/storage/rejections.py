"""Statements on rejections; each runs on the caller's connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import (
    Connection,
    delete,
    func,
    insert,
    select,
)

from inbound_webhooks.records.delivery import Rejection
from inbound_webhooks.storage import tables

KEPT_REJECTIONS = 50
"""Newest rejections of a webhook that are kept: anyone who knows its URL can cause any number of them."""


def wanted_key_urls(connection: Connection, webhook_id: str, since: datetime) -> list[str]:
    """URLs of public keys that refused requests named since then, each once, newest first."""
    columns = tables.rejection.c
    rows = connection.execute(
        select(columns.key_url)
        .where(columns.webhook_id == webhook_id, columns.key_url.is_not(None), columns.rejected_at >= since)
        .group_by(columns.key_url)
        .order_by(func.max(columns.id).desc())
    )
    return [row.key_url for row in rows]


def insert_rejections(connection: Connection, rejections: Sequence[Rejection]) -> None:
    """Insert rejections, and delete all but the newest of each webhook."""
    connection.execute(insert(tables.rejection), [asdict(rejection) for rejection in rejections])
    columns = tables.rejection.c
    # In the same transaction as the insert, so the table stays small whatever happens afterwards.
    for webhook_id in {rejection.webhook_id for rejection in rejections}:
        # Ids grow with time, and are indexed together with the webhook.
        newest = (
            select(columns.id)
            .where(columns.webhook_id == webhook_id)
            .order_by(columns.id.desc())
            .limit(KEPT_REJECTIONS)
        )
        connection.execute(
            delete(tables.rejection).where(columns.webhook_id == webhook_id, columns.id.not_in(newest))
        )


def list_rejections(connection: Connection, webhook_id: str, limit: int) -> list[Rejection]:
    """A webhook's rejections, newest first."""
    columns = tables.rejection.c
    rows = connection.execute(
        select(*(columns[name] for name in Rejection.__dataclass_fields__))
        .where(columns.webhook_id == webhook_id)
        .order_by(columns.id.desc())
        .limit(limit)
    )
    return [Rejection(**row._mapping) for row in rows]
