"""Turns committed deliveries into DAG runs: claim, run, record, in one transaction for a batch."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from inbound_webhooks.airflow_bridge.dag_cache import DagState
from inbound_webhooks.airflow_bridge.dag_runs import RUN_PREFIX, DagRuns
from inbound_webhooks.airflow_bridge.sessions import BatchSession
from inbound_webhooks.dispatch.fair_queue import RoundRobin, claim
from inbound_webhooks.dispatch.heartbeat import HEARTBEAT_SECONDS, Heartbeat
from inbound_webhooks.errors import DatabaseUnavailable, DispatchError
from inbound_webhooks.event.clock import utc_now
from inbound_webhooks.event.retry import next_attempt_at
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.loop import log_unexpected_error
from inbound_webhooks.records.delivery import State
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import claims
from inbound_webhooks.storage.claims import ClaimedDelivery, WaitingWebhook
from inbound_webhooks.storage.clock_skew import reschedule_future_attempts, reschedule_future_mails
from inbound_webhooks.storage.database import begin_writing, session_transaction, transaction
from inbound_webhooks.storage.deliveries import read_backlog
from inbound_webhooks.storage.mails import MailState, write_mails
from inbound_webhooks.storage.outcomes import Outcome

log = logging.getLogger(__name__)


class Dispatcher:
    """Any number may run at once, in any process; each delivery becomes one run."""

    def __init__(self, settings: Settings, *, now: Callable[[], datetime] = utc_now) -> None:
        self._batch_size = settings.dispatcher_batch_size
        self._poll_seconds = settings.dispatcher_poll_seconds
        self._digest_window_seconds = settings.digest_window_seconds
        self._now = now
        self._presence = Heartbeat()
        self._turns = RoundRobin(settings.dispatcher_batch_size)
        self._dag_runs = DagRuns()
        self._wanted = threading.Event()
        self._stopping = False

    def wake(self) -> None:
        """Look for work now: this process has accepted a delivery."""
        self._wanted.set()

    def stop(self) -> None:
        """Let :meth:`run` end after the batch at hand."""
        self._stopping = True
        self._wanted.set()

    def run(self) -> None:
        """Dispatch until :meth:`stop`, whatever the database does."""
        log.info("dispatcher started action=dispatcher_started")
        while not self._stopping:
            self._wanted.clear()
            self._send_heartbeat()
            if self._drained():
                self._rest()
        self._presence.end()
        log.info("dispatcher stopped action=dispatcher_stopped")

    def _rest(self) -> None:
        """Wait until there is work or it is time to look for some, with signs of life meanwhile."""
        until = time.monotonic() + self._poll_seconds
        while (left := until - time.monotonic()) > 0:
            if self._wanted.wait(min(left, HEARTBEAT_SECONDS)):
                return
            self._send_heartbeat()

    def _send_heartbeat(self) -> None:
        if not self._presence.note():
            return
        self._reschedule_future_attempts()
        if not metrics.are_on():
            return
        try:
            with transaction() as connection:
                backlog, _ = read_backlog(connection)
        except DatabaseUnavailable:
            return  # logged there; the next sign of life brings the next figure
        metrics.gauge("backlog", backlog)

    def _reschedule_future_attempts(self) -> None:
        """Let nothing wait for a clock that was ahead when it was accepted."""
        try:
            with transaction() as connection:
                begin_writing(connection)
                hurried = reschedule_future_attempts(connection, self._now())
                window = timedelta(seconds=self._digest_window_seconds)
                hurried_mails = reschedule_future_mails(connection, self._now(), window)
        except DatabaseUnavailable:
            return  # logged there; the next sign of life looks again
        if hurried:
            log.warning("deliveries of another clock made due action=hurried count=%d", hurried)
            self._wanted.set()
        if hurried_mails:
            log.warning("mails of another clock made due action=hurried_mails count=%d", hurried_mails)

    def dispatch_due(self) -> int:
        """Handle one batch of due deliveries; return how many there were.

        :raises DatabaseUnavailable: nothing of the batch was recorded
        """
        now = self._now()
        passed_over: set[str] = set()
        while turn := [each for each in self._turns.next(now) if each.webhook_id not in passed_over]:
            if done := self._dispatch(turn, now):
                return done
            # Another dispatcher has them, or somebody is changing them: on with the others.
            passed_over |= {each.webhook_id for each in turn}
        return 0

    def _drained(self) -> bool:
        """Handle a batch; False while there may be more."""
        try:
            return self.dispatch_due() == 0
        except DatabaseUnavailable:
            return True  # logged where it was noticed; the next poll tries again
        except Exception as error:  # noqa: BLE001 - one bad round must not end the only dispatcher
            log_unexpected_error("round", error)
            return True

    def _dispatch(self, turn: list[WaitingWebhook], now: datetime) -> int:
        """Make the runs of a batch, all or none; where one fails, again with each apart from the others."""
        try:
            return self._batch(turn, now, self._create_runs)
        except Exception as error:  # noqa: BLE001 - whatever it was, the careful way finds whose it is
            log.info("batch failed action=batch_failed kind=%s", type(error).__name__)
            return self._batch(turn, now, self._create_runs_one_by_one)

    def _batch(
        self, turn: list[WaitingWebhook], now: datetime, make: Callable[..., list[ClaimedDelivery]]
    ) -> int:
        with session_transaction(BatchSession) as session:
            connection = session.connection()
            begin_writing(connection)
            batch = claim(connection, turn, now, self._batch_size)
            if not batch:
                return 0
            states = self._dag_runs.states(session, {delivery.dag_id for delivery in batch})
            dispatched = make(session, batch, states)
        for delivery in dispatched:
            metrics.count("dispatched")
            metrics.timing("dispatch_delay", self._now() - delivery.received_at)
            log.info("delivery dispatched action=dispatched delivery=%s dag=%s", delivery.id, delivery.dag_id)
        return len(batch)

    def _create_runs(
        self, session: Session, batch: list[ClaimedDelivery], states: dict[str, DagState]
    ) -> list[ClaimedDelivery]:
        for delivery in batch:
            self._dag_runs.create(session, delivery, states.get(delivery.dag_id), self._now())
        self._dag_runs.note(session, batch, self._now())
        self._mark(session, batch)
        return batch

    def _create_runs_one_by_one(
        self, session: Session, batch: list[ClaimedDelivery], states: dict[str, DagState]
    ) -> list[ClaimedDelivery]:
        dispatched: list[ClaimedDelivery] = []
        for delivery in batch:
            try:
                with session.begin_nested():
                    dispatched += self._create_runs(session, [delivery], states)
            except DispatchError as error:
                failure = error
            except IntegrityError as error:
                if self._adopt(session, delivery):
                    continue
                failure = _unforeseen(delivery, error)
            except Exception as error:  # noqa: BLE001 - a delivery that breaks us must not stop its neighbours
                failure = _unforeseen(delivery, error)
            else:
                continue
            self._record_failure(session, delivery, failure)
        return dispatched

    def _adopt(self, session: Session, delivery: ClaimedDelivery) -> bool:
        """Take a run that has the delivery's run id already for its own; a second one is never made."""
        if not self._dag_runs.exists(session, delivery):
            return False
        self._mark(session, [delivery])
        return True

    def _mark(self, session: Session, batch: list[ClaimedDelivery]) -> None:
        ids = [delivery.id for delivery in batch]
        claims.mark_dispatched(session.connection(), ids, run_prefix=RUN_PREFIX, at=self._now())

    def _record_failure(self, session: Session, delivery: ClaimedDelivery, error: DispatchError) -> None:
        """Write when it is tried again, or that it never is, which is told like a run that failed."""
        now, attempts = self._now(), delivery.attempts + 1
        again_at = next_attempt_at(now, attempts, error)
        values = {"attempts": attempts, "next_attempt_at": again_at, "error": error.message}
        if again_at is None:
            values |= {"state": State.UNDELIVERABLE, "finished_at": now}
        claims.mark(session.connection(), delivery.id, values)
        if again_at is None:
            metrics.count(f"outcome.{State.UNDELIVERABLE}")
            written = write_mails(
                session.connection(),
                [_undeliverable(delivery, error, now)],
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


def _undeliverable(delivery: ClaimedDelivery, error: DispatchError, at: datetime) -> Outcome:
    return Outcome(
        delivery_id=delivery.id,
        webhook_id=delivery.webhook_id,
        webhook_name=delivery.webhook_name,
        dag_id=delivery.dag_id,
        run_id=None,
        state=State.UNDELIVERABLE,
        received_at=delivery.received_at,
        started_at=None,
        finished_at=at,
        error=error.message,
    )


def _unforeseen(delivery: ClaimedDelivery, error: Exception) -> DispatchError:
    log_unexpected_error(f"delivery {delivery.id}", error)
    return DispatchError(f"The run could not be made ({type(error).__name__}).")
