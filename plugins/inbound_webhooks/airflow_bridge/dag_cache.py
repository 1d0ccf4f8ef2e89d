"""DAGs and their params from Airflow's database, read again only when a new version exists."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.serialized_dag import SerializedDagModel
from airflow.serialization.definitions.notset import is_arg_set
from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from inbound_webhooks.airflow_bridge.check_process import CHECK_PROCESS
from inbound_webhooks.airflow_bridge.params import UncheckedParams
from inbound_webhooks.airflow_bridge.teams import EVERYONE, Owner, has_teams, owner_of, team_column
from inbound_webhooks.event.conf.parameter import NO_DEFAULT, Parameter
from inbound_webhooks.records.webhook import Webhook

MAX_CACHED_DAGS = 500


@dataclass(frozen=True)
class DagState:
    """What decides whether a DAG can take a run now.

    ``dag_hash`` and ``version_id`` are those of its latest version; None where Airflow has not serialized it.
    """

    dag_id: str
    is_stale: bool
    is_paused: bool
    has_import_errors: bool
    allowed_run_types: tuple[str, ...] | None
    owner: Owner = EVERYONE
    dag_hash: str | None = None
    version_id: Any = None


@dataclass(frozen=True)
class CachedDag:
    """One version of a DAG, deserialised once; ``params`` by name.

    ``may_check_slowly``: some of them cannot be checked in linear time, so a check may block for a while.
    """

    dag_hash: str
    dag: Any
    params: Mapping[str, Parameter]
    owner: Owner = EVERYONE
    may_check_slowly: bool = False


RunQuery = Callable[[Callable[[Connection], "CachedDag | None"]], "CachedDag | None"]
"""Runs a query on a connection, as :func:`inbound_webhooks.storage.database.autocommit` does."""

_UNKNOWN: tuple[float | None, CachedDag | None] = (None, None)  # no entry: never checked, no version


class DagCache:
    """The latest version of each DAG, checked against the database once every ``recheck_seconds``."""

    def __init__(self, *, recheck_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._recheck_seconds = recheck_seconds
        self._clock = clock
        self._lock = Lock()
        self._entries: OrderedDict[str, tuple[float, CachedDag | None]] = OrderedDict()

    def peek(self, dag_id: str) -> tuple[CachedDag | None, bool]:
        """The version that was read last, and whether the caller has to refresh it; none for no DAG ("").

        While a version is cached, one caller has to refresh it and the others continue with that version.
        """
        if not dag_id:
            return None, False
        now = self._clock()
        with self._lock:
            checked_at, held = self._entries.get(dag_id, _UNKNOWN)
            is_due = checked_at is None or now - checked_at >= self._recheck_seconds
            if is_due and held is not None:
                self._entries[dag_id] = (now, held)
            return held, is_due

    def get(self, dag_id: str, run_query: RunQuery) -> CachedDag | None:
        """The latest version of a DAG, None if Airflow has not serialized it.

        ``run_query`` is called only if the database has to be queried.
        """
        held, is_due = self.peek(dag_id)
        return self.refresh(dag_id, run_query) if is_due else held

    def version(self, dag_id: str, dag_hash: str, run_query: RunQuery) -> CachedDag | None:
        """The version with this hash, None if it is no longer the latest one."""
        with self._lock:
            held = self._entries.get(dag_id, _UNKNOWN)[1]
        if held is None or held.dag_hash != dag_hash:
            held = self.refresh(dag_id, run_query)
        return held if held is not None and held.dag_hash == dag_hash else None

    def refresh(self, dag_id: str, run_query: RunQuery) -> CachedDag | None:
        """Query the database for the latest version."""
        now = self._clock()
        with self._lock:
            held = self._entries.get(dag_id, _UNKNOWN)[1]
        current = run_query(lambda connection: self._current(connection, dag_id, held))
        with self._lock:
            self._entries[dag_id] = (now, current)
            self._entries.move_to_end(dag_id)
            # Evicts the entry that was refreshed least recently.
            while len(self._entries) > MAX_CACHED_DAGS:
                self._entries.popitem(last=False)
        return current

    def _current(self, connection: Connection, dag_id: str, held: CachedDag | None) -> CachedDag | None:
        # The hash alone first: a serialized DAG may be megabytes, and mostly has not changed.
        dag_hash = connection.scalar(_latest(SerializedDagModel.dag_hash, dag_id))
        if dag_hash is None:
            return None
        found = held if held is not None and held.dag_hash == dag_hash else _read(connection, dag_id)
        # Read each time: a DAG can get another team without getting another version.
        owner = owner_of(connection, dag_id)
        return found if found is None or found.owner == owner else replace(found, owner=owner)


def startable(dag: CachedDag | None, webhook: Webhook) -> CachedDag | None:
    """The DAG, or None where it is missing or belongs to another team than the webhook.

    Responses, mails and pages name a DAG's params, which the senders and users of another team's webhook must
    not learn.
    """
    return dag if dag is not None and dag.owner.admits(webhook.team) else None


def dag_states(connection: Connection, dag_ids: set[str]) -> dict[str, DagState]:
    """The states of these DAGs by id, without DAGs that Airflow does not know."""
    are_owned = has_teams()
    rows = connection.execute(
        select(
            DagModel.dag_id,
            DagModel.is_stale,
            DagModel.is_paused,
            DagModel.has_import_errors,
            DagModel.allowed_run_types,
            team_column().label("team"),
            _latest(SerializedDagModel.dag_hash, DagModel.dag_id).scalar_subquery().label("dag_hash"),
            _latest(DagVersion.id, DagModel.dag_id).scalar_subquery().label("version_id"),
        ).where(DagModel.dag_id.in_(dag_ids))
    )
    return {
        row.dag_id: DagState(
            row.dag_id,
            row.is_stale,
            row.is_paused,
            bool(row.has_import_errors),
            None if row.allowed_run_types is None else tuple(row.allowed_run_types),
            Owner(row.team, are_owned),
            row.dag_hash,
            row.version_id,
        )
        for row in rows
    }


def _latest(column: Any, dag_id: Any) -> Any:
    return (
        select(column)
        .select_from(SerializedDagModel)
        .join(DagVersion, SerializedDagModel.dag_version_id == DagVersion.id)
        .where(SerializedDagModel.dag_id == dag_id)
        .order_by(DagVersion.version_number.desc())
        .limit(1)
    )


def _read(connection: Connection, dag_id: str) -> CachedDag | None:
    # A session of its own: Airflow's model deserialises only as an ORM object.
    with Session(bind=connection) as session:
        row = session.scalar(_latest(SerializedDagModel, dag_id))
        if row is None:
            return None
        dag = row.dag
        params = params_of(dag)
        # The dispatcher checks confs by the params above, within limits.
        dag.params = UncheckedParams(dict(dag.params.items()))
        # All of them, not only the first slow one: their schemas are compiled here, in the thread that has
        # read the DAG.
        reasons = [param.not_linear for param in params.values()]
        slow = any(reason is not None for reason in reasons)
        return CachedDag(row.dag_hash, dag, params, may_check_slowly=slow)


def params_of(dag: Any) -> dict[str, Parameter]:
    """The params of a deserialised DAG by name."""
    return {
        name: Parameter(
            name,
            schema=param.schema or {},
            default=param.value if is_arg_set(param.value) else NO_DEFAULT,
            description=str(getattr(param, "description", None) or ""),
            check_slowly=CHECK_PROCESS.refusal,
        )
        for name, param in dag.params.items()
    }
