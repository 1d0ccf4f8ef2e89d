"""Rejections as the pages show them, with the names of their webhooks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from inbound_webhooks.storage import tables

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
    connection: Connection, dag_ids: Collection[str] | None, webhook_id: str = ""
) -> list[ReasonCount]:
    """The reasons of the newest rejections, the most frequent first.

    :param dag_ids: the DAGs whose webhooks count, None for all
    """
    found = _newest(dag_ids, webhook_id).subquery().c
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
    connection: Connection, dag_ids: Collection[str] | None, webhook_id: str = "", *, reason: str, limit: int
) -> list[Any]:
    """The newest rejections, newest first, with ``webhook_name`` and ``dag_id``; ``reason`` "" for any."""
    found = _newest(dag_ids, webhook_id).subquery()
    query = select(found).order_by(found.c.id.desc()).limit(limit)
    return list(connection.execute(query.where(found.c.reason == reason) if reason else query))


def _newest(dag_ids: Collection[str] | None, webhook_id: str) -> Any:
    columns, webhook = tables.rejection.c, tables.webhook.c
    rows = select(tables.rejection)
    if webhook_id:
        rows = rows.where(columns.webhook_id == webhook_id)
    # Limited before the join, so that few rows are read whatever the user may see.
    recent = rows.order_by(columns.id.desc()).limit(MOST_COUNTED).subquery()
    query = select(recent, webhook.name.label("webhook_name"), webhook.dag_id).join(
        tables.webhook, webhook.id == recent.c.webhook_id
    )
    return query if dag_ids is None else query.where(webhook.dag_id.in_(sorted(dag_ids)))
