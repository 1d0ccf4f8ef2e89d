"""Problems found between a webhook's mapping and its DAG, stored so that only changes are checked again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from airflow.models.dag_version import DagVersion
from airflow.models.serialized_dag import SerializedDagModel
from sqlalchemy import Connection, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from inbound_webhooks.errors import Problem
from inbound_webhooks.event.conf.problems import mapping_problem
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.webhooks import read_webhook

LOOKED_AT = 200
"""Newest deliveries among which confs are searched: a bound for webhooks whose deliveries have no conf."""

MAX_CONF_CHARS = 100_000
"""Larger confs are skipped, since they would be read again after each change of a DAG."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The result of a check; ``dag_hash`` is of the DAG version, empty while Airflow has not serialized it.

    ``since`` is when DAG id and mapping got their current values; ``mapping_hash`` is the hash of both.
    """

    webhook_id: str
    dag_hash: str
    version: int
    mapping_hash: str
    since: datetime
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Changed:
    """A webhook that needs a check because it, or its DAG, has changed since the last one.

    ``dag_hash`` and ``dag_written_at`` are of the DAG's newest version.
    """

    webhook: Webhook
    dag_hash: str
    dag_written_at: datetime | None
    before: Drift | None

    @property
    def is_same_mapping(self) -> bool:
        """Whether DAG id and mapping are the same as at the last check."""
        return self.before is not None and self.before.mapping_hash == mapping_hash(self.webhook)


def mapping_hash(webhook: Webhook) -> str:
    """Hash of DAG id and mapping."""
    return hashlib.sha256(json.dumps([webhook.dag_id, dict(webhook.mapping)]).encode()).hexdigest()


def changed_webhooks(connection: Connection, *, after: str, limit: int) -> list[Changed]:
    """Webhooks that have changed, or whose DAG has, since their last check, with ids behind ``after``."""
    webhook, drift, dag = tables.webhook, tables.drift, _latest_dags()
    current_hash = func.coalesce(dag.c.dag_hash, "")
    # A DAG that is missing says nothing about the mapping; it is checked again once it is back.
    dag_changed = (dag.c.dag_hash.is_not(None)) & (drift.c.dag_hash != dag.c.dag_hash)
    rows = connection.execute(
        select(
            webhook,
            current_hash.label("now_hash"),
            dag.c.written_at,
            *(column.label(f"drift_{column.name}") for column in drift.c),
        )
        .select_from(
            # Outer joins: a webhook without a result, and a DAG that Airflow does not know.
            webhook.outerjoin(drift, drift.c.webhook_id == webhook.c.id).outerjoin(
                dag, dag.c.dag_id == webhook.c.dag_id
            )
        )
        .where(
            webhook.c.id > after,
            or_(drift.c.webhook_id.is_(None), drift.c.version != webhook.c.version, dag_changed),
        )
        .order_by(webhook.c.id)
        .limit(limit)
    )
    return [Changed(read_webhook(row), row.now_hash, row.written_at, _drift(row)) for row in rows]


def _latest_dags() -> Any:
    """The newest version of each DAG that a webhook names: dag_id, dag_hash, written_at."""
    numbers = (
        select(DagVersion.dag_id, func.max(DagVersion.version_number).label("number"))
        # Only DAGs of webhooks: an installation may have thousands of others.
        .where(DagVersion.dag_id.in_(select(tables.webhook.c.dag_id)))
        .group_by(DagVersion.dag_id)
        .subquery()
    )
    return (
        select(
            DagVersion.dag_id,
            SerializedDagModel.dag_hash,
            SerializedDagModel.last_updated.label("written_at"),
        )
        .join(
            numbers, (numbers.c.dag_id == DagVersion.dag_id) & (numbers.c.number == DagVersion.version_number)
        )
        .join(SerializedDagModel, SerializedDagModel.dag_version_id == DagVersion.id)
        .subquery()
    )


def _drift(row: Any) -> Drift | None:
    if row.drift_webhook_id is None:
        return None
    values = {name: row._mapping[f"drift_{name}"] for name in Drift.__dataclass_fields__}
    return Drift(**values | {"problems": _load(values["problems"])})


def save_drift(connection: Connection, found: Drift, before: Drift | None) -> bool:
    """Store the result of a check, unless another dispatcher has stored one since ``before`` was read."""
    columns, row = tables.drift.c, asdict(found) | {"problems": _dump(found.problems)}
    # Two dispatchers may check the same webhook; the first result wins, and only its dispatcher notifies.
    if before is None:
        insert: Any = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}[connection.dialect.name]
        return connection.execute(insert(tables.drift).values(row).on_conflict_do_nothing()).rowcount == 1
    unchanged = (
        columns.webhook_id == before.webhook_id,
        columns.dag_hash == before.dag_hash,
        columns.version == before.version,
    )
    return connection.execute(update(tables.drift).where(*unchanged).values(row)).rowcount == 1


def found_drifts(connection: Connection, webhook_ids: Sequence[str]) -> dict[str, Drift]:
    """Problems of these webhooks' current definitions, by webhook id.

    The caller compares ``dag_hash`` with the DAG's current version.
    """
    drift, webhook = tables.drift, tables.webhook
    rows = connection.execute(
        select(drift)
        # Of an older version of the webhook, a result says nothing about its current mapping.
        .join(webhook, (webhook.c.id == drift.c.webhook_id) & (webhook.c.version == drift.c.version))
        .where(drift.c.webhook_id.in_(list(webhook_ids)), drift.c.problems != _dump(()))
    )
    found = [Drift(**{**row._mapping, "problems": _load(row.problems)}) for row in rows]
    return {drift.webhook_id: drift for drift in found}


def last_confs(connection: Connection, webhook: Webhook, since: datetime, limit: int) -> list[Any]:
    """The confs among a webhook's newest deliveries for its DAG received since then, without replays."""
    columns = tables.delivery.c
    newest = (
        select(columns.id)
        .where(columns.webhook_id == webhook.id)
        .order_by(columns.id.desc())
        .limit(LOOKED_AT)
    )
    stored = connection.scalars(
        select(columns.conf)
        .where(
            columns.id.in_(newest.subquery().select()),
            columns.dag_id == webhook.dag_id,
            columns.received_at >= since,
            # A replay's conf may be one that the sender never caused.
            columns.replay_of.is_(None),
            func.length(columns.conf) <= MAX_CONF_CHARS,
        )
        .order_by(columns.id.desc())
        .limit(limit)
    )
    return [json.loads(conf) for conf in stored]


def stored_problem(problem: Problem) -> dict[str, Any]:
    """A problem of a mapping as JSON columns keep it."""
    return {"parameter": problem.part, "message": problem.message, "breaks": problem.stops}


def _dump(problems: Sequence[Problem]) -> str:
    return json.dumps([stored_problem(problem) for problem in problems])


def _load(stored: str) -> tuple[Problem, ...]:
    return tuple(
        mapping_problem(found["parameter"], found["message"], breaks=found["breaks"])
        for found in json.loads(stored)
    )
