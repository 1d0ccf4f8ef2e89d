"""What a delivery's page shows that may still change: state, cause, timeline, replays, run, notifications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from inbound_webhooks.airflow_bridge.assets import ConsumingRun, consuming_runs
from inbound_webhooks.airflow_bridge.dag_cache import DagState, dag_states
from inbound_webhooks.airflow_bridge.run_tasks import TaskFacts, task_facts
from inbound_webhooks.deliveries.cause import Cause, Circumstances, cause_of
from inbound_webhooks.deliveries.details import waiting_reason
from inbound_webhooks.deliveries.family import MAX_CHILDREN, visible_routes
from inbound_webhooks.deliveries.group_notes import progress_of
from inbound_webhooks.deliveries.replay_offer import ReplayOffer, replay_offer
from inbound_webhooks.deliveries.timeline import RunTimes, Step, timeline
from inbound_webhooks.dispatch.run_tracker import RECHECKED
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.failed_task import FailedTask
from inbound_webhooks.records.target import serves_waits_only
from inbound_webhooks.records.wait import Wait
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage import listing
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.dispatchers import dispatchers_seen
from inbound_webhooks.storage.groups import list_batch
from inbound_webhooks.storage.mails import Mail, MailState, mails_of_delivery
from inbound_webhooks.storage.matched_waits import resumed_by
from inbound_webhooks.storage.outcomes import load_tasks
from inbound_webhooks.storage.retries import LONGEST_CLAIM
from inbound_webhooks.storage.waits import find_wait
from inbound_webhooks.storage.webhooks import webhook_by_id
from inbound_webhooks.web.shown_delivery import Shown, with_runs
from inbound_webhooks.webhooks.access import Access
from inbound_webhooks.webhooks.readiness import DISPATCHER_SILENT

LISTED = 20
"""Deliveries of the same batch that the page lists."""


@dataclass(frozen=True, kw_only=True)
class LiveDelivery:
    """``webhook`` is None where it was deleted, or the user may not see it.

    ``wait`` is that of the task that it is the call of, ``resumed`` are those that it has resumed as an
    event. ``mails`` is None where the user may not read the runs of the delivery's DAG. ``event_runs`` are
    those that took its asset event and that the user may read; None without an event. ``in_batch`` counts the
    deliveries of its batch, ``batch`` has the first of the others.
    """

    item: Shown
    webhook: Webhook | None
    offer: ReplayOffer
    cause: Cause | None
    steps: Sequence[Step]
    origin: Any
    replays: Sequence[Shown]
    mails: Sequence[Mail] | None
    tasks: TaskFacts
    failed_tasks: Sequence[FailedTask]
    waits_for: str | None
    may_unpause: bool
    may_retry: bool
    wait: Wait | None
    event_runs: Sequence[ConsumingRun] | None = None
    resumed: Sequence[Wait] = ()
    parent: Any = None
    children: Sequence[Shown] = ()
    children_total: int = 0
    routes: Sequence[dict[str, Any]] = ()
    in_batch: int = 0
    batch: Sequence[Any] = ()

    @property
    def is_open(self) -> bool:
        """Whether something of it will change by itself."""
        is_mail_open = any(mail.state == MailState.WAITING for mail in self.mails or ())
        others = (*self.replays, *self.children)
        return self.item.is_open or is_mail_open or any(each.is_open for each in others)

    @property
    def is_final(self) -> bool:
        """Whether nothing can change any more: no run is left that a user could clear."""
        if self.is_open:
            return False
        # Those of an asset event's runs are not recorded, but begin soon after it.
        shown = [each.delivery for each in (self.item, *self.replays, *self.children)]
        ends = [each.finished_at for each in shown if each.run_id or each.asset_event_id]
        tracked_since = utc_now() - RECHECKED
        return all(ended is not None and ended < tracked_since for ended in ends)


def read_live(access: Access, row: Any) -> LiveDelivery:
    """Read the current facts of a delivery; ``row`` has no large columns."""
    may_read = access.may_read_runs(row)
    with transaction() as connection:
        item, *replays = _family(connection, access, row)
        webhook = webhook_by_id(connection, row.webhook_id)
        dag_ids = {row.dag_id} | ({webhook.dag_id} if webhook else set())
        dags = dag_states(connection, dag_ids - {""})
        tasks = task_facts(connection, row.dag_id, row.run_id) if may_read and row.run_id else TaskFacts()
        mails = mails_of_delivery(connection, row.id) if may_read else None
        origin = listing.light_delivery(connection, row.replay_of) if row.replay_of else None
        waits_for = waiting_reason(connection, row)
        has_dispatcher = _is_recent(dispatchers_seen(connection))
        has_conf = listing.has_conf(connection, row.id)
        progress = progress_of(connection, row)
        others = _others(connection, access, row, may_read=may_read)
    visible = webhook if webhook is not None and access.may_see(webhook) else None
    failed_tasks = load_tasks(row.failed_tasks) if may_read else ()
    times = RunTimes(started_at=item.started_at, first_task_at=tasks.first_started_at, ended_at=item.ended_at)
    return LiveDelivery(
        item=item,
        webhook=visible,
        offer=_offer(access, row, webhook, dags, has_conf=has_conf),
        cause=cause_of(
            Circumstances(
                state=item.state,
                error=row.error,
                dag_id=row.dag_id,
                webhook=visible,
                dag=dags.get(row.dag_id),
                has_dispatcher=has_dispatcher,
                waits_for=waits_for,
                failed_tasks=failed_tasks,
                is_call=row.wait_id is not None,
                is_event=serves_waits_only(row),
                progress=progress,
                batch_id=None if row.batch_id == row.id else row.batch_id,
                superseded_by=row.superseded_by,
                cancelled_by=row.cancelled_by,
            )
        ),
        steps=timeline(row, item.state, times, mails or ()),
        origin=origin if origin is not None and access.may_see(origin) else None,
        replays=replays,
        mails=mails,
        tasks=tasks,
        failed_tasks=failed_tasks,
        waits_for=waits_for,
        may_unpause=access.may_unpause(row.dag_id),
        may_retry=_waits_for_attempt(row, mails or ()) and may_read and access.may_replay(webhook or row),
        **others,
    )


def _others(connection: Connection, access: Access, row: Any, *, may_read: bool) -> dict[str, Any]:
    """The fields of a delivery for tasks, runs and deliveries beside its own run, as far as the user may see
    them."""
    taken = consuming_runs(connection, row.asset_event_id) if row.asset_event_id else None
    parent = listing.light_delivery(connection, row.parent_id) if row.parent_id else None
    children: Sequence[Shown] = ()
    children_total = 0
    if row.state == State.SPLIT:
        found, children_total = listing.children_of(connection, row.id, MAX_CHILDREN)
        children = with_runs(connection, [child for child in found if access.may_see(child)])
    in_batch, batch = list_batch(connection, row.batch_id, limit=LISTED) if row.batch_id else (0, [])
    return {
        "wait": find_wait(connection, row.wait_id) if row.wait_id else None,
        "event_runs": None if taken is None else [run for run in taken if access.may_read_runs(run.dag_id)],
        "resumed": [each for each in resumed_by(connection, row.id) if access.may_see(each.dag_id)],
        "parent": parent if parent is not None and access.may_see(parent) else None,
        "children": children,
        "children_total": children_total,
        "routes": visible_routes(connection, access, listing.routes_text(connection, row.id))
        if may_read
        else (),
        "in_batch": in_batch,
        "batch": [each for each in batch if each.id != row.id and access.may_see(each)],
    }


def _family(connection: Connection, access: Access, row: Any) -> list[Shown]:
    """The delivery and its replays that the user may see, newest first."""
    replays = [again for again in listing.replays_of(connection, row.id) if access.may_see(again)]
    return with_runs(connection, [row, *replays])


def _offer(
    access: Access, row: Any, webhook: Webhook | None, dags: dict[str, DagState], *, has_conf: bool
) -> ReplayOffer:
    return replay_offer(
        row,
        webhook,
        None if webhook is None else dags.get(webhook.dag_id),
        has_conf=has_conf,
        is_visible=webhook is not None and access.may_see(webhook),
        may_read_runs=access.may_read_runs(row),
        may_replay=webhook is not None and access.may_replay(webhook),
    )


def _waits_for_attempt(row: Any, mails: Sequence[Mail]) -> bool:
    """Whether the delivery, or a mail of it, waits after a failed attempt."""
    now = utc_now()
    if row.state == State.ACCEPTED and row.attempts and row.next_attempt_at and row.next_attempt_at > now:
        return True
    later = now + LONGEST_CLAIM
    return any(
        mail.state == MailState.WAITING
        and mail.error
        and mail.next_attempt_at
        and mail.next_attempt_at > later
        for mail in mails
    )


def _is_recent(seen_at: datetime | None) -> bool:
    return seen_at is not None and utc_now() - seen_at < DISPATCHER_SILENT
