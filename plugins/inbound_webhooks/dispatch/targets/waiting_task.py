"""Resumes waiting tasks: by their call, at their deadline, or not at all where they have ended.

Each task is resumed in the transaction that records what became of its call and its wait, so that one call
resumes one task once. A call that comes before its task waits stays accepted until the task is parked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from inbound_webhooks.airflow_bridge.task_instances import (
    Standing,
    WaitingTask,
    due_calls,
    lock_task,
    unregistered_waits,
    waiting_tasks,
)
from inbound_webhooks.dispatch.targets.matched_waits import MatchedWaits
from inbound_webhooks.dispatch.targets.settling import Settling
from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.event.retry import RETRY_DELAYS_SECONDS
from inbound_webhooks.event.task_wait import is_failure, resumed_by_call, timed_out
from inbound_webhooks.event.wait_match import refused
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.monitoring.loop import log_unexpected_error
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.delivery_states import BEHAVIOUR_OF_CALLS
from inbound_webhooks.records.wait import Wait, WaitKind, WaitState
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import matched_waits, waits
from inbound_webhooks.storage.database import autocommit, begin_writing, session_transaction, transaction

log = get_logger(__name__)

POLL_SECONDS = 1.0
"""Time between two rounds where nothing wakes the loop: another process has accepted a call, or a task that
was called early has parked."""

REVIEW_SECONDS = 5.0
"""Time between two reviews of all waits: new ones, those whose time is over, those whose task has ended."""

MAX_LOOKED_AT = 1_000
"""Calls of a round that are looked at."""

BATCH_SIZE = 100
"""Calls of a round, and new waits of a review."""

PAGE_SIZE = 500
"""Waits per query of a review."""

CANCELLED_BECAUSE = {
    Standing.RESUMED: "The task was resumed by something else.",
    Standing.ENDED: "The task ended before the call resumed it.",
    Standing.GONE: "The task was cleared, is tried again, or was deleted.",
}
"""Why a call that was accepted resumes no task."""


class WaitingTasks:
    """Any number may run at once, in any process."""

    def __init__(self, settings: Settings, *, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now
        self._settling = Settling(settings, now=now)
        self._events = MatchedWaits(settings, now=now)
        self._reviewed_at = float("-inf")

    def look(self) -> bool:
        """Run one round; True while there may be more calls.

        :raises DatabaseUnavailable: the next round finds the same
        """
        if time.monotonic() - self._reviewed_at >= REVIEW_SECONDS:
            self._reviewed_at = time.monotonic()
            self.review()
        more = self.match_events()
        more = self._events.resume() or more
        return self.resume_called() == BATCH_SIZE or more

    def match_events(self) -> bool:
        """Give new events of webhooks to the tasks that wait for them; True while there may be more."""
        return self._events.match()

    @property
    def awaits_events(self) -> bool:
        """Whether this process has lately seen a task that waits for an event of a webhook."""
        return self._events.has_waits

    def resume_called(self) -> int:
        """Resume the tasks that were called, a batch of them; return how many calls were decided."""
        due = autocommit(partial(due_calls, now=self._now(), limit=MAX_LOOKED_AT))
        return sum(map(self._try_to_resume, self._settling.settled(due)[:BATCH_SIZE]))

    def _try_to_resume(self, delivery_id: str) -> bool:
        try:
            return self._resume(delivery_id)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one bad call must not stop the others
            log_unexpected_error(f"call {delivery_id}", error)
            self._put_off(delivery_id)
            return False

    def review(self) -> None:
        """Store new waits, and end those whose time or task is over."""
        new = autocommit(partial(unregistered_waits, limit=BATCH_SIZE))
        calls = [wait for wait in new if wait.kind == WaitKind.CALLBACK]
        if calls:
            with transaction() as connection:
                begin_writing(connection)
                waits.insert_waits(connection, calls)
        self._events.review([wait for wait in new if wait.kind == WaitKind.EVENT])
        found = self._end_over(after="")
        while len(found) == PAGE_SIZE:
            found = self._end_over(after=found[-1].wait_id)

    def _end_over(self, after: str) -> list[WaitingTask]:
        """Look at the next page of waits."""
        found = autocommit(partial(waiting_tasks, after=after, limit=PAGE_SIZE))
        for each in found:
            if self._is_over(each):
                self._end(each.wait_id)
        return found

    def _is_over(self, waiting: WaitingTask) -> bool:
        if waiting.parked_since is None:
            return waiting.standing is not Standing.STARTING
        if waiting.must_fail:
            return waiting.parked_since + self._settling.after <= self._now()
        return max(waiting.deadline, waiting.parked_since + self._settling.after) <= self._now()

    def _resume(self, delivery_id: str) -> bool:
        """Decide about one call; False where it has to wait, or another dispatcher is at work on it."""
        now = self._now()
        with session_transaction() as session:
            connection = session.connection()
            begin_writing(connection)
            wait_id = waits.wait_of_call(connection, delivery_id)
            # In this order everywhere, see storage/waits.py.
            wait = waits.lock_wait(connection, wait_id, skip_locked=True) if wait_id else None
            call = waits.lock_call(connection, delivery_id) if wait else None
            task = lock_task(session, wait.id) if wait and call else None
            if wait is None or call is None or task is None or task.standing is Standing.STARTING:
                return False
            if task.standing is Standing.PARKED:
                outcome = call.conf or "{}"
                task.resume(resumed_by_call(outcome, call.id))
                state = State.FAILED if is_failure(outcome) else State.SUCCEEDED
                waits.finish_call(connection, call.id, state, now)
                waits.end_wait(connection, wait.id, WaitState.RESUMED, now)
            else:
                state = State.CANCELLED
                self._cancel(session, wait, call.id, CANCELLED_BECAUSE[task.standing])
        metrics.count(BEHAVIOUR_OF_CALLS[state].metric)
        if state != State.CANCELLED:
            metrics.timing("dispatch_delay", now - call.received_at)
        log.info("call decided action=wait_called delivery=%s wait=%s state=%s", call.id, wait.id, state)
        return True

    def _cancel(self, session: Session, wait: Wait, delivery_id: str, reason: str) -> None:
        connection, now = session.connection(), self._now()
        waits.finish_call(connection, delivery_id, State.CANCELLED, now, error=reason)
        if wait.state == WaitState.WAITING:
            ended = WaitState.TIMED_OUT if wait.deadline <= now else WaitState.ENDED
            waits.end_wait(connection, wait.id, ended, now)

    def _end(self, wait_id: str) -> None:
        """End a wait without a call, if that still holds once it is locked."""
        now = self._now()
        with session_transaction() as session:
            connection = session.connection()
            begin_writing(connection)
            wait = waits.lock_wait(connection, wait_id, skip_locked=True)
            # A call that was committed in time resumes the task, or is cancelled: see _resume.
            if wait is None or wait.state != WaitState.WAITING or wait.delivery_id is not None:
                return
            task = lock_task(session, wait.id)
            if task is None or task.standing is Standing.STARTING:
                return
            state = WaitState.TIMED_OUT if wait.deadline <= now else WaitState.ENDED
            if task.standing is Standing.PARKED:
                if wait.failure is not None:
                    state = WaitState.REFUSED
                    task.resume(refused(wait.failure))
                elif state == WaitState.TIMED_OUT and not self._may_match(connection, wait):
                    task.resume(timed_out(wait.refused_calls, wait.refusal))
                else:
                    return
            waits.end_wait(connection, wait.id, state, now)
        log.info("wait ended action=wait_ended wait=%s state=%s", wait_id, state)

    def _may_match(self, connection: Connection, wait: Wait) -> bool:
        """Whether an event that came in time may still resume the task of a wait."""
        return wait.kind == WaitKind.EVENT and matched_waits.may_still_match(connection, wait)

    def _put_off(self, delivery_id: str) -> None:
        """Try a call again later that failed unexpectedly."""
        with transaction() as connection:
            begin_writing(connection)
            call = waits.lock_call(connection, delivery_id)
            if call is None:
                return
            delay = RETRY_DELAYS_SECONDS[min(call.attempts, len(RETRY_DELAYS_SECONDS) - 1)]
            waits.put_off(connection, call, self._now() + timedelta(seconds=delay))
