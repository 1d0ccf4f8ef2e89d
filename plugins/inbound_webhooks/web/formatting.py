"""How times, sizes and states are said on the pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from inbound_webhooks.presets import PRESETS

TONES = {
    "accepted": "info",
    "dispatched": "info",
    "queued": "info",
    "running": "info",
    "succeeded": "good",
    "sent": "good",
    "waiting": "info",
    "given_up": "bad",
    "failed": "bad",
    "refused": "bad",
    "undeliverable": "bad",
    "rejected": "bad",
    "filtered": "muted",
    "cancelled": "muted",
    "verified": "muted",
    "duplicate": "muted",
}
"""State -> the colour that it has beside its name."""

EXPLAINED = {
    "accepted": "Stored; its run is about to be made.",
    "dispatched": "Its DAG run was made.",
    "queued": "Its DAG run waits for the scheduler.",
    "running": "Its DAG run is at work.",
    "succeeded": "Its DAG run succeeded.",
    "failed": "Its DAG run failed.",
    "refused": "Kept, but nothing ran: it could not be used. Mend the webhook, then replay it.",
    "undeliverable": "The DAG could not take the run. Mend what is wrong, then replay it.",
    "filtered": "The filter left it out, so nothing ran.",
    "cancelled": "The webhook was deleted before its run was made.",
    "rejected": "The request was refused before it was stored.",
    "verified": "The endpoint was checked; such a request never starts a run.",
}

TOLD = {
    "waiting": "It is to be sent.",
    "sent": "The mail server has taken it.",
    "refused": "The mail server refused it for good; it is not tried again.",
    "given_up": "It could not be sent in time; it is not tried again.",
}
"""State of a mail -> what it means."""

TRIED = {
    "accepted": "A run would start with this conf.",
    "filtered": "The filter would leave it out; nothing would run.",
    "refused": "It would be kept for a replay, and nothing would run.",
    "rejected": "It would be refused; nothing would be kept or run.",
    "verified": "The endpoint would be verified; such a request never starts a run.",
}
"""State -> what it means for a request that is only tried."""

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_KIB = 1024


def ago(moment: datetime) -> str:
    """``3 min ago``"""
    seconds = max(int((datetime.now(timezone.utc) - moment).total_seconds()), 0)
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now"


def exact(moment: datetime) -> str:
    """``2026-11-23 21:04:05 UTC``"""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(moment: datetime) -> str:
    """For the attribute of a time element."""
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds")


def size(number: int) -> str:
    """``1.4 KiB``"""
    if number < _KIB:
        return f"{number} B"
    return f"{number / _KIB:.1f} KiB" if number < _KIB**2 else f"{number / _KIB**2:.1f} MiB"


def duration(seconds: float) -> str:
    """``1 min 4 s``"""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def count(number: int) -> str:
    """``12,345``"""
    return f"{number:,}"


def tone(state: str) -> str:
    """The colour of a state."""
    return TONES.get(state, "muted")


def explained(state: str) -> str:
    """What a state means."""
    return EXPLAINED.get(state, "")


def told(state: str) -> str:
    """What the state of a mail means."""
    return TOLD.get(state, "")


def sender(preset: str | None) -> str:
    """The name of a kind of sender."""
    return PRESETS[preset].title if preset in PRESETS else preset or "Any"


def pretty(value: Any) -> str:
    """A JSON value for reading."""
    return json.dumps(value, indent=2, ensure_ascii=False)


FILTERS: dict[str, Callable[..., str]] = {
    "webhook_ago": ago,
    "webhook_exact": exact,
    "webhook_iso": iso,
    "webhook_size": size,
    "webhook_duration": duration,
    "webhook_count": count,
    "webhook_tone": tone,
    "webhook_explained": explained,
    "webhook_told": told,
    "webhook_sender": sender,
    "webhook_pretty": pretty,
}
"""Names in the application's Jinja, which others share."""
