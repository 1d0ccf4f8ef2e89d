"""Records rejections off the request's path: batched, limited, dropped under load."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.records.delivery import Rejection
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.rejections import insert_rejections

log = get_logger(__name__)

MAX_PER_SECOND = 10
"""Rejections of one webhook that are recorded per second."""

MAX_WAITING = 1_000
"""Rejections that wait for the next write; further ones are dropped."""

FLUSH_SECONDS = 1.0


class RejectionLog:
    """Collects rejections; :meth:`flush` writes them, or a thread between start and stop does."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[Rejection] = deque()
        self._second = 0
        self._in_second: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

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

    def flush(self) -> None:
        """Write the waiting rejections in one transaction; drop them where the database is unreachable."""
        with self._lock:
            batch, self._waiting = list(self._waiting), deque()
        if not batch:
            return
        try:
            with transaction() as connection:
                insert_rejections(connection, batch)
        except DatabaseUnavailable:
            log.warning("rejections dropped action=rejections_dropped count=%d", len(batch))

    def start(self) -> None:
        """Write once a second, in a thread."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="inbound-webhooks-rejections", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and write the rest."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self.flush()
