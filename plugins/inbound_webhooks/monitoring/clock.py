"""The current time."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import partial

utc_now = partial(datetime.now, timezone.utc)
"""The current time in UTC, with its time zone."""
