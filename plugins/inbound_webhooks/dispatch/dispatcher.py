"""Turns committed deliveries into their targets: claim, create, record, in one transaction per batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from inbound_webhooks.airflow_bridge.assets import Callback
from inbound_webhooks.airflow_bridge.dag_cache import DagState
from inbound_webhooks.airflow_bridge.dag_runs import RUN_PREFIX, DagRuns, Unchecked
from inbound_webhooks.airflow_bridge.queued_runs import QueuedRuns, Room
from inbound_webhooks.airflow_bridge.sessions import BatchSession
from inbound_webhooks.dispatch.batches import mark_batches_dispatched, with_batches
from inbound_webhooks.dispatch.fair_queue import RoundRobin, claim, in_turns
from inbound_webhooks.dispatch.heartbeat import HEARTBEAT_SECONDS, Heartbeat
from inbound_webhooks.dispatch.targets.asset_event import AssetEvents
from inbound_webhooks.errors import DatabaseUnavailable, DispatchError
from inbound_webhooks.event.retry import next_attempt_at
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.health import HEARTBEAT_TIMEOUT_SECONDS
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.monitoring.loop import Loop, log_unexpected_error
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.delivery_states import BEHAVIOUR
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import claims, groups
from inbound_webhooks.storage.claims import ClaimedDelivery, WaitingWebhook
from inbound_webhooks.storage.clock_skew import (
    is_scheduled_too_late,
    reschedule_future_attempts,
    reschedule_future_mails,
)
from inbound_webhooks.storage.database import autocommit, begin_writing, session_transaction, transaction
from inbound_webhooks.storage.deliveries import read_backlog
from inbound_webhooks.storage.dispatchers import count_dispatchers
from inbound_webhooks.storage.holds import count_all_held
from inbound_webhooks.storage.mails import MailState, write_mails
from inbound_webhooks.storage.outcomes import outcome_without_run

log = get_logger(__name__)

CHECK_SECONDS = 0.5
"""Longest time for checks of confs in a round, and one check more: the deliveries of other webhooks wait."""


@dataclass
class Started:
    """What a transaction has started, and what is to be called once it is committed."""

    deliveries: list[ClaimedDelivery] = field(default_factory=list)
    callbacks: list[Callback] = field(default_factory=list)

    def add(self, other: Started) -> None:
        """Add what a part of the transaction has started."""
        self.deliveries += other.deliveries
        self.callbacks += other.callbacks


class Dispatcher:
    """Any number may run at once, in any process; each delivery still becomes exactly one run or event."""

    def __init__(self, settings: Settings, *, now: Callable[[], datetime] = utc_now) -> None:
        self._batch_size = settings.dispatcher_batch_size
        self._batch_bytes = settings.dispatcher_batch_bytes
        self._poll_seconds = settings.dispatcher_poll_seconds
        self._digest_window_seconds = settings.digest_window_seconds
        self._now = now
        self._heartbeat = Heartbeat(now=now)
        self._webhooks = RoundRobin(settings.dispatcher_batch_size)
        self._dag_runs = DagRuns()
        self._asset_events = AssetEvents(settings.digest_window_seconds)
        self._queued_runs = QueuedRuns(settings.max_queued_runs, settings.dag_queue_percent)
        self._looks_again_at = float("-inf")
        self.loop = Loop(
            "dispatcher",
            self._round,
            seconds=min(self._poll_seconds, HEARTBEAT_SECONDS),
            at_end=self._heartbeat.end,
        )

    def wake(self) -> None:
        """Look for work immediately, since this process has accepted a delivery."""
        self._looks_again_at = float("-inf")
        self.loop.wake()

    def stop(self) -> None:
        """Let :meth:`run` return after the current batch."""
        self.loop.stop()

    def run(self) -> None:
        """Dispatch until :meth:`stop`, through outages of the database."""
        self.loop.run()

    def _round(self) -> bool:
        """Send the heartbeat, and process a batch if it is time; True while there may be more."""
        self._send_heartbeat()
        if time.monotonic() < self._looks_again_at:
            return False
        # Before the work, so that a delivery accepted meanwhile gets another look.
        self._looks_again_at = time.monotonic() + self._poll_seconds
        if not self.dispatch_due():
            return False
        self._looks_again_at = float("-inf")
        return True

    def _send_heartbeat(self) -> None:
        if not self._heartbeat.note():
            return
        self._reschedule_future_attempts()
        if not metrics.are_on():
            return  # counting the backlog is not free
        try:
            with transaction() as connection:
                backlog, _ = read_backlog(connection)
                held = count_all_held(connection)
        except DatabaseUnavailable:
            return  # logged already; the next heartbeat brings the next value
        metrics.gauge("backlog", backlog)
        metrics.gauge("held_now", held)

    def _reschedule_future_attempts(self) -> None:
        """Make deliveries and mails due that were scheduled by a clock running ahead."""
        now, window = self._now(), timedelta(seconds=self._digest_window_seconds)
        try:
            # Mostly there is nothing, which must not take SQLite's write lock.
            if not autocommit(partial(is_scheduled_too_late, now=now, digest_window=window)):
                return
            with transaction() as connection:
                begin_writing(connection)
                deliveries = reschedule_future_attempts(connection, now)
                mails = reschedule_future_mails(connection, now, window)
        except DatabaseUnavailable:
            return  # logged already; the next heartbeat tries again
        if deliveries:
            log.warning("future deliveries rescheduled action=deliveries_rescheduled count=%d", deliveries)
            self.wake()
        if mails:
            log.warning("future mails rescheduled action=mails_rescheduled count=%d", mails)

    def dispatch_due(self) -> int:
        """Process one batch of due deliveries; return how many there were.

        :raises DatabaseUnavailable: nothing of the batch was recorded
        """
        now = self._now()
        skipped: set[str] = set()
        while chosen := [each for each in self._webhooks.next(now) if each.webhook_id not in skipped]:
            room = self._queued_runs.room(count_shares=partial(_alive, now=now))
            if room is not None and room.left <= 0:
                # What Airflow merges into one run goes on.
                found = self._webhooks.next(now, has_room=False)
                chosen = [each for each in found if each.webhook_id not in skipped]
                if not chosen:
                    return 0
            done, unchecked = self._dispatch_batch(chosen, now, room)
            if unchecked:
                last = self._check_in_turns(unchecked)
                # What their DAGs accept is dispatched at once; they are still the first ones that are due.
                self._dispatch_batch(chosen, now, room)
                if last is not None:
                    self._webhooks.go_on_after(last)
            if done:
                return done
            # Locked by another dispatcher or a pending change; try the next ones.
            skipped |= {each.webhook_id for each in chosen}
        return 0

    def _dispatch_batch(
        self, webhooks: list[WaitingWebhook], now: datetime, room: Room | None
    ) -> tuple[int, list[Unchecked]]:
        try:
            return self._dispatch(webhooks, now, room, self._start)
        except Exception as error:  # noqa: BLE001 - whatever it was, the second pass finds the delivery
            log.info("batch failed action=batch_failed kind=%s", type(error).__name__)
            return self._dispatch(webhooks, now, room, self._start_one_by_one)

    def _dispatch(
        self,
        webhooks: list[WaitingWebhook],
        now: datetime,
        room: Room | None,
        start: Callable[..., Started],
    ) -> tuple[int, list[Unchecked]]:
        """Claim a batch and start its targets; return how many were claimed, and which are left unchecked."""
        with session_transaction(BatchSession) as session:
            connection = session.connection()
            begin_writing(connection)
            claimed = claim(
                connection, webhooks, now, self._batch_size, limit_bytes=self._batch_bytes, room=room
            )
            batch = with_batches(connection, claimed.deliveries, limit_bytes=self._batch_bytes)
            if not batch:
                return 0, []
            # Read once for the whole batch, instead of once for each run.
            states = self._dag_runs.states(
                session, {delivery.dag_id for delivery in batch if delivery.dag_id}
            )
            # Checks take time, for which this transaction would keep its locks: they follow after it.
            unchecked = self._dag_runs.unchecked(batch, states)
            left = {delivery.id for delivery, _ in unchecked}
            ready = [delivery for delivery in batch if delivery.id not in left]
            started = start(session, ready, states) if ready else Started()
        if claimed.last_webhook_id is not None:
            self._webhooks.go_on_after(claimed.last_webhook_id)
        # After the commit: what is rolled back was not dispatched.
        self._report(started, room)
        return len(batch), unchecked

    def _report(self, started: Started, room: Room | None) -> None:
        for delivery in started.deliveries:
            if room is not None and delivery.asset is None:
                room.note(delivery.dag_id)
            metrics.count(BEHAVIOUR[State.DISPATCHED].metric, delivery.deliveries)
            if delivery.asset is not None:
                metrics.count(BEHAVIOUR[State.SUCCEEDED].metric)
            metrics.timing("dispatch_delay", self._now() - delivery.received_at)
            log.info(
                "delivery dispatched action=dispatched delivery=%s dag=%s asset=%s",
                delivery.id,
                delivery.dag_id,
                delivery.asset,
            )
        for callback in started.callbacks:
            callback()

    def _check_in_turns(self, unchecked: Sequence[Unchecked]) -> str | None:
        """Check confs, one of each webhook before a second one, for CHECK_SECONDS at most.

        The others are still due in the next round. Returns the webhook whose conf was the last one, or None
        if all were checked.
        """
        ends_at = time.monotonic() + CHECK_SECONDS
        ordered = in_turns(unchecked, lambda each: each[0].webhook_id)
        for delivery, state in ordered:
            self._check(delivery, state)
            if time.monotonic() >= ends_at and delivery is not ordered[-1][0]:
                return delivery.webhook_id
        return None

    def _check(self, delivery: ClaimedDelivery, state: DagState) -> None:
        """Check a conf that the DAG's current version has not accepted yet, in no transaction."""
        failure: DispatchError | None = None
        try:
            self._dag_runs.check(delivery, state)
        except DatabaseUnavailable:
            raise
        except DispatchError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - one bad delivery must not stop the others
            failure = _unexpected_failure(delivery, error)
        with transaction() as connection:
            begin_writing(connection)
            # Meanwhile it may have been cancelled, or another dispatcher may be at work on it.
            if not claims.lock_accepted(connection, delivery.id):
                return
            if failure is None:
                claims.mark(connection, delivery.id, {"checked_dag_hash": state.dag_hash})
            else:
                self._record_failure(connection, delivery, failure)

    def _start(self, session: Session, batch: list[ClaimedDelivery], states: dict[str, DagState]) -> Started:
        """Start the targets of a batch, all or none: one failure rolls back the transaction."""
        runs = [delivery for delivery in batch if delivery.asset is None]
        events = [delivery for delivery in batch if delivery.asset is not None]
        for delivery in runs:
            self._dag_runs.create(session, delivery, states.get(delivery.dag_id), self._now())
        if runs:
            self._dag_runs.note(session, runs, self._now())
            self._mark(session, runs)
        # Last, see targets/asset_event.py.
        callbacks = self._asset_events.create(session, events, self._now()) if events else []
        return Started(batch, callbacks)

    def _start_one_by_one(
        self, session: Session, batch: list[ClaimedDelivery], states: dict[str, DagState]
    ) -> Started:
        """Start targets inside a savepoint each, and record the failures."""
        started = Started()
        for delivery in sorted(batch, key=lambda each: each.asset is not None):
            try:
                # A savepoint each: a failed delivery is rolled back alone, and the transaction stays usable.
                with session.begin_nested():
                    one = self._start(session, [delivery], states)
            except DispatchError as error:
                failure = error
            # A unique constraint on the run id: another process has created this run already.
            except IntegrityError as error:
                if self._dag_runs.exists(session, delivery):
                    # The run exists already, so it is recorded as the delivery's; no second one is created.
                    self._mark(session, [delivery])
                    continue
                failure = _unexpected_failure(delivery, error)
            except Exception as error:  # noqa: BLE001 - one bad delivery must not stop the others
                failure = _unexpected_failure(delivery, error)
            else:
                started.add(one)
                continue
            self._record_failure(session.connection(), delivery, failure)
        return started

    def _mark(self, session: Session, batch: list[ClaimedDelivery]) -> None:
        at, connection = self._now(), session.connection()
        ids = [delivery.id for delivery in batch if delivery.batch_id is None]
        claims.mark_dispatched(connection, ids, run_prefix=RUN_PREFIX, at=at)
        mark_batches_dispatched(connection, batch, at)

    def _record_failure(
        self, connection: Connection, delivery: ClaimedDelivery, error: DispatchError
    ) -> None:
        """Schedule the next attempt, or give the delivery up, which notifies like a failed run."""
        now, attempts = self._now(), delivery.attempts + 1
        again_at = next_attempt_at(now, attempts, error)
        values = {"attempts": attempts, "next_attempt_at": again_at, "error": error.message}
        if again_at is None:
            values |= {"state": State.UNDELIVERABLE, "finished_at": now}
        claims.mark(connection, delivery.id, values)
        if again_at is None:
            if delivery.batch_id is not None:
                groups.mark_batch(connection, delivery.batch_id, values)
            metrics.count(BEHAVIOUR[State.UNDELIVERABLE].metric, delivery.deliveries)
            # In the batch's transaction, so that state and mail are recorded together.
            written = write_mails(
                connection,
                [outcome_without_run(delivery, State.UNDELIVERABLE, now, error=error.message)],
                at=now,
                digest_window_seconds=self._digest_window_seconds,
            )
            metrics.count(f"mails.{MailState.WAITING}", written)
        log.warning(
            "delivery not dispatched action=%s delivery=%s dag=%s attempts=%d reason=%s",
            "undeliverable" if again_at is None else "retry",
            delivery.id,
            delivery.dag_id,
            attempts,
            type(error).__name__,
        )


def _alive(connection: Connection, *, now: datetime) -> int:
    """How many dispatchers share the room in Airflow's queue."""
    return count_dispatchers(connection, seen_since=now - timedelta(seconds=HEARTBEAT_TIMEOUT_SECONDS))


def _unexpected_failure(delivery: ClaimedDelivery, error: Exception) -> DispatchError:
    log_unexpected_error(f"delivery {delivery.id}", error)
    what = "run" if delivery.asset is None else "asset event"
    return DispatchError(f"The {what} could not be created ({type(error).__name__}).")
