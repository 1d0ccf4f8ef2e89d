"""Processes replay jobs in small batches, in turns, beside the deliveries that arrive meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from inbound_webhooks.deliveries.replay_jobs import access_of, refuse_all, replay_item
from inbound_webhooks.errors import BacklogFull, GroupsFull, NotPermitted, RateLimited, TokenUnreadable
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.receiver.pipeline import Receiver
from inbound_webhooks.records.replay_job import JobState, ReplayItem, ReplayJob
from inbound_webhooks.storage import replay_jobs as statements
from inbound_webhooks.storage.database import autocommit, begin_writing, transaction, translated_errors
from inbound_webhooks.storage.deliveries import count_accepted
from inbound_webhooks.storage.webhooks import webhook_by_id
from inbound_webhooks.webhooks.access import Access

log = get_logger(__name__)

POLL_SECONDS = 1.0
"""Time between two looks for a job, and the pause of a job whose webhooks have no room."""

BATCH_SIZE = 20
"""Deliveries after which the next job has its turn, and permissions are read again."""

BATCH_SECONDS = 5.0
"""Longest batch; shorter than the lease."""

MAX_WAITING = 50
"""A webhook gets no replay while so many of its deliveries wait for their run: what its sender sends next
waits behind few replays, whatever the size of the job."""


class ReplayJobs:
    """Any number may run at once, in any process; each delivery of a job still is replayed once."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime] = utc_now,
        receiver: Callable[[], Receiver] = get_receiver,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._now = now
        self._receiver = receiver
        self._pause = pause

    def process_due(self) -> bool:
        """Process a batch of the job whose turn it is; True if deliveries were processed.

        :raises DatabaseUnavailable: another dispatcher, or a later round, goes on
        """
        now = self._now()
        job = autocommit(partial(statements.due_job, now=now))
        if job is None:
            return False
        with transaction() as connection:
            begin_writing(connection)
            is_leased = statements.lease_job(connection, job, now)
        if not is_leased:
            return False
        started = time.monotonic()
        done = self._process(job)
        # As long as the batch took: SQLite's other writers get at least half of the time.
        self._pause(time.monotonic() - started if done else 0)
        return done > 0

    def _process(self, job: ReplayJob) -> int:
        """Process a batch, then end the job or leave it to the next turn; return how many were processed."""
        try:
            with translated_errors():  # of auth managers
                access = access_of(job)
        except (NotPermitted, TokenUnreadable) as error:
            refuse_all(job, error.message)
            log.info("replay job refused action=replay_job_refused job=%s", job.id)
            return 0
        done = self._replay(job, access)
        with transaction() as connection:
            begin_writing(connection)
            if statements.is_done(connection, job.id):
                if statements.end_job(connection, job.id, JobState.COMPLETED, self._now()):
                    log.info("replay job completed action=replay_job_completed job=%s", job.id)
            else:
                pause = timedelta(seconds=0 if done else POLL_SECONDS)
                statements.release_job(connection, job.id, self._now() + pause)
        return done

    def _replay(self, job: ReplayJob, access: Access | None) -> int:
        """Replay deliveries, oldest first, of webhooks that have room; return how many were processed."""
        receiver, done = self._receiver(), 0
        without_room: set[str] = set()
        ends_at = time.monotonic() + BATCH_SECONDS
        while done < BATCH_SIZE and time.monotonic() < ends_at:
            items = autocommit(partial(self._next, job, without_room))
            if not items:
                break
            for item in items[: BATCH_SIZE - done]:
                if item.webhook_id in without_room or time.monotonic() >= ends_at:
                    continue
                if not _has_room(receiver, item.webhook_id):
                    without_room.add(item.webhook_id)
                    continue
                with translated_errors():
                    replay_item(receiver, job, item, access)
                done += 1
        return done

    def _next(self, job: ReplayJob, without_room: set[str], connection: Connection) -> list[ReplayItem]:
        return statements.waiting_items(connection, job.id, without_webhooks=without_room, limit=BATCH_SIZE)


def _has_room(receiver: Receiver, webhook_id: str) -> bool:
    """Whether a webhook's limits admit one more delivery; they do where nothing will be replayed."""
    with transaction() as connection:
        webhook = webhook_by_id(connection, webhook_id)
        if webhook is None or not webhook.enabled:
            return True
        if count_accepted(connection, webhook_id, MAX_WAITING) >= MAX_WAITING:
            return False
    try:
        receiver.admit_replay(webhook)
    except (BacklogFull, GroupsFull, RateLimited):
        return False
    return True
