"""Creates and reads DAG runs; the only module that does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from airflow.exceptions import AirflowException
from airflow.models.dagrun import DagRun, DagRunNote
from airflow.models.taskinstance import TaskInstance
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from inbound_webhooks.airflow_bridge.dag_cache import DagCache, DagState, dag_states
from inbound_webhooks.airflow_bridge.logical_dates import data_interval_of, free_logical_date
from inbound_webhooks.airflow_bridge.partitions import partition_of
from inbound_webhooks.errors import (
    DagBroken,
    DagChanged,
    DagUnavailable,
    DispatchError,
    ParameterRefused,
    RunRefused,
    TeamMismatch,
    TooBusy,
)
from inbound_webhooks.event.conf.parameter import check_conf
from inbound_webhooks.event.schedule import MAX_NOTE_CHARS
from inbound_webhooks.event.truncation import truncate
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.monitoring.loop import log_unexpected_error
from inbound_webhooks.records.failed_task import FailedTask
from inbound_webhooks.storage.claims import ClaimedDelivery
from inbound_webhooks.storage.database import in_transaction

log = get_logger(__name__)

MAX_REASON_CHARS = 1_000
MAX_FAILED_TASKS = 50

RUN_PREFIX = "webhook__"
"""Prefix of run ids; the delivery's id follows, of a child its parent's id and its number."""

BATCH_PREFIX = f"{RUN_PREFIX}batch_"
"""The same for a run of a batch; the id of its first delivery follows."""

RunKey = tuple[str, str]
"""DAG id and run id."""

Unchecked = tuple[ClaimedDelivery, DagState]
"""A delivery whose conf has to be checked, and the DAG that it is checked against."""


@dataclass(frozen=True)
class RunStatus:
    """A run's state and times when it was read."""

    state: str
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def has_ended(self) -> bool:
        """Whether it is finished, unless a user clears it."""
        return self.state in (DagRunState.SUCCESS, DagRunState.FAILED)

    @property
    def has_succeeded(self) -> bool:
        """Whether it finished successfully."""
        return self.state == DagRunState.SUCCESS


class DagRuns:
    """Creates runs; each DAG is deserialised once per version instead of once per run."""

    def __init__(self) -> None:
        # Each batch reads the hashes of its DAGs.
        self._dags = DagCache(recheck_seconds=0)

    def states(self, session: Session, dag_ids: set[str]) -> dict[str, DagState]:
        """The current states of these DAGs, as Airflow knows them."""
        return dag_states(session.connection(), dag_ids)

    def create(
        self, session: Session, delivery: ClaimedDelivery, state: DagState | None, run_after: datetime
    ) -> None:
        """Create the run of a delivery in the caller's transaction.

        The run id is derived from the delivery's id, so a second run of the same delivery cannot exist.
        Airflow's ``trigger_dag`` is not used, because it commits and closes the thread's scoped session.
        Nor is its check of params, which is :class:`UncheckedParams`'s matter: the caller passes deliveries
        whose conf the DAG's current version has accepted, see :meth:`unchecked`.

        :raises DispatchError: the DAG cannot take the run, now or ever
        :raises Exception: anything else; the caller has to roll back the transaction or savepoint
        """
        current = _runnable(delivery, state)
        cached = self._dags.version(delivery.dag_id, current.hash, lambda work: work(session.connection()))
        if cached is None or delivery.checked_dag_hash != current.hash:
            raise DagChanged(delivery.dag_id)
        fields = _fields_of(session, delivery, cached.dag, run_after)
        try:
            run = cached.dag.create_dagrun(
                run_id=run_id_of(delivery),
                conf=json.loads(delivery.conf or "{}"),
                run_type=DagRunType.MANUAL,
                triggered_by=DagRunTriggeredByType.REST_API,
                triggering_user_name=f"webhook {delivery.webhook_name}",
                state=DagRunState.QUEUED,
                # Passed in, or Airflow would use the thread's scoped session and commit it.
                session=session,
                **fields,
            )
        except ValueError as error:
            # Without Airflow's message, which may quote the conf: deliveries' errors are shown and mailed.
            log_unexpected_error(f"delivery {delivery.id}", error)
            raise RunRefused(f"Airflow refuses the run ({type(error).__name__}).") from None
        except AirflowException as error:
            # Its versions were deleted meanwhile; Airflow restores them when it parses the file again.
            raise DagUnavailable(f"The DAG cannot take a run now: {_short(error)}") from None
        if run.created_dag_version_id != current.version_id:
            raise DagChanged(delivery.dag_id)

    def unchecked(self, batch: Sequence[ClaimedDelivery], states: Mapping[str, DagState]) -> list[Unchecked]:
        """The deliveries whose conf has to be checked: another version of their DAG accepted it, or none."""
        return [
            (delivery, states[delivery.dag_id])
            for delivery in batch
            if _is_unchecked(delivery, states.get(delivery.dag_id))
        ]

    def check(self, delivery: ClaimedDelivery, state: DagState) -> None:
        """Check a conf against the DAG's params; may take a while, so the caller has no transaction open.

        :raises RunRefused: the params refuse it
        :raises DispatchError: it cannot be checked now
        """
        cached = self._dags.version(delivery.dag_id, _runnable(delivery, state).hash, in_transaction)
        if cached is None:
            raise DagChanged(delivery.dag_id)
        try:
            check_conf(json.loads(delivery.conf or "{}"), cached.params)
        except ParameterRefused as error:
            raise RunRefused(f"The DAG refuses the run: {error.message}") from None
        except TooBusy as error:
            raise DagUnavailable(error.message) from None

    def exists(self, session: Session, delivery: ClaimedDelivery) -> bool:
        """Whether a run with the delivery's run id exists already."""
        where = (DagRun.dag_id == delivery.dag_id, DagRun.run_id == run_id_of(delivery))
        return session.scalar(select(DagRun.id).where(*where)) is not None

    def look_up(self, session: Session, keys: Sequence[RunKey]) -> dict[RunKey, RunStatus]:
        """State and times of those runs that exist."""
        found: dict[RunKey, RunStatus] = {}
        # One query for each DAG, because Airflow's index begins with the DAG's id.
        for dag_id, of_dag in groupby(sorted(set(keys)), key=lambda key: key[0]):
            rows = session.execute(
                select(DagRun.run_id, DagRun.state, DagRun.start_date, DagRun.end_date).where(
                    DagRun.dag_id == dag_id, DagRun.run_id.in_([run_id for _, run_id in of_dag])
                )
            )
            found |= {(dag_id, row[0]): RunStatus(*row[1:]) for row in rows}
        return found

    def failed_tasks(self, session: Session, dag_id: str, run_id: str) -> tuple[FailedTask, ...]:
        """A run's failed tasks, in the order of their failures."""
        rows = session.execute(
            select(TaskInstance.task_id, TaskInstance.map_index, TaskInstance.try_number)
            .where(
                TaskInstance.dag_id == dag_id,
                TaskInstance.run_id == run_id,
                TaskInstance.state == TaskInstanceState.FAILED,
            )
            .order_by(TaskInstance.end_date, TaskInstance.task_id, TaskInstance.map_index)
            .limit(MAX_FAILED_TASKS)
        )
        return tuple(FailedTask(*row) for row in rows)

    def note(self, session: Session, deliveries: Sequence[ClaimedDelivery], at: datetime) -> None:
        """Add a note to the runs created for these deliveries: which webhook, which delivery."""
        run_ids = {run_id_of(delivery): delivery for delivery in deliveries}
        # The DAG's id is in the condition because Airflow's index begins with it.
        of_dags = DagRun.dag_id.in_({delivery.dag_id for delivery in deliveries})
        keys = session.execute(select(DagRun.id, DagRun.run_id).where(of_dags, DagRun.run_id.in_(run_ids)))
        rows = [
            {
                "dag_run_id": key,
                "content": _note_of(run_ids[run_id]),
                "created_at": at,
                "updated_at": at,
            }
            for key, run_id in keys
        ]
        session.execute(insert(DagRunNote), rows)


