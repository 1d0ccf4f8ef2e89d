"""Sentences about deliveries that wait for others of their group, and about those that did."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from inbound_webhooks.event.grouping import grouped_state
from inbound_webhooks.event.judge import Verdict
from inbound_webhooks.event.sizes import CANCEL_RUNNING, SKIP
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.settings import in_default_time_zone
from inbound_webhooks.storage import groups
from inbound_webhooks.storage.groups import Group
from inbound_webhooks.storage.webhooks import webhook_by_id


def group_note(webhook: Webhook, verdict: Verdict) -> str | None:
    """What an accepted event would wait for; None where it would run at once."""
    if verdict.group_key is None:
        return None
    if verdict.cancels:
        return "It would start nothing: it would cancel what its key runs or waits for."
    match grouped_state(webhook):
        case State.BATCHED:
            return (
                f"It would join a batch, which closes at {webhook.batch_size} events, or "
                f"{webhook.batch_seconds} s after its first one."
            )
        case State.SETTLING:
            return (
                f"It would run after {webhook.quiet_seconds} s without a newer event of its key, or "
                f"{webhook.at_most_seconds} s after the first one; a newer one would run instead."
            )
    busy = {
        SKIP: "it would be skipped",
        CANCEL_RUNNING: "it would cancel that run",
    }
    return f"While a run of its key is active, {busy.get(webhook.when_busy, 'it would wait for its turn')}."


def progress_of(connection: Connection, delivery: Any) -> str | None:
    """What a delivery waits for, as a sentence; None where it waits for no others."""
    if delivery.state not in State.GROUPED or delivery.group_key is None:
        return None
    webhook = webhook_by_id(connection, delivery.webhook_id)
    if webhook is None:
        return None
    if grouped_state(webhook) != delivery.state:
        return "The webhook was changed; a dispatcher lets it go on by itself."
    key = delivery.group_key
    most = webhook.batch_size or 2
    group = groups.find_group(connection, webhook.id, delivery.state, key, most=most, may_cancel=False)
    return None if group is None else _SENTENCES[delivery.state](webhook, group)


def _of_batch(webhook: Webhook, group: Group) -> str:
    size, closes_at = webhook.batch_size or 0, group.first_at + timedelta(seconds=webhook.batch_seconds or 0)
    if group.count >= size:
        return f"Its batch has {size} events; its run is created next."
    return f"Its batch has {group.count} of {size} events and closes at {_clock(closes_at)}."


def _of_debounce(webhook: Webhook, group: Group) -> str:
    quiet = group.newest_at + timedelta(seconds=webhook.quiet_seconds or 0)
    latest = group.first_at + timedelta(seconds=webhook.at_most_seconds or 0)
    return f"The newest event of its key runs at {_clock(min(quiet, latest))} unless more follow before."


def _of_turn(_webhook: Webhook, group: Group) -> str:
    if group.is_busy:
        return "A run of its key has not ended; it goes on when that has."
    return "Its turn is next."


_SENTENCES = {State.BATCHED: _of_batch, State.SETTLING: _of_debounce, State.IN_TURN: _of_turn}


def batch_of(connection: Connection, delivery: Any, *, limit: int) -> dict[str, Any] | None:
    """The closed batch of a delivery as JSON data; None where it has none."""
    if delivery.batch_id is None:
        return None
    count, rows = groups.list_batch(connection, delivery.batch_id, limit=limit)
    return {
        "id": delivery.batch_id,
        "run_id": delivery.run_id,
        "deliveries": count,
        "listed": [row.id for row in rows],
    }


def _clock(at: datetime) -> str:
    return f"{in_default_time_zone(at):%H:%M:%S %Z}"
