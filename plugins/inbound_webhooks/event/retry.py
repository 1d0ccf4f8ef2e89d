"""(attempts, error) -> when to try again, or never."""

from __future__ import annotations

from datetime import datetime, timedelta

from inbound_webhooks.errors import DispatchError

MINUTE = 60
HOUR = 60 * MINUTE

RETRY_DELAYS_SECONDS = (2, 5, 15, 30, MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, *([HOUR] * 11))
"""Delays after the first, second, … failed attempt: quick while a deployment settles, then about
half a day in all, so that a night shift can mend an import error."""

MAIL_DELAYS_SECONDS = (30, MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, *([HOUR] * 23))
"""The same for a mail: about a day in all, for a mail server that is away."""


def next_attempt_at(now: datetime, attempts: int, error: DispatchError) -> datetime | None:
    """When a delivery is tried again after its ``attempts``-th failure, None for never."""
    if error.permanent or attempts > len(RETRY_DELAYS_SECONDS):
        return None
    return now + timedelta(seconds=RETRY_DELAYS_SECONDS[attempts - 1])


def next_mail_at(now: datetime, attempts: int) -> datetime | None:
    """When a mail is sent again after its ``attempts``-th failure, None for never."""
    if attempts > len(MAIL_DELAYS_SECONDS):
        return None
    return now + timedelta(seconds=MAIL_DELAYS_SECONDS[attempts - 1])
