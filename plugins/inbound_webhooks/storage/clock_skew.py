"""Reschedules deliveries and mails whose due time was set by a host with a wrong clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, Table, select, text, update

from inbound_webhooks.event.retry import MAIL_DELAYS_SECONDS, RETRY_DELAYS_SECONDS
from inbound_webhooks.storage import tables

LONGEST_DELAY = timedelta(seconds=max(RETRY_DELAYS_SECONDS))

LONGEST_MAIL_DELAY = timedelta(seconds=max(MAIL_DELAYS_SECONDS))

MAX_RESCHEDULED = 500
"""Deliveries, or mails, of one transaction; the rest follows with the next heartbeat."""


def is_scheduled_too_late(connection: Connection, now: datetime, digest_window: timedelta) -> bool:
    """Whether there is anything to reschedule; checked without a lock, since there mostly is nothing."""
    found = select(_late_deliveries(now).exists() | _late_mails(now, digest_window).exists())
    return bool(connection.scalar(found))


def reschedule_future_attempts(connection: Connection, now: datetime) -> int:
    """Make deliveries due that were scheduled by a clock running ahead; return how many."""
    return _make_due(connection, tables.delivery, _late_deliveries(now), now)


def reschedule_future_mails(connection: Connection, now: datetime, digest_window: timedelta) -> int:
    """Make mails due that are scheduled later than any retry or digest would be; return how many."""
    return _make_due(connection, tables.mail, _late_mails(now, digest_window), now)


def _late_deliveries(now: datetime) -> Select[Any]:
    """A delivery without an attempt is due at once, and no retry is scheduled later than LONGEST_DELAY: a due
    time beyond that can only come from another clock."""
    columns = tables.delivery.c
    never_tried = columns.attempts == 0
    too_late = columns.next_attempt_at > now + LONGEST_DELAY
    is_late = (text(tables.ACCEPTED), columns.next_attempt_at > now, never_tried | too_late)
    return select(columns.id).where(text(tables.OF_WEBHOOK), *is_late)


def _late_mails(now: datetime, digest_window: timedelta) -> Select[Any]:
    columns = tables.mail.c
    too_late = columns.next_attempt_at > now + max(LONGEST_MAIL_DELAY, digest_window)
    return select(columns.id).where(text(tables.WAITING), too_late)


def _make_due(connection: Connection, table: Table, late: Select[Any], now: datetime) -> int:
    # Rows that another process has locked are being tried right now, so they are not stuck.
    ids = list(connection.scalars(late.limit(MAX_RESCHEDULED).with_for_update(skip_locked=True)))
    if ids:
        connection.execute(update(table).where(table.c.id.in_(ids)).values(next_attempt_at=now))
    return len(ids)
