"""Compares the events of webhooks with the tasks that wait for them.

An event is compared with the waits of its webhook outside of any transaction; another one gives it to those
that it matches. What resumes the tasks is in :mod:`inbound_webhooks.dispatch.targets.matched_waits`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from inbound_webhooks.deliveries.awaited_event import AwaitedEvent, Outcomes
from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.event.wait_match import Comparison
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.monitoring.loop import log_unexpected_error
from inbound_webhooks.records.delivery import Delivery, State
from inbound_webhooks.records.delivery_states import BEHAVIOUR
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import matched_waits, waits
from inbound_webhooks.storage.claims import lock_enabled
from inbound_webhooks.storage.database import autocommit, begin_writing, transaction
from inbound_webhooks.storage.webhooks import ById, find_webhook

log = get_logger(__name__)

BATCH_SIZE = 100
"""Events of a webhook in a round."""

BATCH_BYTES = 8 * 1024 * 1024
"""Bodies that are read at a time."""

MAX_WEBHOOKS = 100
"""Webhooks of a round."""

COMPARE_SECONDS = 0.5
"""Time for one webhook in a round, and one event more; the waits of other webhooks follow."""

MAX_FAILURES = 5

LOOK_BACK_SHARE = 10
"""Conditions get this part of their work for events from before, of which there may be many at a time."""

MAX_LOOK_BACK_EVENTS = 1_000
MAX_LOOK_BACK_BYTES = 64 * 1024 * 1024
"""The newest events that a wait looks back at."""


class EventMatching:
    """Any number may run at once, in any process."""

    def __init__(self, settings: Settings, *, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now
        self._failures: dict[str, int] = {}

    def match(self) -> bool:
        """Compare new events with waits, a batch of each webhook; True while there may be more."""
        webhook_ids = autocommit(partial(matched_waits.webhooks_with_events, limit=MAX_WEBHOOKS))
        # Each of them, not only until one has more.
        return max(map(self._match_webhook, webhook_ids), default=False)

    def _match_webhook(self, webhook_id: str) -> bool:
        read = partial(
            matched_waits.events_to_match,
            webhook_id=webhook_id,
            limit=BATCH_SIZE,
            limit_bytes=BATCH_BYTES,
        )
        events = autocommit(read)
        done = self._compare(webhook_id, events)
        return 0 < len(events) == len(done)

    def look_back(self) -> None:
        """Compare new waits with the events that were stored before."""
        for webhook_id, since in autocommit(matched_waits.looking_back).items():
            earliest = min(since.values())
            read = partial(
                matched_waits.earlier_events,
                webhook_id=webhook_id,
                since=earliest,
                limit=MAX_LOOK_BACK_EVENTS,
            )
            found = autocommit(read)
            if all(self._look_back_at(webhook_id, ids) for ids in _pages(found)):
                with transaction() as connection:
                    begin_writing(connection)
                    matched_waits.has_looked_back(connection, since)

    def _look_back_at(self, webhook_id: str, ids: Sequence[str]) -> bool:
        events = autocommit(partial(matched_waits.read_events, ids=ids))
        return len(self._compare(webhook_id, events, looking_back=True)) == len(events)

    def _compare(
        self, webhook_id: str, events: Sequence[Delivery], *, looking_back: bool = False
    ) -> list[str]:
        """Give events to the waits that they match; return the ids of those that are done."""
        if not events:
            return []
        webhook = autocommit(partial(find_webhook, name_or_id=ById(webhook_id)))
        if webhook is None:
            return []
        paths, conditions = autocommit(partial(matched_waits.compared_with, webhook_id=webhook_id))
        work = self._settings.max_expression_work // (LOOK_BACK_SHARE if looking_back else 1)
        comparison = Comparison(map(json.loads, paths), conditions, work=work)
        done, unmatched, ends_at = [], [], time.monotonic() + COMPARE_SECONDS
        for event in events:
            try:
                found = self._matches(AwaitedEvent(webhook, event, self._settings), comparison, looking_back)
                if found is None:
                    unmatched.append(event.id)
                elif self._give(event, found, looking_back):
                    done.append(event.id)
            except DatabaseUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - one bad event must not stop the others
                log_unexpected_error(f"event {event.id}", error)
                if self._is_hopeless(event.id):
                    unmatched.append(event.id)
            if time.monotonic() > ends_at and not looking_back:
                break  # the webhook's other events follow in the next round
        if unmatched and not looking_back:
            self._let_go(unmatched)
        return done + unmatched

    def _is_hopeless(self, delivery_id: str) -> bool:
        """Whether an event has failed unexpectedly so often that it is given up."""
        self._failures[delivery_id] = self._failures.get(delivery_id, 0) + 1
        if self._failures[delivery_id] < MAX_FAILURES:
            return False
        del self._failures[delivery_id]
        return True

    def _matches(self, event: AwaitedEvent, comparison: Comparison, looking_back: bool) -> Outcomes | None:
        """What an event means for the waits that it matches; None if it matches none."""
        find = partial(
            matched_waits.candidates,
            webhook_id=event.delivery.webhook_id,
            keys=event.keys(comparison),
            received_at=event.delivery.received_at,
            looking_back=looking_back,
        )
        candidates = event.matching(autocommit(find))
        return event.outcomes(candidates) if candidates else None

    def _give(self, event: Delivery, outcomes: Outcomes, looking_back: bool) -> bool:
        """Give an event to the waits that it matches; False where that has to be tried again."""
        with transaction() as connection:
            begin_writing(connection)
            # What was accepted before its webhook was disabled starts nothing until that is enabled again.
            if event.webhook_id not in lock_enabled(connection, [event.webhook_id]):
                return False
            free = matched_waits.lock_waiting(connection, [*outcomes.of_waits, *outcomes.refusals])
            stored = matched_waits.lock_event(connection, event.id)
            # A wait that looks back may have got it, or another dispatcher has compared it.
            if stored is None or not (looking_back or stored.to_match):
                return True
            if not free.issuperset(outcomes.of_waits):
                return False
            given = dict(outcomes.of_waits)
            if outcomes.alone is not None and matched_waits.is_taken(connection, event.id):
                del given[outcomes.alone]
            matched_waits.take(connection, event.id, given)
            for wait_id, reason in outcomes.refusals.items():
                waits.note_refusal(connection, wait_id, reason)
            if not looking_back:
                self._count(matched_waits.let_go(connection, [event.id], at=self._now()))
        for wait_id in given:
            log.info("event matched action=event_matched delivery=%s wait=%s", event.id, wait_id)
        return True

    def _let_go(self, delivery_ids: Sequence[str]) -> None:
        with transaction() as connection:
            begin_writing(connection)
            unmatched = matched_waits.let_go(connection, delivery_ids, at=self._now())
        self._count(unmatched)

    def _count(self, unmatched: int) -> None:
        metrics.count(BEHAVIOUR[State.UNMATCHED].metric, unmatched)


def _pages(rows: Sequence[Any]) -> Iterator[list[str]]:
    """Ids in pages, oldest first; of too many bytes only the newest."""
    kept, left = [], MAX_LOOK_BACK_BYTES
    for row in reversed(rows):
        left -= row.size
        if left < 0:
            break
        kept.append(row)
    page: list[str] = []
    size = 0
    for row in reversed(kept):
        if page and (size + row.size > BATCH_BYTES or len(page) == BATCH_SIZE):
            yield page
            page, size = [], 0
        page, size = [*page, row.id], size + row.size
    if page:
        yield page
