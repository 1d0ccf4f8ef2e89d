"""Statements that make deliveries and mails due which wait after a failed attempt."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, String, desc, literal, literal_column, select, text, update

from inbound_webhooks.records.delivery import State
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.deliveries import WAITING_ORDER

LONGEST_CLAIM = timedelta(minutes=5)
"""A mail whose next attempt is nearer may be on its way: its sender has claimed it for so long."""

MAX_WOKEN = 500
"""Deliveries that one transaction makes due."""


@dataclass(frozen=True)
class Waiting:
    """A webhook with deliveries for a DAG that wait after a failed attempt, and its team."""

    webhook_id: str
    dag_id: str
    team: str | None


def retry_delivery(connection: Connection, delivery_id: str, at: datetime) -> bool:
    """Make a delivery due; False if it does not wait after a failed attempt."""
    columns = tables.delivery.c
    where = (
        columns.id == delivery_id,
        text(tables.ACCEPTED),
        columns.attempts > 0,
        columns.next_attempt_at > at,
    )
    return connection.execute(update(tables.delivery).where(*where).values(next_attempt_at=at)).rowcount == 1


def retry_mails(connection: Connection, delivery_id: str, at: datetime) -> int:
    """Make the mails about a delivery due that wait after a failed attempt; return how many."""
    columns, listed = tables.mail.c, tables.mail_delivery.c
    ids = select(listed.mail_id).where(listed.delivery_id == delivery_id)
    waits = (text(tables.WAITING), columns.error.is_not(None), columns.next_attempt_at > at + LONGEST_CLAIM)
    changed = update(tables.mail).where(columns.id.in_(ids), *waits)
    return connection.execute(changed.values(next_attempt_at=at)).rowcount


def waiting_after_failure(connection: Connection, at: datetime, *, limit: int) -> list[Waiting]:
    """Webhooks with deliveries whose next attempt is later than a time; one probe of an index for each."""
    walk = select(_next_webhook(literal("", String())).label("webhook_id")).cte("walk", recursive=True)
    walk = walk.union_all(select(_next_webhook(walk.c.webhook_id)).where(walk.c.webhook_id.is_not(None)))
    team = select(tables.webhook.c.team).where(tables.webhook.c.id == walk.c.webhook_id).scalar_subquery()
    # The first and the last one: a webhook that got another DAG has deliveries for both.
    dag_ids = (_dag_id(walk, at, is_last=False).label("first"), _dag_id(walk, at, is_last=True).label("last"))
    query = select(walk.c.webhook_id, team.label("team"), *dag_ids)
    rows = connection.execute(query.where(walk.c.webhook_id.is_not(None)).limit(limit))
    found = {Waiting(row.webhook_id, dag_id, row.team) for row in rows for dag_id in (row.first, row.last)}
    return [each for each in found if each.dag_id is not None]


def _dag_id(walk: Any, at: datetime, *, is_last: bool) -> Any:
    columns = tables.delivery.alias().c
    order = (columns.webhook_id, columns.next_attempt_at, columns.id)
    late = (
        columns.state == _ACCEPTED,
        columns.webhook_id == walk.c.webhook_id,
        columns.next_attempt_at > at,
        columns.attempts > 0,
    )
    waiting = select(columns.dag_id).where(*late).order_by(*(map(desc, order) if is_last else order))
    return waiting.limit(1).correlate(walk).scalar_subquery()


def wake(connection: Connection, webhook_id: str, dag_ids: Collection[str], at: datetime) -> int:
    """Make deliveries of a webhook for these DAGs due that wait after a failed attempt; return how many."""
    columns = tables.delivery.c
    late = (columns.webhook_id == webhook_id, columns.next_attempt_at > at, columns.attempts > 0)
    waiting = select(columns.id).where(text(tables.ACCEPTED), columns.dag_id.in_(dag_ids), *late)
    waiting = waiting.order_by(*WAITING_ORDER).limit(MAX_WOKEN)
    ids = list(connection.scalars(waiting.with_for_update(skip_locked=True)))
    if ids:
        connection.execute(update(tables.delivery).where(columns.id.in_(ids)).values(next_attempt_at=at))
    return len(ids)


_ACCEPTED: Any = literal_column(f"'{State.ACCEPTED}'")


def _next_webhook(after: Any) -> Any:
    """The id of the next webhook with deliveries that wait for their run, due or not."""
    columns = tables.delivery.alias().c
    first = select(columns.webhook_id).where(columns.state == _ACCEPTED, columns.webhook_id > after)
    order = (columns.webhook_id, columns.next_attempt_at, columns.id)
    return first.order_by(*order).limit(1).scalar_subquery()
