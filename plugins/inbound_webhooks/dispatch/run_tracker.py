"""Follows the runs of dispatched deliveries, and records their outcomes with the mails about them.

Each round looks up the deliveries without an outcome, a page at a time, and one page of those whose run ended
in the last days: a run that is cleared or marked by hand ends again, or differently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from inbound_webhooks.airflow_bridge.dag_runs import DagRuns, RunKey, RunStatus
from inbound_webhooks.dispatch.key_order import RUN_CANCELLED
from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.monitoring.loop import log_unexpected_error
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.delivery_states import BEHAVIOUR
from inbound_webhooks.records.failed_task import FailedTask
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import outcomes
from inbound_webhooks.storage.database import begin_writing, session_transaction
from inbound_webhooks.storage.mails import MailState, write_mails
from inbound_webhooks.storage.outcomes import Outcome, TrackedDelivery

log = get_logger(__name__)

PAGE_SIZE = 500
MAX_PAGES = 10
"""Deliveries per query, and queries per round."""

BATCH_SIZE = 50
"""Outcomes per transaction."""

RECHECKED = timedelta(days=7)
"""How long after its end a run is looked up again."""

DELETED = "The DAG run was deleted before it ended."
WITHOUT_FAILED_TASK = "No task failed: the run timed out or was marked as failed."

Change = tuple[TrackedDelivery, RunStatus | None]


class RunTracker:
    """Any number may run at once; each outcome is recorded and mailed by one of them."""

    def __init__(
        self, settings: Settings, *, now: Callable[[], datetime] = utc_now, page_size: int = PAGE_SIZE
    ) -> None:
        self._page_size = page_size
        self._window_seconds = settings.digest_window_seconds
        self._now = now
        self._dag_runs = DagRuns()
        self._after = ""
        self._before: TrackedDelivery | None = None

    def follow(self) -> int:
        """Run one round; return how many deliveries changed.

        :raises DatabaseUnavailable: the next round finds the same changes again
        """
        changes = self._recheck_finished()
        for _ in range(MAX_PAGES):
            changes += self._check_unfinished()
            if not self._after:
                break
        return sum(self._settle(changes[i : i + BATCH_SIZE]) for i in range(0, len(changes), BATCH_SIZE))

    def _check_unfinished(self) -> list[Change]:
        """Changes among the next page of unfinished deliveries."""
        with session_transaction() as session:
            page = outcomes.unfinished(session.connection(), after=self._after, limit=self._page_size)
            changes = self._changes(session, page)
        # A full page may have a successor; otherwise the next round begins again with the oldest delivery.
        self._after = page[-1].id if len(page) == self._page_size else ""
        return changes

    def _recheck_finished(self) -> list[Change]:
        """Changes among the next page of finished deliveries."""
        since = self._now() - RECHECKED
        with session_transaction() as session:
            page = outcomes.finished_since(
                session.connection(), since, before=self._before, limit=self._page_size
            )
            changes = self._changes(session, page)
        self._before = page[-1] if len(page) == self._page_size else None
        return changes

    def _changes(self, session: Session, page: Sequence[TrackedDelivery]) -> list[Change]:
        runs = self._dag_runs.look_up(session, [(each.dag_id, each.run_id) for each in page])
        seen = [(each, runs.get((each.dag_id, each.run_id))) for each in page]
        return [(each, run) for each, run in seen if is_changed(each, run)]

    def _settle(self, changes: Sequence[Change]) -> int:
        """Record a batch; if that fails, record each change in a transaction of its own."""
        try:
            return self._record(changes)
        # A database outage concerns the whole round, not a single change.
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one bad outcome must not hold up the others
            if len(changes) == 1:
                log_unexpected_error(f"outcome of {changes[0][0].id}", error)
                return 0
        # Outside the batch, one by one: a bad outcome is logged, and the others are recorded.
        return sum(self._settle([change]) for change in changes)

    def _record(self, changes: Sequence[Change]) -> int:
        with session_transaction() as session:
            connection = session.connection()
            # Locked and compared again: between the look-up and now another dispatcher may have recorded it.
            begin_writing(connection)
            # One transaction for outcomes and mails: a mail exists exactly if its outcome is recorded.
            rows = outcomes.lock_tracked(connection, [tracked for tracked, _ in changes])
            ours = [(rows[each.id], each, run) for each, run in changes if each.id in rows]
            reopened = [each.id for _, each, run in ours if run is not None and not run.has_ended]
            tasks = self._failed_tasks(session, ours)
            ended = [
                self._outcome(row, run, tasks.get((row.dag_id, row.run_id), ()))
                for row, _, run in ours
                if run is None or run.has_ended
            ]
            # One mail for a run, also where a batch of deliveries started it.
            first_ones = {row.id for row, _, _ in ours if row.batch_id in (None, row.id)}
            mailed = [outcome for outcome in ended if outcome.delivery_id in first_ones]
            if reopened:
                outcomes.reopen(connection, reopened)
            outcomes.record(connection, ended)
            written = write_mails(
                connection, mailed, at=self._now(), digest_window_seconds=self._window_seconds
            )
        metrics.count(f"mails.{MailState.WAITING}", written)
        for outcome in ended:
            if BEHAVIOUR[outcome.state].metric:
                metrics.count(BEHAVIOUR[outcome.state].metric)
            log.info("run ended action=outcome delivery=%s state=%s", outcome.delivery_id, outcome.state)
        return len(ours)

    def _failed_tasks(self, session: Session, changes: Sequence[Any]) -> dict[RunKey, tuple[FailedTask, ...]]:
        """The failed tasks of failed runs, read once for a run that has many deliveries."""
        failed = {
            (row.dag_id, row.run_id)
            for row, _, run in changes
            if run is not None and run.has_ended and not run.has_succeeded
        }
        return {key: self._dag_runs.failed_tasks(session, *key) for key in failed}

    def _outcome(self, row: Any, run: RunStatus | None, tasks: tuple[FailedTask, ...]) -> Outcome:
        failed = run is None or not run.has_succeeded
        state, error = State.FAILED if failed else State.SUCCEEDED, None
        # The run timed out or was marked by hand; the mail should not leave the reader without a reason.
        if failed and not tasks:
            error = WITHOUT_FAILED_TASK if run else DELETED
        if failed and row.cancelled_by is not None:
            state, error = State.CANCELLED, RUN_CANCELLED
        return Outcome(
            delivery_id=row.id,
            webhook_id=row.webhook_id,
            webhook_name=row.webhook_name,
            dag_id=row.dag_id,
            run_id=row.run_id,
            state=state,
            received_at=row.received_at,
            started_at=run.started_at if run else None,
            finished_at=(run.ended_at if run else None) or self._now(),
            failed_tasks=tasks,
            error=error,
        )


def is_changed(tracked: TrackedDelivery, run: RunStatus | None) -> bool:
    """Whether a run differs from what its delivery records; None for a run that no longer exists."""
    if run is None:
        # An outcome stays when Airflow's own clean-up deletes the run.
        return tracked.state == State.DISPATCHED
    if not run.has_ended:
        return tracked.state != State.DISPATCHED
    if tracked.state != (State.SUCCEEDED if run.has_succeeded else State.FAILED):
        return True
    # A run that was cleared and failed again ends at another time, and is notified again.
    return run.ended_at is not None and run.ended_at != tracked.finished_at
