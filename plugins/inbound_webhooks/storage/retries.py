"""Statements that make deliveries and mails due which wait after a failed attempt."""

from __future__ import annotations

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
    """A webhook with deliveries for a DAG or an asset that wait after a failed attempt, and its team.

    ``dag_id`` is empty where there is an ``asset``.
    """

    webhook_id: str
    dag_id: str
    asset: str | None
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
    # The first and the last one: a webhook that got another target has deliveries for both.
    targets = [
        _late(name, walk, at, is_last=is_last).label(f"{end}_{name}")
        for end, is_last in (("first", False), ("last", True))
        for name in ("dag_id", "asset")
    ]
    query = select(walk.c.webhook_id, team.label("team"), *targets)
    rows = connection.execute(query.where(walk.c.webhook_id.is_not(None)).limit(limit))
    found = {
        Waiting(row.webhook_id, dag_id, asset, row.team)
        for row in rows
        for dag_id, asset in ((row.first_dag_id, row.first_asset), (row.last_dag_id, row.last_asset))
    }
    return [each for each in found if each.dag_id is not None]


def _late(name: str, walk: Any, at: datetime, *, is_last: bool) -> Any:
    """A column of the first or last delivery of a webhook that waits after a failed attempt."""
    columns = tables.delivery.alias().c
    order = (columns.webhook_id, columns.next_attempt_at, columns.id)
    late = (
        columns.state == _ACCEPTED,
        columns.webhook_id == walk.c.webhook_id,
        columns.next_attempt_at > at,
        columns.attempts > 0,
    )
    waiting = select(columns[name]).where(*late).order_by(*(map(desc, order) if is_last else order))
    return waiting.limit(1).correlate(walk).scalar_subquery()


def wake(connection: Connection, waiting: Waiting, at: datetime) -> int:
    """Make deliveries of a webhook for a DAG or an asset due that wait after a failed attempt.

    Returns how many, at most MAX_WOKEN.
    """
    columns = tables.delivery.c
    late = (columns.webhook_id == waiting.webhook_id, columns.next_attempt_at > at, columns.attempts > 0)
    is_for_target = (columns.dag_id == waiting.dag_id, columns.asset.is_not_distinct_from(waiting.asset))
    chosen = select(columns.id).where(text(tables.ACCEPTED), *is_for_target, *late)
    chosen = chosen.order_by(*WAITING_ORDER).limit(MAX_WOKEN)
    ids = list(connection.scalars(chosen.with_for_update(skip_locked=True)))
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
