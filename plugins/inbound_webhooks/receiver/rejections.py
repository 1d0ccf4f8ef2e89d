"""Records rejections off the request's path: batched, limited, dropped under load."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.monitoring.loop import Loop, attempt
from inbound_webhooks.records.delivery import Rejection
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.rejections import insert_rejections

log = get_logger(__name__)

MAX_PER_SECOND = 10
"""Rejections of one webhook that are recorded per second."""

MAX_WAITING = 1_000
"""Rejections that wait for the next write; further ones are dropped."""

FLUSH_SECONDS = 1.0
THREAD = "rejections"


class RejectionLog:
    """Collects rejections; :meth:`flush` writes them, or a thread between start and stop does."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[Rejection] = deque()
        self._second = 0
        self._in_second: dict[str, int] = {}
        self._loop: Loop | None = None

    def add(self, rejection: Rejection) -> None:
        """Record a rejection, unless there are too many."""
        with self._lock:
            second = int(self._clock())
            if second != self._second:
                self._second, self._in_second = second, {}
            noted = self._in_second.get(rejection.webhook_id, 0)
            if noted < MAX_PER_SECOND and len(self._waiting) < MAX_WAITING:
                self._in_second[rejection.webhook_id] = noted + 1
                self._waiting.append(rejection)

    def flush(self) -> bool:
        """Write the waiting rejections in one transaction; drop them where the database is unreachable.

        Returns False: the next ones may wait.
        """
        with self._lock:
            batch, self._waiting = list(self._waiting), deque()
        if not batch:
            return False
        try:
            _insert(batch)
        except DatabaseUnavailable:
            log.warning("rejections dropped action=rejections_dropped count=%d", len(batch))
        except Exception:  # noqa: BLE001 - one of them cannot be written: the others can
            for rejection in batch:
                attempt(THREAD, partial(_insert, [rejection]), None)
        return False

    def start(self) -> None:
        """Write once a second, in a thread."""
        self._loop = Loop(THREAD, self.flush, seconds=FLUSH_SECONDS, at_end=self._write_rest)
        self._loop.start()

    def stop(self) -> None:
        """Stop the thread and write the rest."""
        if self._loop is None:
            self.flush()
        else:
            self._loop.stop()
            self._loop.join()

    def _write_rest(self) -> None:
        self.flush()


def _insert(batch: Sequence[Rejection]) -> None:
    with transaction() as connection:
        insert_rejections(connection, batch)
