"""The time."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_now() -> datetime:
    """Now, with its zone."""
    return datetime.now(timezone.utc)
