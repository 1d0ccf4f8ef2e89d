"""Reschedules deliveries and mails whose due time was set by a host with a wrong clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select, text, update

from inbound_webhooks.event.retry import MAIL_DELAYS_SECONDS, RETRY_DELAYS_SECONDS
from inbound_webhooks.records.delivery import State
from inbound_webhooks.storage import tables

LONGEST_DELAY = timedelta(seconds=max(RETRY_DELAYS_SECONDS))

LONGEST_MAIL_DELAY = timedelta(seconds=max(MAIL_DELAYS_SECONDS))

MAX_RESCHEDULED = 1_000
"""Deliveries of one transaction; the rest follows with the next heartbeat."""


def reschedule_future_attempts(connection: Connection, now: datetime) -> int:
    """Make deliveries due that were scheduled by a clock running ahead; return how many.

    A delivery without an attempt is due at once, and no retry is scheduled later than LONGEST_DELAY: a due
    time beyond that can only come from another clock.
    """
    columns = tables.delivery.c
    never_tried = (columns.attempts == 0) & (columns.next_attempt_at > now)
    too_late = columns.next_attempt_at > now + LONGEST_DELAY
    found = (
        select(columns.id)
        .where(columns.state == State.ACCEPTED, columns.next_attempt_at > now, never_tried | too_late)
        .limit(MAX_RESCHEDULED)
        # Rows that another dispatcher has locked are being tried right now, so they are not stuck.
        .with_for_update(skip_locked=True)
    )
    ids = list(connection.scalars(found))
    if ids:
        connection.execute(update(tables.delivery).where(columns.id.in_(ids)).values(next_attempt_at=now))
    return len(ids)


def reschedule_future_mails(connection: Connection, now: datetime, digest_window: timedelta) -> int:
    """Make mails due that are scheduled later than any retry or digest would be; return how many."""
    columns = tables.mail.c
    too_late = columns.next_attempt_at > now + max(LONGEST_MAIL_DELAY, digest_window)
    found = select(columns.id).where(text(tables.WAITING), too_late).limit(MAX_RESCHEDULED)
    ids = list(connection.scalars(found.with_for_update(skip_locked=True)))
    if ids:
        connection.execute(update(tables.mail).where(columns.id.in_(ids)).values(next_attempt_at=now))
    return len(ids)
