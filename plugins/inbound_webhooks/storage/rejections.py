"""Statements on rejections; each runs on the caller's connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import (
    Connection,
    Select,
    delete,
    func,
    insert,
    select,
    union_all,
    update,
)

from inbound_webhooks.records.delivery import Rejection
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage import tables

KEPT_REJECTIONS = 50
"""Newest rejections of a webhook that are kept: anyone who knows its URL can cause any number of them."""


KEPT_KEY_URLS = 500
"""Newest URLs of public keys of a webhook, whose rejections stay even when newer ones push out the others."""

KEPT_KEY_URLS_PER_ADDRESS = 100
"""The part of them that requests of one source address can take."""


def wanted_key_urls(connection: Connection, webhook_id: str, since: datetime) -> list[tuple[str, str]]:
    """URL of a public key, and source address, of refused requests since then, each once, newest first."""
    columns = tables.rejection.c
    rows = connection.execute(
        select(columns.key_url, columns.source_ip)
        .where(columns.webhook_id == webhook_id, columns.key_url.is_not(None), columns.rejected_at >= since)
        .group_by(columns.key_url, columns.source_ip)
        .order_by(func.max(columns.id).desc())
    )
    return [(row.key_url, row.source_ip) for row in rows]


def insert_rejections(connection: Connection, rejections: Sequence[Rejection]) -> None:
    """Insert rejections, and delete all but the newest of each webhook, and the newest that name a key."""
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
            delete(tables.rejection).where(
                columns.webhook_id == webhook_id,
                columns.id.not_in(newest),
                columns.key_url.is_(None) | columns.id.not_in(_naming_keys(webhook_id)),
            )
        )


def keep_origin(connection: Connection, webhook: Webhook) -> None:
    """Write a webhook's name and DAG to its rejections, which are listed after its deletion."""
    connection.execute(
        update(tables.rejection)
        .where(tables.rejection.c.webhook_id == webhook.id)
        .values(webhook_name=webhook.name, dag_id=webhook.dag_id)
    )


def _naming_keys(webhook_id: str) -> Select[tuple[int]]:
    """Ids of the rejections that are kept for the keys they name: the newest of each URL and address."""
    columns = tables.rejection.c
    named = (
        select(func.max(columns.id).label("id"), columns.source_ip)
        .where(columns.webhook_id == webhook_id, columns.key_url.is_not(None))
        .group_by(columns.key_url, columns.source_ip)
        .subquery("named")
    )
    rank = func.row_number().over(partition_by=named.c.source_ip, order_by=named.c.id.desc())
    ranked = select(named.c.id, rank.label("rank")).subquery("ranked")
    fair = ranked.c.rank <= KEPT_KEY_URLS_PER_ADDRESS
    return select(ranked.c.id).where(fair).order_by(ranked.c.id.desc()).limit(KEPT_KEY_URLS)


def count_rejections(connection: Connection, webhook_ids: Sequence[str], since: datetime) -> dict[str, int]:
    """Rejections of some webhooks since then, of each at most the :data:`KEPT_REJECTIONS` newest ones."""
    columns = tables.rejection.c
    newest = [
        # SQLite accepts ORDER BY and LIMIT in a part of a UNION only inside a subquery.
        select(
            select(columns.webhook_id, columns.rejected_at)
            .where(columns.webhook_id == webhook_id)
            .order_by(columns.id.desc())
            .limit(KEPT_REJECTIONS)
            .subquery()
        )
        for webhook_id in webhook_ids
    ]
    if not newest:
        return {}
    found = union_all(*newest).subquery().c
    counted = select(found.webhook_id, func.count()).where(found.rejected_at >= since)
    return {row[0]: row[1] for row in connection.execute(counted.group_by(found.webhook_id))}


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
