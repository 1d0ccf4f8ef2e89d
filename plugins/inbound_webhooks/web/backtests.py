"""A back-test as JSON for its page: each delivery that would change, with labels and shortened values."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from inbound_webhooks.deliveries.backtest import BackTest, JudgedDelivery
from inbound_webhooks.event.differences import ABSENT, Difference
from inbound_webhooks.event.truncation import truncate
from inbound_webhooks.web.formatting import iso, tone

CHOICES = (10, 50, 200, 1000)
"""Numbers of deliveries that the page offers."""

MOST_SHOWN = 200
"""Changed deliveries in the result; the page states the number of the remaining ones."""

MAX_VALUE_CHARS = 1_000

LABELS = {
    "conf": "conf",
    "error": "Error",
    "event_type": "Event type",
    "partition_key": "Partition key",
    "status": "Response status",
    "content_type": "Response content type",
    "response": "Response",
    "repeats": "Duplicate of",
    "schedule": "Run",
    "schedule.logical_date": "Logical date",
    "schedule.run_after": "Start after",
    "schedule.note": "Note",
}
"""Field of a change -> its label; a part of conf is labelled with its path."""

FOLDED = ("conf", "status", "content_type", "response")
"""Fields that the page folds where the state changes, because their change follows from it."""

KEY_CHANGES = "The deduplication key changes."


def shown(test: BackTest) -> dict[str, Any]:
    """The whole result; the deliveries that would change come newest first."""
    changed = test.changed
    transitions = Counter(_states(one) for one in changed).most_common()
    return {
        "looked_at": len(test.judged),
        "changed": len(changed),
        "not_judged": len(test.not_judged),
        "groups": [
            {"key": _key(states), **_toned(states), "number": number} for states, number in transitions
        ],
        "deliveries": [_delivery(one) for one in changed[:MOST_SHOWN]],
        "more": max(len(changed) - MOST_SHOWN, 0),
    }


def _delivery(one: JudgedDelivery) -> dict[str, Any]:
    states = _states(one)
    error = next((change.after for change in one.changes if change.field == "error"), None)
    shown_elsewhere = ("state", "dedup_key", "error") if error else ("state", "dedup_key")
    changes = [change for change in one.changes if change.field not in shown_elsewhere]
    folded = [change for change in changes if change.field in FOLDED and states[0] != states[1]]
    key_changes = any(change.field == "dedup_key" for change in one.changes)
    return {
        "id": one.delivery_id,
        "at": iso(one.received_at),
        "group": _key(states),
        **_toned(states),
        "lines": [_line(change) for change in changes if change not in folded],
        "folded": [_line(change) for change in folded],
        "error": error,
        "note": KEY_CHANGES if key_changes else "",
    }


def _states(one: JudgedDelivery) -> tuple[str, str]:
    return (one.before.state if one.before else "", one.after.state if one.after else "")


def _key(states: tuple[str, str]) -> str:
    return "→".join(states)


def _toned(states: tuple[str, str]) -> dict[str, Any]:
    before, after = ({"state": state, "tone": tone(state)} for state in states)
    return {"before": before, "after": after, "moves": states[0] != states[1]}


def _line(change: Difference) -> dict[str, Any]:
    return {
        "label": LABELS.get(change.field, change.field),
        "before": _text(change.before),
        "after": _text(change.after),
    }


def _text(value: Any) -> str | None:
    """A value as text, shortened; None if it is absent."""
    if value is ABSENT or value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return truncate(text, MAX_VALUE_CHARS)
