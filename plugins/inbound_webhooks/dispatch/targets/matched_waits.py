"""Tasks that wait for an event of a webhook: registered, resumed by it, or not any more.

A task is resumed in the transaction that records what became of its wait and of the event, so one event
resumes a task once, whichever process dies when.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial

from inbound_webhooks.airflow_bridge.task_instances import Standing, lock_task, taken_waits
from inbound_webhooks.dispatch.targets.event_matching import EventMatching
from inbound_webhooks.dispatch.targets.settling import Settling
from inbound_webhooks.dispatch.targets.wait_registration import register
from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.event.task_wait import is_failure, resumed_by_call
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.monitoring.loop import log_unexpected_error
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.delivery_states import BEHAVIOUR
from inbound_webhooks.records.wait import Wait, WaitState
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import matched_waits, waits
from inbound_webhooks.storage.claims import lock_enabled
from inbound_webhooks.storage.database import autocommit, begin_writing, session_transaction, transaction
from inbound_webhooks.storage.webhooks import ById, find_webhook

log = get_logger(__name__)

BATCH_SIZE = 100
"""Tasks that a round resumes."""

MAX_LOOKED_AT = 1_000


class MatchedWaits:
    """Any number may run at once, in any process."""

    def __init__(self, settings: Settings, *, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now
        self._matching = EventMatching(settings, now=now)
        self._settling = Settling(settings, now=now)
        self._failed: set[str] = set()
        self.has_waits = False
        """Whether this process has lately seen a task that waits for an event."""

    def match(self) -> bool:
        """Compare new events with waits; True while there may be more."""
        return self._matching.match()

    def resume(self) -> bool:
        """Resume tasks that have got an event, a batch of them; True while there may be more."""
        due = autocommit(partial(taken_waits, now=self._now(), limit=MAX_LOOKED_AT))
        self._failed.intersection_update(each.id for each in due)
        # Those that have failed come last: they would keep the others from a place in the batch.
        settled = sorted(self._settling.settled(due), key=self._failed.__contains__)
        return sum(map(self._try_to_resume, settled[:BATCH_SIZE])) == BATCH_SIZE

    def _try_to_resume(self, wait_id: str) -> bool:
        try:
            return self._resume(wait_id)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one bad wait must not stop the others
            log_unexpected_error(f"wait {wait_id}", error)
            self._failed.add(wait_id)
            return False

    def _resume(self, wait_id: str) -> bool:
        """Resume one task, or give its event back; False where it has to wait, or is locked elsewhere."""
        now = self._now()
        with session_transaction() as session:
            connection = session.connection()
            begin_writing(connection)
            webhook = matched_waits.webhook_of(connection, wait_id)
            if webhook is None:
                return False
            is_enabled = webhook.id in lock_enabled(connection, [webhook.id])
            wait = waits.lock_wait(connection, wait_id, skip_locked=True)
            if wait is None or wait.state != WaitState.WAITING or wait.outcome is None:
                return False
            if not is_enabled and (webhook.enabled or now < wait.deadline):
                return False
            task = lock_task(session, wait.id)
            if task is None or task.standing is Standing.STARTING:
                return False
            if not is_enabled or task.standing is not Standing.PARKED:
                matched_waits.give_back(connection, wait)
                if task.standing is not Standing.PARKED:
                    waits.end_wait(connection, wait.id, WaitState.ENDED, now)
                return True
            task.resume(resumed_by_call(wait.outcome, wait.delivery_id or ""))
            waits.end_wait(connection, wait.id, WaitState.RESUMED, now)
            state = State.FAILED if is_failure(wait.outcome) else State.SUCCEEDED
            is_its_outcome = matched_waits.finish_event(connection, wait.delivery_id or "", state, now)
        if is_its_outcome:
            metrics.count(BEHAVIOUR[state].metric)
        log.info("task resumed action=wait_matched wait=%s delivery=%s", wait.id, wait.delivery_id)
        return True

    def review(self, new: Collection[Wait]) -> None:
        """Register waits, let them look back, and let webhooks go that no task waits for any more."""
        if new:
            register(new, self._settings)
        self.has_waits = autocommit(matched_waits.has_waiting)
        self._matching.look_back()
        for webhook_id in autocommit(matched_waits.awaited_in_vain):
            with transaction() as connection:
                begin_writing(connection)
                webhook = find_webhook(connection, ById(webhook_id), locked=True)
                # A wait may have been registered meanwhile.
                if webhook is not None and not matched_waits.count_waiting(connection, [webhook_id]):
                    matched_waits.set_awaited(connection, webhook_id, False)
