"""Rejections as the pages show them, with the names of their webhooks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from inbound_webhooks.records.target import Origin
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.origins import among, owner, webhook_origins

MOST_COUNTED = 10_000
"""Newest rejections that are counted and listed."""


@dataclass(frozen=True)
class ReasonCount:
    """How often requests were rejected for a reason, of how many webhooks, and when the last time."""

    reason: str
    status: int
    number: int
    webhooks: int
    last_at: datetime


def by_reason(
    connection: Connection, visible: Collection[Origin] | None, webhook_id: str = ""
) -> list[ReasonCount]:
    """The reasons of the newest rejections, the most frequent first.

    :param visible: the origins whose webhooks count, None for all
    """
    found = _newest(visible, webhook_id).subquery().c
    number = func.count()
    rows = connection.execute(
        select(
            found.reason,
            found.status,
            number,
            func.count(found.webhook_id.distinct()),
            func.max(found.rejected_at),
        )
        .group_by(found.reason, found.status)
        .order_by(number.desc(), found.reason)
    )
    return [ReasonCount(*row) for row in rows]


def newest(
    connection: Connection,
    visible: Collection[Origin] | None,
    webhook_id: str = "",
    *,
    reason: str,
    limit: int,
) -> list[Any]:
    """The newest rejections, newest first; ``reason`` "" for any.

    Each has ``webhook_name``, ``dag_id`` and ``is_deleted``, of its webhook.
    """
    found = _newest(visible, webhook_id).subquery()
    query = select(found).order_by(found.c.id.desc()).limit(limit)
    return list(connection.execute(query.where(found.c.reason == reason) if reason else query))


def named_origins(connection: Connection) -> set[Origin]:
    """The origins of all webhooks, and of deleted ones that have a rejection among the newest."""
    recent = _recent("").subquery().c
    of_deleted = select(recent.dag_id, owner(recent.dag_id, recent.webhook_id)).where(
        recent.dag_id.is_not(None)
    )
    return webhook_origins(connection) | {Origin(*row) for row in connection.execute(of_deleted.distinct())}


def _newest(visible: Collection[Origin] | None, webhook_id: str) -> Any:
    # Limited before the join, so that few rows are read whatever the user may see.
    recent, webhook = _recent(webhook_id).subquery(), tables.webhook.c
    dag_id = func.coalesce(webhook.dag_id, recent.c.dag_id)
    query = select(
        *(column for column in recent.c if column.name not in ("webhook_name", "dag_id")),
        func.coalesce(webhook.name, recent.c.webhook_name).label("webhook_name"),
        dag_id.label("dag_id"),
        webhook.id.is_(None).label("is_deleted"),
    ).join_from(recent, tables.webhook, webhook.id == recent.c.webhook_id, isouter=True)
    # Without a DAG it is not known who may see it: it was written while its webhook was being deleted.
    return query.where(
        dag_id.is_not(None) if visible is None else among(dag_id, recent.c.webhook_id, visible)
    )


def _recent(webhook_id: str) -> Any:
    columns = tables.rejection.c
    rows = select(tables.rejection).order_by(columns.id.desc()).limit(MOST_COUNTED)
    return rows.where(columns.webhook_id == webhook_id) if webhook_id else rows
