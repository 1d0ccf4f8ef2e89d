"""What a verdict says about its run, as JSON data."""

from __future__ import annotations

from typing import Any

import msgspec

from inbound_webhooks.event.judge import Verdict


def schedule_data(verdict: Verdict) -> dict[str, Any] | None:
    """The schedule's fields that have a value; None without any."""
    if verdict.schedule is None:
        return None
    fields = msgspec.to_builtins(verdict.schedule)
    return {name: value for name, value in fields.items() if value is not None} or None
