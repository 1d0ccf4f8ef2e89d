"""Deletes what is older than the retention, in batches that hold few locks and pause in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.records.activity import hour_of
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import retention
from inbound_webhooks.storage.activity_counts import delete_counts
from inbound_webhooks.storage.batch_size import BatchSize
from inbound_webhooks.storage.captured import forget_ended_listeners
from inbound_webhooks.storage.database import begin_writing, transaction
from inbound_webhooks.storage.dispatchers import forget_dispatchers_before
from inbound_webhooks.storage.endpoints import forget_endpoints_before
from inbound_webhooks.storage.replay_jobs import delete_jobs
from inbound_webhooks.storage.waits import delete_waits

log = get_logger(__name__)

BATCH_SIZE = 500
"""Rows of one transaction, if they are small."""

PAUSE_SECONDS = 0.05
"""Pause between two batches: other transactions get the disk, and SQLite's single write lock."""

ROUND_SECONDS = 600
"""Time between two rounds."""

KEYS_REMEMBERED = timedelta(days=7)
"""Deduplication keys are kept at least this long, whatever the retention: senders repeat for days."""

PROCESSES_REMEMBERED = timedelta(days=1)
"""Rows of dispatchers and endpoints that ended without removing theirs."""

Batch = Callable[..., int]


class RetentionJob:
    """Any number may run at once; rows that one has locked are skipped by the others."""

    def __init__(
        self,
        settings: Settings,
        *,
        now: Callable[[], datetime] = utc_now,
        batch_size: int = BATCH_SIZE,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kept = timedelta(days=settings.retention_days)
        self._captured = timedelta(seconds=settings.listening_seconds)
        self._counts_kept = timedelta(days=settings.activity_retention_days)
        self._now = now
        self._batch_size = batch_size
        self._pause = pause
        self._clock = clock
        self._stopping = False

    def stop(self) -> None:
        """Let :meth:`clean` return after the current batch."""
        self._stopping = True

    def clean(self) -> int:
        """Delete everything that is too old; return the number of rows.

        :raises DatabaseUnavailable: the next round deletes the rest
        """
        before = self._now() - self._kept
        # Earlier of the two: a long retention keeps the keys as long as their deliveries.
        keys_before = min(before, self._now() - KEYS_REMEMBERED)
        batches: tuple[tuple[str, Batch], ...] = (
            ("deliveries", partial(retention.delete_deliveries, before=before, keys_before=keys_before)),
            ("contents", partial(retention.empty_deliveries, since=keys_before, before=before)),
            ("responses", partial(retention.delete_responses, before=before)),
            ("result tokens", partial(retention.delete_result_tokens, before=before)),
            ("mails", partial(retention.delete_mails, before=before)),
            ("rejections", partial(retention.delete_rejections, before=before)),
            ("replay jobs", partial(delete_jobs, before=before)),
            ("captured", partial(retention.delete_captured, before=self._now() - self._captured)),
            ("waits", partial(delete_waits, before=before)),
            ("counts", partial(delete_counts, before=hour_of(self._now() - self._counts_kept))),
        )
        done = sum(self._repeat(name, batch) for name, batch in batches)
        with transaction() as connection:
            begin_writing(connection)
            forget_dispatchers_before(connection, self._now() - PROCESSES_REMEMBERED)
            forget_endpoints_before(connection, self._now() - PROCESSES_REMEMBERED)
            forget_ended_listeners(connection, self._now() - self._captured)
        return done

    def _repeat(self, name: str, batch: Batch) -> int:
        """Run batches until one is not full."""
        total, size = 0, BatchSize(self._batch_size)
        while not self._stopping:
            started, limit = self._clock(), size.rows
            with transaction() as connection:
                begin_writing(connection)
                done = batch(connection, limit=limit)
            total += done
            # Short of a full batch, nothing more is old, or the rest is locked by another dispatcher.
            if done < limit:
                break
            size.adapt(self._clock() - started)
            self._pause(PAUSE_SECONDS)
        if total:
            log.info("old rows removed action=retention what=%s count=%d", name, total)
        return total
