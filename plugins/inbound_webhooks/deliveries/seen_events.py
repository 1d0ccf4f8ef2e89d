"""What a task that waits for an event of a webhook has seen of it: how many came, and why none matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from inbound_webhooks.deliveries.awaited_event import AwaitedEvent
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.truncation import truncate
from inbound_webhooks.event.wait_match import is_true, path_text, value_at
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.records.wait import Wait, WaitState
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import matched_waits
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.webhooks import webhook_by_id
from inbound_webhooks.webhooks import waits
from inbound_webhooks.webhooks.access import Access

MAX_COUNTED = 1_000
SHOWN_EVENTS = 3
MAX_VALUE_CHARS = 100


@dataclass(frozen=True, kw_only=True)
class SeenEvent:
    """One of the last events, and why it has not resumed the task; None where the user may not read it."""

    delivery_id: str
    received_at: datetime
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """``count`` ends at MAX_COUNTED; ``problem`` is why no event can come, or none match."""

    webhook: Webhook | None
    count: int = 0
    events: Sequence[SeenEvent] = ()
    problem: str | None = None

    def document(self) -> dict[str, Any]:
        """The same as JSON data."""
        return {
            "count": self.count,
            "problem": self.problem,
            "last": [
                {
                    "delivery_id": each.delivery_id,
                    "received_at": each.received_at.isoformat(),
                    "reason": each.reason,
                }
                for each in self.events
            ],
        }


def seen(access: Access | None, wait: Wait) -> Seen | None:
    """What came since a task waits; None where it waits for a call, or not any more.

    :param access: None for an operator with a shell
    """
    if wait.webhook_name is None or wait.state != WaitState.WAITING:
        return None
    if wait.webhook_id is None or wait.counts_from is None or wait.failure is not None:
        return Seen(webhook=None, problem=wait.failure)
    settings = Settings.load()
    with transaction() as connection:
        webhook = webhook_by_id(connection, wait.webhook_id)
        if webhook is None:
            return Seen(webhook=None, problem=f"The webhook {wait.webhook_name!r} was deleted.")
        count = matched_waits.count_events(connection, webhook.id, wait.counts_from, MAX_COUNTED)
        last = matched_waits.earlier_events(connection, webhook.id, wait.counts_from, SHOWN_EVENTS)
        events = matched_waits.read_events(connection, [row.id for row in last])
    may_read = access is None or (access.may_read_runs(wait.dag_id) and access.may_read_runs(webhook))
    return Seen(
        webhook=webhook,
        count=count,
        events=[_seen(wait, webhook, event, settings, may_read) for event in reversed(events)],
        problem=_problem(webhook),
    )


def shown(access: Access | None, wait_id: str) -> dict[str, Any]:
    """A wait as JSON data, with the events that it has seen.

    :raises WaitNotFound: it does not exist, or the user may not see it
    """
    wait = waits.find(access, wait_id)
    found = seen(access, wait)
    return waits.as_data(wait) | {"events": None if found is None else found.document()}


def _problem(webhook: Webhook) -> str | None:
    return None if webhook.enabled else "The webhook is disabled: it accepts no events, and resumes no task."


def _seen(wait: Wait, webhook: Webhook, event: Delivery, settings: Settings, may_read: bool) -> SeenEvent:
    sources = AwaitedEvent(webhook, event, settings).sources() if may_read else None
    if may_read and sources is None:
        reason: str | None = "Its body was not stored, or cannot be read."
    else:
        reason = None if sources is None else _reason(wait, sources)
    return SeenEvent(delivery_id=event.id, received_at=event.received_at, reason=reason)


def _reason(wait: Wait, sources: DataSources) -> str:
    """Why an event has not resumed the task."""
    for path, wanted in wait.match.items():
        found = value_at(path, sources)
        if found is None:
            return f"It has no value at {path_text(path)}."
        if found != wanted:
            shown = truncate(found, MAX_VALUE_CHARS)
            return f"{path_text(path)} is {shown!r}, not {truncate(wanted, MAX_VALUE_CHARS)!r}."
    if wait.match_expression is not None and not is_true(wait.match_expression, sources):
        return f"match_expression is not true for it: {truncate(wait.match_expression, MAX_VALUE_CHARS)}"
    return _MATCHES


_MATCHES = "It matches: it resumes the task in a moment, or has resumed another one."
