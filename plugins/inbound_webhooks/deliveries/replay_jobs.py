"""Replays of many deliveries: a job is checked and stored here, and the dispatcher processes it."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

from inbound_webhooks.deliveries.judging import Endpoint
from inbound_webhooks.deliveries.replay import CHANGED, WEBHOOK_DELETED, accepted_again
from inbound_webhooks.deliveries.search import FoundDelivery, find_all, named_origins
from inbound_webhooks.errors import (
    AlreadyClaimed,
    NotPermitted,
    NotReplayable,
    ReplayJobNotFound,
    ReplayJobRefused,
)
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.delivery import Delivery, State
from inbound_webhooks.records.delivery_filter import DeliveryFilter
from inbound_webhooks.records.replay_job import ItemState, JobState, ReplayItem, ReplayJob
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import replay_jobs as statements
from inbound_webhooks.storage.audit_log import write_audit_entry
from inbound_webhooks.storage.database import begin_writing, transaction
from inbound_webhooks.storage.deliveries import find_delivery
from inbound_webhooks.storage.delivery_search import rows_of
from inbound_webhooks.storage.encryption import decrypt, encrypt
from inbound_webhooks.storage.listing import OPEN_STATES
from inbound_webhooks.storage.replay_jobs import Cause
from inbound_webhooks.storage.tables import ACTOR_CHARS
from inbound_webhooks.storage.webhooks import webhook_by_id
from inbound_webhooks.webhooks.access import Access, restored

FIND_SECONDS = 10.0
"""Longest time for finding the deliveries of a filter."""

ATTEMPTS = 3
"""Attempts at a delivery whose webhook is changed at the same time."""

MAX_REPORTED = 100
"""Replays that a report names one by one."""

DELIVERY_DELETED = "The delivery was deleted."
SPLIT = "It was split into deliveries, which are replayed themselves where they match."
STILL_OPEN = "Its own run has not ended."
NO_PERMISSION = "Replays require the permission to edit webhooks and to trigger a DAG."


@dataclass(frozen=True)
class Report:
    """A job with the number of deliveries in each state, and why some were not replayed."""

    job: ReplayJob
    progress: dict[str, int]
    causes: Sequence[Cause] = ()
    replays: Sequence[ReplayItem] = ()

    @property
    def done(self) -> int:
        """Number of deliveries that have been processed."""
        return self.job.total - self.progress[ItemState.WAITING]


# --- starting, reading and cancelling -------------------------------------------------------


def start(
    *,
    access: Access | None,
    actor: str,
    remap: bool,
    where: DeliveryFilter | None = None,
    ids: Collection[str] = (),
) -> ReplayJob:
    """Store a job for the deliveries of a filter, or for selected ones.

    Permissions for each delivery are checked when it is replayed.

    :param access: None for an operator with a shell, who may replay everything
    :raises NotPermitted: the user may replay nothing at all
    :raises ReplayJobRefused: there is no such delivery, there are too many, or too many jobs are running
    :raises SearchTooLong: the deliveries were not found in time
    """
    settings = Settings.load()
    require_permission(access)
    found = _wanted_deliveries(where, ids, access, most=settings.max_replay_deliveries)
    now = utc_now()
    job = ReplayJob(
        created_at=now,
        next_at=now,
        actor=actor[:ACTOR_CHARS],
        is_checked=access is not None,
        claims=None if access is None else encrypt(json.dumps(access.claims())),
        conditions=json.dumps([] if where is None else where.pairs()),
        remap=remap,
        total=len(found),
        dag_ids=json.dumps(sorted({each.dag_id for each in found})),
    )
    _store(job, found, max_jobs=settings.max_replay_jobs)
    return job


def require_permission(access: Access | None) -> None:
    """Check that the user may replay the deliveries of at least one DAG.

    :raises NotPermitted: there is none
    """
    if access is not None and not access.may_replay_one_of(named_origins()):
        raise NotPermitted(NO_PERMISSION)


def _wanted_deliveries(
    where: DeliveryFilter | None, ids: Collection[str], access: Access | None, *, most: int
) -> Sequence[FoundDelivery]:
    if where is None:
        found: Sequence[FoundDelivery] = _selected(ids, access)
    else:
        found = find_all(where, access, limit=most, seconds=FIND_SECONDS)
    if not found:
        raise ReplayJobRefused("There is no such delivery, or you may not see its DAG.")
    if len(found) > most:
        raise ReplayJobRefused(f"These are more than {most:,} deliveries. Choose a shorter period.")
    return found


def _selected(ids: Collection[str], access: Access | None) -> list[FoundDelivery]:
    with transaction() as connection:
        rows = rows_of(connection, sorted(set(ids)))
    visible = [row for row in rows if access is None or access.may_see(row)]
    return [FoundDelivery(row.id, row.dag_id, row.webhook_id) for row in visible]


def _store(job: ReplayJob, found: Sequence[FoundDelivery], *, max_jobs: int) -> None:
    items = [ReplayItem(delivery_id=each.id, webhook_id=each.webhook_id) for each in found]
    details = {
        "job": job.id,
        "where": json.loads(job.conditions),
        "deliveries": job.total,
        "remap": job.remap,
    }
    with transaction() as connection:
        begin_writing(connection)
        statements.lock_creation(connection)
        _refuse_too_many(statements.running_actors(connection), job.actor, max_jobs)
        statements.insert_job(connection, job, items)
        write_audit_entry(
            connection,
            event="webhook.replay_job",
            dag_id=None,
            actor=job.actor,
            at=job.created_at,
            details=details,
        )


def _refuse_too_many(running: Sequence[str], actor: str, most: int) -> None:
    if len(running) >= most:
        raise ReplayJobRefused(f"{len(running)} replay jobs are running. Try again when one has ended.")
    mine = running.count(actor)
    if mine >= max(most // 2, 1):
        raise ReplayJobRefused(f"{mine} of your replay jobs are running. Try again when one has ended.")


def report(job_id: str, access: Access | None, actor: str) -> Report:
    """A job with its progress.

    :raises ReplayJobNotFound: it does not exist, or the user may not see it
    """
    job = visible_job(job_id, access, actor)
    with transaction() as connection:
        progress = statements.progress_of(connection, [job_id])[job_id]
        causes = statements.causes_of(connection, job_id)
        replays = statements.items_of(
            connection, job_id, state=ItemState.REPLAYED, after="", limit=MAX_REPORTED
        )
    return Report(job, progress, causes, replays)


def reports(access: Access | None, actor: str, *, limit: int) -> list[Report]:
    """The newest jobs that the user may see, among the ``limit`` newest, without causes."""
    with transaction() as connection:
        jobs = statements.newest_jobs(connection, limit)
    jobs = [job for job in jobs if _may_see(job, access, actor)]
    with transaction() as connection:
        progress = statements.progress_of(connection, [job.id for job in jobs])
    return [Report(job, progress[job.id]) for job in jobs]


def visible_job(job_id: str, access: Access | None, actor: str) -> ReplayJob:
    """A job by id.

    :raises ReplayJobNotFound: it does not exist, or the user may not see it
    """
    job = None
    if job_id.isascii() and job_id.isprintable():  # PostgreSQL rejects NUL
        with transaction() as connection:
            job = statements.find_job(connection, job_id)
    if job is None or not _may_see(job, access, actor):
        raise ReplayJobNotFound(f"There is no replay job {job_id!r}, or you may not see it.")
    return job


def cancel(job_id: str, access: Access | None, actor: str) -> bool:
    """Stop a job; False if it has ended already. After this returns, no further delivery is replayed.

    :raises ReplayJobNotFound: it does not exist, or the user may not see it
    :raises NotPermitted: the user may not replay deliveries
    """
    require_permission(access)
    job = visible_job(job_id, access, actor)
    now = utc_now()
    with transaction() as connection:
        begin_writing(connection)
        if not statements.end_job(connection, job.id, JobState.CANCELLED, now):
            return False
        write_audit_entry(
            connection,
            event="webhook.replay_job_cancel",
            dag_id=None,
            actor=actor,
            at=now,
            details={"job": job.id},
        )
    return True


def _may_see(job: ReplayJob, access: Access | None, actor: str) -> bool:
    """A user sees their own jobs, and those whose deliveries they might all have replayed."""
    # An operator with a shell may have the name of a user.
    if access is None or (job.is_checked and job.actor == actor):
        return True
    return all(access.may_replay(dag_id) for dag_id in json.loads(job.dag_ids))


# --- processing -----------------------------------------------------------------------------


def access_of(job: ReplayJob) -> Access | None:
    """The current access of a job's user; None for an operator with a shell.

    :raises NotPermitted: the user no longer exists, or cannot be checked
    :raises TokenUnreadable: the Fernet key was replaced meanwhile
    """
    if not job.is_checked:
        return None
    if job.claims is None:
        raise NotPermitted
    return restored(json.loads(decrypt(job.claims)))


def replay_item(endpoint: Endpoint, job: ReplayJob, item: ReplayItem, access: Access | None) -> bool:
    """Replay one delivery of a job, or record why not; False if another process has done it.

    :raises DatabaseUnavailable: nothing was recorded
    """
    for _ in range(ATTEMPTS):
        with transaction() as connection:
            stored = find_delivery(connection, item.delivery_id)
            webhook = webhook_by_id(connection, item.webhook_id)
        if stored is None:
            return record(job, item, ItemState.SKIPPED, DELIVERY_DELETED)
        if stored.state in OPEN_STATES:
            return record(job, item, ItemState.SKIPPED, STILL_OPEN)
        if stored.state == State.SPLIT:
            return record(job, item, ItemState.SKIPPED, SPLIT)
        try:
            if _commit(endpoint, job, stored, _checked(stored, webhook, access)):
                return True
        except AlreadyClaimed:
            return False
        except (NotPermitted, NotReplayable) as error:
            return record(job, item, ItemState.REFUSED, error.message)
    return record(job, item, ItemState.REFUSED, CHANGED)


def _checked(stored: Delivery, webhook: Webhook | None, access: Access | None) -> Webhook:
    if webhook is None:
        raise NotReplayable(WEBHOOK_DELETED)
    if access is not None and (problem := access.replay_problem(stored, webhook)):
        raise NotPermitted(problem)
    return webhook


def _commit(endpoint: Endpoint, job: ReplayJob, stored: Delivery, webhook: Webhook) -> bool:
    """Commit the replay; False if the webhook has changed since it was read."""
    again, children = accepted_again(endpoint, stored, webhook, remap=job.remap)
    claim = partial(
        statements.claim_item,
        job_id=job.id,
        delivery_id=stored.id,
        state=ItemState.REPLAYED,
        replay_id=again.id,
        reason=None,
    )
    return endpoint.inbox.commit_claimed(again, webhook.version, claim, children) is not None


def refuse_all(job: ReplayJob, reason: str) -> None:
    """Refuse what is left of a job, such as when its user no longer exists."""
    with transaction() as connection:
        begin_writing(connection)
        if statements.end_job(connection, job.id, JobState.COMPLETED, utc_now()):
            statements.refuse_waiting(connection, job.id, reason)


def record(job: ReplayJob, item: ReplayItem, state: str, reason: str) -> bool:
    """Record why a delivery was not replayed; False if another process has processed it."""
    with transaction() as connection:
        begin_writing(connection)
        return statements.claim_item(
            connection, job.id, item.delivery_id, state=state, replay_id=None, reason=reason
        )
