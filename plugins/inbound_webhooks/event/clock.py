"""The current time."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_now() -> datetime:
    """The current time in UTC, with its time zone."""
    return datetime.now(timezone.utc)
