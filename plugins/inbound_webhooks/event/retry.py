"""Retry schedules: (attempts, error) -> time of the next attempt, or None."""

from __future__ import annotations

from datetime import datetime, timedelta

from inbound_webhooks.errors import DispatchError

MINUTE = 60
HOUR = 60 * MINUTE

RETRY_DELAYS_SECONDS = (2, 5, 15, 30, MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, *([HOUR] * 11))
"""Delays after the first, second, … failed attempt: short while a deployment settles, then half a day in
all, so that an import error can be fixed after a night."""

MAIL_DELAYS_SECONDS = (30, MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, *([HOUR] * 23))
"""The same for mails: a day in all, for an outage of the mail server."""


def next_attempt_at(now: datetime, attempts: int, error: DispatchError) -> datetime | None:
    """Time of the next attempt after a delivery's ``attempts``-th failure, None for no further attempt."""
    if error.permanent or attempts > len(RETRY_DELAYS_SECONDS):
        return None
    # Attempts are counted from 1, after the failure.
    return now + timedelta(seconds=RETRY_DELAYS_SECONDS[attempts - 1])


def next_mail_at(now: datetime, attempts: int) -> datetime | None:
    """Time of the next attempt after a mail's ``attempts``-th failure, None for no further attempt."""
    if attempts > len(MAIL_DELAYS_SECONDS):
        return None
    return now + timedelta(seconds=MAIL_DELAYS_SECONDS[attempts - 1])
