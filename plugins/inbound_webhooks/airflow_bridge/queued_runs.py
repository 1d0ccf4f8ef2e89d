"""How many runs wait for Airflow's scheduler, so that webhooks do not overload it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.utils.state import DagRunState
from sqlalchemy import Connection, and_, func, literal_column, or_, select

from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.storage.database import autocommit

RECHECK_SECONDS = 1.0

RunQuery = Callable[[Callable[[Connection], Any]], Any]
"""Runs a query on a connection, as :func:`inbound_webhooks.storage.database.autocommit` does."""


@dataclass(frozen=True)
class Queue:
    """The queued runs of one DAG that is neither paused nor stale, and whether some could start.

    ``is_startable`` is False for a DAG at its max_active_runs: its runs wait for their own DAG only.
    """

    runs: int
    is_startable: bool


@dataclass(kw_only=True)
class Room:
    """How many more runs may be queued, as of the last count; what is created since is subtracted.

    ``queued`` counts the runs that the scheduler could start, ``by_dag`` all of a DAG.
    """

    limit: int
    dag_limit: int
    queued: int = 0
    by_dag: Mapping[str, int] = field(default_factory=dict)
    share: int = 1
    _created: dict[str, int] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Runs that this process may still create."""
        return self._part(self.limit - self.queued) - sum(self._created.values())

    def left_of(self, dag_id: str) -> int:
        """The same for one DAG."""
        return self._part(self.dag_limit - self.by_dag.get(dag_id, 0)) - self._created.get(dag_id, 0)

    def _part(self, free: int) -> int:
        # At least one: with many dispatchers and little room none of them would create a run.
        return max(1, free // self.share) if free > 0 else 0

    def note(self, dag_id: str) -> None:
        """Count a run that was created."""
        self._created[dag_id] = self._created.get(dag_id, 0) + 1

    def reason(self, dag_id: str) -> str | None:
        """Why a delivery of a DAG waits; None where it does not."""
        if self.queued >= self.limit:
            return f"Airflow has {self.queued:,} queued runs; max_queued_runs is {self.limit:,}."
        of_dag = self.by_dag.get(dag_id, 0)
        if of_dag >= self.dag_limit:
            share = f"its share of max_queued_runs is {self.dag_limit:,}"
            return f"DAG {dag_id} has {of_dag:,} queued runs; {share}."
        return None


class QueuedRuns:
    """Counts queued runs of all origins, at most once a second; thread-safe."""

    def __init__(self, limit: int, dag_percent: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._dag_limit = max(1, limit * dag_percent // 100)
        self._clock = clock
        self._lock = threading.Lock()
        self._counted_at = float("-inf")
        self._room: Room | None = None

    def room(
        self,
        run_query: RunQuery = autocommit,
        *,
        count_shares: Callable[[Connection], int] = lambda _: 1,
    ) -> Room | None:
        """The room as of the last second; None without a limit. Asks the database where that is too old.

        :param count_shares: among how many dispatchers it is divided
        """
        if not self._limit:
            return None
        with self._lock:
            if self._room is None or self._clock() - self._counted_at >= RECHECK_SECONDS:
                self._counted_at = self._clock()
                queues, shares = run_query(lambda it: (queued_runs(it), count_shares(it)))
                self._room = Room(
                    limit=self._limit,
                    dag_limit=self._dag_limit,
                    queued=sum(queue.runs for queue in queues.values() if queue.is_startable),
                    by_dag={dag_id: queue.runs for dag_id, queue in queues.items()},
                    share=max(1, shares),
                )
            return self._room


def queued_runs(connection: Connection) -> dict[str, Queue]:
    """The queued runs that are due, by DAG, in one query; without those of paused and stale DAGs."""
    now = utc_now()
    # Literals, so that planners see the predicates of Airflow's partial indexes.
    queued = (
        select(DagRun.dag_id, func.count().label("runs"))
        .where(DagRun.state == literal_column(f"'{DagRunState.QUEUED.value}'"))
        .where(or_(DagRun.run_after.is_(None), DagRun.run_after <= now))
        .group_by(DagRun.dag_id)
        .subquery()
    )
    running = (
        select(DagRun.dag_id, func.count().label("runs"))
        .where(DagRun.state == literal_column(f"'{DagRunState.RUNNING.value}'"))
        .group_by(DagRun.dag_id)
        .subquery()
    )
    is_active = and_(DagModel.is_paused.is_(False), DagModel.is_stale.is_(False))
    rows = connection.execute(
        select(
            queued.c.dag_id,
            queued.c.runs,
            (func.coalesce(running.c.runs, 0) < DagModel.max_active_runs).label("is_startable"),
        )
        .join(DagModel, DagModel.dag_id == queued.c.dag_id)
        .outerjoin(running, running.c.dag_id == queued.c.dag_id)
        .where(is_active)
    )
    return {row.dag_id: Queue(row.runs, bool(row.is_startable)) for row in rows}