def _fields_of(session: Session, delivery: ClaimedDelivery, dag: Any, now: datetime) -> dict[str, Any]:
    """When the run starts, for which logical date and partition; raises DispatchError."""
    logical_date = free_logical_date(session, delivery)
    return {
        "logical_date": logical_date,
        "data_interval": data_interval_of(dag, logical_date),
        # A time that has passed would only put the run before others of its DAG.
        "run_after": max(now, delivery.run_after or now),
        **partition_of(dag, delivery.partition_key),
    }


def _note_of(delivery: ClaimedDelivery) -> str:
    what = f"delivery {delivery.id}"
    if delivery.batch_id is not None:
        what = f"batch of {delivery.deliveries} deliveries, the first is {delivery.id}"
    origin = f"Webhook {delivery.webhook_name}, {what}"
    if delivery.note is None:
        return origin
    whole = f"{delivery.note}\n\n{origin}"
    return whole if len(whole) <= MAX_NOTE_CHARS else delivery.note


class _Current(NamedTuple):
    """The latest version of a DAG that may take a run."""

    hash: str
    version_id: Any


def _runnable(delivery: ClaimedDelivery, state: DagState | None) -> _Current:
    """Raises DispatchError where the delivery's DAG cannot take a run."""
    dag_id = delivery.dag_id
    if not dag_id:
        raise DagUnavailable("The webhook has no DAG.")
    if state is None or state.is_stale:
        raise DagUnavailable(f"Airflow knows no active DAG {dag_id}.")
    if not state.owner.admits(delivery.team):
        raise TeamMismatch(dag_id, delivery.team)
    if state.has_import_errors:
        raise DagBroken(f"The file of DAG {dag_id} has import errors.")
    if state.allowed_run_types is not None and DagRunType.MANUAL not in state.allowed_run_types:
        raise RunRefused(f"DAG {dag_id} does not allow manual runs.")
    if state.dag_hash is None:
        raise DagUnavailable(f"DAG {dag_id} is not serialized yet.")
    return _Current(state.dag_hash, state.version_id)


def _is_unchecked(delivery: ClaimedDelivery, state: DagState | None) -> bool:
    try:
        return _runnable(delivery, state).hash != delivery.checked_dag_hash
    except DispatchError:
        return False  # create() says why


def run_id_of(delivery: ClaimedDelivery) -> str:
    """The id of a delivery's run; it is fixed once the delivery, or its batch, can be dispatched."""
    if delivery.batch_id is not None:
        return BATCH_PREFIX + delivery.batch_id
    return RUN_PREFIX + delivery.run_suffix


def run_suffix_of(run_id: str) -> str:
    """What a run's id has behind its prefix: it names the delivery, or the first one of its batch."""
    return run_id.removeprefix(BATCH_PREFIX).removeprefix(RUN_PREFIX)


def _short(error: Exception) -> str:
    # Stored with the delivery, so its length is limited.
    return truncate(str(error), MAX_REASON_CHARS)
