"""Statements on replay jobs and their deliveries; each runs on the caller's connection."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, literal, select, text, update

from inbound_webhooks.records.replay_job import ItemState, JobState, ReplayItem, ReplayJob
from inbound_webhooks.storage import tables

LEASE = timedelta(seconds=30)
"""How long a dispatcher keeps a job from the others; after its death another one goes on."""

MAX_CAUSES = 50
"""Causes of a report."""


@dataclass(frozen=True)
class Cause:
    """Why deliveries of a job were not replayed, how many, and the first of them."""

    state: str
    reason: str
    number: int
    first_id: str


def insert_job(connection: Connection, job: ReplayJob, items: Sequence[ReplayItem]) -> None:
    """Insert a job with its deliveries."""
    connection.execute(insert(tables.replay_job), asdict(job))
    connection.execute(insert(tables.replay_item), [asdict(item) | {"job_id": job.id} for item in items])


def lock_creation(connection: Connection) -> None:
    """Let one transaction at a time count running jobs and add one; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        key = func.hashtextextended(literal("inbound webhook replay jobs"), 0)
        connection.execute(select(func.pg_advisory_xact_lock(key)))


def running_actors(connection: Connection) -> list[str]:
    """The users of all running jobs, each as often as it has one."""
    return list(connection.scalars(select(tables.replay_job.c.actor).where(text(tables.RUNNING))))


def find_job(connection: Connection, job_id: str) -> ReplayJob | None:
    """Find a job by id."""
    row = connection.execute(select(tables.replay_job).where(tables.replay_job.c.id == job_id)).first()
    return ReplayJob(**row._mapping) if row else None


def newest_jobs(connection: Connection, limit: int) -> list[ReplayJob]:
    """The newest jobs, newest first."""
    rows = connection.execute(select(tables.replay_job).order_by(tables.replay_job.c.id.desc()).limit(limit))
    return [ReplayJob(**row._mapping) for row in rows]


