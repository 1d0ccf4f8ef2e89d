"""Wakes deliveries whose DAG or asset has appeared or was repaired, long before their next attempt."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from sqlalchemy import Connection

from inbound_webhooks.airflow_bridge.assets import find_asset
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
    """Remembers which webhooks' DAGs and assets could take nothing, and acts when one can.

    What waits although its target can take it has failed for another reason, and is left to its next attempt.
    """

    def __init__(self, *, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now
        self._broken: set[Waiting] | None = None

    def look(self) -> int:
        """Wake the deliveries whose DAG or asset can take them since the last look; return how many."""
        later = self._now() + SOON
        waiting = set(in_transaction(lambda it: waiting_after_failure(it, later, limit=MAX_WATCHED)))
        if not waiting:
            self._broken = set()
            return 0
        usable = in_transaction(lambda it: _usable(it, waiting))
        # At the start it is unknown what has changed before, so everything that can be dispatched is woken.
        repaired = usable if self._broken is None else usable & self._broken
        woken = sum(map(self._wake, sorted(repaired, key=_place)))
        self._broken = waiting - usable
        return woken

    def _wake(self, waiting: Waiting) -> int:
        woken = 0
        while True:
            with transaction() as connection:
                begin_writing(connection)
                done = wake(connection, waiting, self._now())
            woken += done
            if done < MAX_WOKEN:
                break
        if waiting.asset is None:
            log.info("DAG is back action=dag_is_back dag=%s deliveries=%d", waiting.dag_id, woken)
        else:
            log.info("asset is back action=asset_is_back asset=%s deliveries=%d", waiting.asset, woken)
        return woken


def _place(waiting: Waiting) -> tuple[str, str, str]:
    return waiting.webhook_id, waiting.dag_id, waiting.asset or ""


def _usable(connection: Connection, waiting: Collection[Waiting]) -> set[Waiting]:
    """Those whose DAG or asset can take a delivery now."""
    states = dag_states(connection, {each.dag_id for each in waiting if each.asset is None})
    found = {asset: find_asset(connection, asset) for asset in {each.asset for each in waiting} if asset}
    active = {asset for asset, known in found.items() if known is not None and known.is_active}
    return {
        each
        for each in waiting
        if (each.asset in active if each.asset else _takes_runs(states.get(each.dag_id), each.team))
    }


def _takes_runs(state: DagState | None, team: str | None) -> bool:
    return (
        state is not None
        and not state.is_stale
        and not state.has_import_errors
        and state.dag_hash is not None
        and state.owner.admits(team)
    )
