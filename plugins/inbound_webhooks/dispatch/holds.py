"""Holds back the deliveries of webhooks on hold, and lets held ones go on in their order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime

from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.records.hold import Hold, is_open
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.settings import in_default_time_zone
from inbound_webhooks.storage import holds
from inbound_webhooks.storage.database import autocommit, begin_writing, transaction
from inbound_webhooks.storage.deliveries import count_accepted
from inbound_webhooks.webhooks.first_state import is_due, state_after_hold
from inbound_webhooks.webhooks.hold import end_release

log = get_logger(__name__)

HOLD_SECONDS = 1.0
"""Time between two looks; deliveries that were accepted before a hold are held after that."""

RELEASED_AHEAD = 200
"""Released deliveries of a webhook that wait for their run: the rest stays held, so that a release fills no
backlog and another hold stops it."""

AT_ONCE = 200
"""Deliveries that one transaction holds back or releases."""


class Holds:
    """Any number may run at once, in any process; a webhook's deliveries still go on in their order."""

    def __init__(self, *, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now

    def look(self) -> int:
        """Hold back and release what is due now; return how many deliveries were released."""
        return sum(self._look_at(webhook) for webhook in autocommit(holds.webhooks_with_work))

    def _look_at(self, webhook: Webhook) -> int:
        if self._is_closed(webhook):
            # Outside of its hours there mostly is nothing, which must not take SQLite's write lock.
            if autocommit(lambda it: count_accepted(it, webhook.id, 1)):
                self._hold_back(webhook.id)
            return 0
        released = self._release(webhook.id)
        if not released and webhook.hold == Hold.RELEASING and end_release(webhook.id):
            log.info("release ended action=release_ended webhook=%s", webhook.id)
        return released

    def _is_closed(self, webhook: Webhook) -> bool:
        local = in_default_time_zone(self._now())
        windows = (webhook.start_window, webhook.release_window)
        return webhook.is_stopped or not all(is_open(window, local) for window in windows)

    def _hold_back(self, webhook_id: str) -> None:
        """Hold what waits for its run, in small transactions."""
        while True:
            with transaction() as connection:
                begin_writing(connection)
                webhook = holds.lock_for_release(connection, webhook_id)
                # Read again under the lock: a user may have released it.
                if webhook is None or not self._is_closed(webhook):
                    return
                if holds.hold_back(connection, webhook_id, AT_ONCE) < AT_ONCE:
                    return

    def _release(self, webhook_id: str) -> int:
        """Let the first held deliveries of a webhook go on; return how many."""
        now = self._now()
        with transaction() as connection:
            begin_writing(connection)
            webhook = holds.lock_for_release(connection, webhook_id)
            if webhook is None or self._is_closed(webhook):
                return 0
            waiting = count_accepted(connection, webhook_id, RELEASED_AHEAD)
            room = min(RELEASED_AHEAD - waiting, AT_ONCE)
            room = min(room, holds.count_held(connection, webhook_id, AT_ONCE)) if room > 0 else 0
            per_minute = webhook.release_per_minute if webhook.hold == Hold.RELEASING else None
            if per_minute is not None and room > 0:
                room = holds.take_pace(connection, webhook_id, per_minute, now, room)
            if room <= 0:
                return 0
            by_state: dict[str, list[str]] = defaultdict(list)
            for delivery in holds.first_held(connection, webhook_id, room):
                by_state[state_after_hold(webhook, delivery)].append(delivery.id)
            for state, ids in by_state.items():
                holds.move(connection, ids, state, now if is_due(webhook, state) else None)
        return sum(map(len, by_state.values()))
