"""Wakes deliveries whose DAG has appeared or was repaired, long before their next attempt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from inbound_webhooks.airflow_bridge.dag_cache import DagState, dag_states
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.storage.database import begin_writing, in_transaction, transaction
from inbound_webhooks.storage.retries import MAX_WOKEN, Waiting, waiting_after_failure, wake

log = get_logger(__name__)

WATCH_SECONDS = 3.0

SOON = timedelta(seconds=WATCH_SECONDS)
"""An attempt that is due by then needs no waking."""

MAX_WATCHED = 2_000
"""Webhooks of one look; those beyond wait for their next attempt."""


class DagWatcher:
    """Remembers which webhooks' DAGs could take no runs, and acts when one can.

    What waits although its DAG can take runs has failed for another reason, and is left to its next attempt.
    """

    def __init__(self, *, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now
        self._broken: set[tuple[str, str]] | None = None

    def look(self) -> int:
        """Wake the deliveries whose DAG can take runs since the last look; return how many."""
        later = self._now() + SOON
        waiting = in_transaction(lambda it: waiting_after_failure(it, later, limit=MAX_WATCHED))
        if not waiting:
            self._broken = set()
            return 0
        states = in_transaction(lambda it: dag_states(it, {each.dag_id for each in waiting}))
        usable = {_key(each) for each in waiting if _takes_runs(states.get(each.dag_id), each.team)}
        # At the start it is unknown what has changed before, so everything that can be dispatched is woken.
        repaired = usable if self._broken is None else usable & self._broken
        woken = sum(self._wake(*key) for key in sorted(repaired))
        self._broken = set(map(_key, waiting)) - usable
        return woken

    def _wake(self, webhook_id: str, dag_id: str) -> int:
        woken = 0
        while True:
            with transaction() as connection:
                begin_writing(connection)
                done = wake(connection, webhook_id, [dag_id], self._now())
            woken += done
            if done < MAX_WOKEN:
                break
        log.info("DAG is back action=dag_is_back dag=%s deliveries=%d", dag_id, woken)
        return woken


def _key(waiting: Waiting) -> tuple[str, str]:
    return waiting.webhook_id, waiting.dag_id


def _takes_runs(state: DagState | None, team: str | None) -> bool:
    return (
        state is not None
        and not state.is_stale
        and not state.has_import_errors
        and state.dag_hash is not None
        and state.owner.admits(team)
    )