def progress_of(connection: Connection, job_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """Job id -> state -> number of deliveries."""
    columns = tables.replay_item.c
    rows = connection.execute(
        select(columns.job_id, columns.state, func.count())
        .where(columns.job_id.in_(sorted(job_ids)))
        .group_by(columns.job_id, columns.state)
    )
    found = {job_id: dict.fromkeys(ItemState.ALL, 0) for job_id in job_ids}
    for job_id, state, number in rows:
        found[job_id][state] = number
    return found


def causes_of(connection: Connection, job_id: str) -> list[Cause]:
    """Why deliveries were refused or skipped, the most frequent causes first."""
    columns = tables.replay_item.c
    number = func.count()
    rows = connection.execute(
        select(columns.state, columns.reason, number, func.min(columns.delivery_id))
        .where(columns.job_id == job_id, columns.reason.is_not(None))
        .group_by(columns.state, columns.reason)
        .order_by(number.desc(), columns.reason)
        .limit(MAX_CAUSES)
    )
    return [Cause(*row) for row in rows]


def items_of(connection: Connection, job_id: str, *, state: str, after: str, limit: int) -> list[ReplayItem]:
    """Deliveries of a job in one state, oldest first, beginning behind ``after``."""
    columns = tables.replay_item.c
    query = _items().where(columns.job_id == job_id, columns.state == state, columns.delivery_id > after)
    return [ReplayItem(**row._mapping) for row in connection.execute(query.limit(limit))]


# --- the dispatcher's part ------------------------------------------------------------------


def due_job(connection: Connection, now: datetime) -> ReplayJob | None:
    """The running job that waits longest for its turn, if one is due.

    What a clock ahead has postponed for longer than a lease is due, too.
    """
    columns = tables.replay_job.c
    query = select(tables.replay_job).where(
        text(tables.RUNNING), (columns.next_at <= now) | (columns.next_at > now + LEASE)
    )
    row = connection.execute(query.order_by(columns.next_at).limit(1)).first()
    return ReplayJob(**row._mapping) if row else None


def lease_job(connection: Connection, job: ReplayJob, now: datetime) -> bool:
    """Keep a job from the other dispatchers; False if one of them was faster, or the job has ended."""
    columns = tables.replay_job.c
    unchanged = (columns.id == job.id) & (columns.next_at == job.next_at) & text(tables.RUNNING)
    return (
        connection.execute(update(tables.replay_job).where(unchanged).values(next_at=now + LEASE)).rowcount
        == 1
    )


def release_job(connection: Connection, job_id: str, next_at: datetime) -> None:
    """Let any dispatcher go on with a job at this time."""
    columns = tables.replay_job.c
    running = (columns.id == job_id) & text(tables.RUNNING)
    connection.execute(update(tables.replay_job).where(running).values(next_at=next_at))


def end_job(connection: Connection, job_id: str, state: str, at: datetime) -> bool:
    """End a running job, and forget its user's claims; False if it has ended already.

    Waits for replays that are about to be committed; none follows.
    """
    columns = tables.replay_job.c
    running = (columns.id == job_id) & text(tables.RUNNING)
    ended = {"state": state, "finished_at": at, "claims": None}
    return connection.execute(update(tables.replay_job).where(running).values(ended)).rowcount == 1


def waiting_items(
    connection: Connection, job_id: str, *, without_webhooks: Collection[str], limit: int
) -> list[ReplayItem]:
    """The oldest deliveries that are still to be replayed, without those of some webhooks."""
    columns = tables.replay_item.c
    query = _items().where(columns.job_id == job_id, text(tables.WAITING))
    if without_webhooks:
        query = query.where(columns.webhook_id.not_in(sorted(without_webhooks)))
    return [ReplayItem(**row._mapping) for row in connection.execute(query.limit(limit))]


def is_done(connection: Connection, job_id: str) -> bool:
    """Whether no delivery of a job is left."""
    return not waiting_items(connection, job_id, without_webhooks=(), limit=1)


def claim_item(
    connection: Connection,
    job_id: str,
    delivery_id: str,
    *,
    state: str,
    replay_id: str | None,
    reason: str | None,
) -> bool:
    """Record what becomes of a delivery, if nothing was recorded and the job is running.

    The caller's transaction also writes the replay, so the two happen together or not at all.
    """
    job, item = tables.replay_job.c, tables.replay_item.c
    # FOR SHARE: the end of the job waits for this transaction, and this one for it.
    is_running = (
        select(job.id).where(job.id == job_id, job.state == JobState.RUNNING).with_for_update(read=True)
    )
    if connection.scalar(is_running) is None:
        return False
    waiting = (item.job_id == job_id) & (item.delivery_id == delivery_id) & (item.state == ItemState.WAITING)
    values = {"state": state, "replay_id": replay_id, "reason": reason}
    return connection.execute(update(tables.replay_item).where(waiting).values(values)).rowcount == 1


def refuse_waiting(connection: Connection, job_id: str, reason: str) -> None:
    """Refuse all deliveries of a job that are still to be replayed."""
    columns = tables.replay_item.c
    waiting = (columns.job_id == job_id) & text(tables.WAITING)
    values = {"state": ItemState.REFUSED, "reason": reason}
    connection.execute(update(tables.replay_item).where(waiting).values(values))


def delete_jobs(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete jobs that ended before then, with their deliveries; return how many."""
    columns = tables.replay_job.c
    old = select(columns.id).where(columns.finished_at < before).order_by(columns.finished_at).limit(limit)
    chosen = list(connection.scalars(old.with_for_update(skip_locked=True)))
    if chosen:
        connection.execute(delete(tables.replay_job).where(columns.id.in_(chosen)))
    return len(chosen)


def _items() -> Any:
    columns = tables.replay_item.c
    wanted = (columns[name] for name in ReplayItem.__dataclass_fields__)
    return select(*wanted).order_by(columns.delivery_id)
