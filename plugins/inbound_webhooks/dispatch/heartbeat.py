"""The heartbeat of a dispatcher, read by the health report, the pages and ``airflow webhooks check``."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable
from datetime import datetime

from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.storage import dispatchers
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.dispatchers import HOST_CHARS, DispatcherRow

HEARTBEAT_SECONDS = 5.0


def host() -> str:
    """This machine's, or container's, name in the table of dispatchers."""
    return socket.gethostname()[:HOST_CHARS]


class Heartbeat:
    """A row in the table of dispatchers, refreshed by the dispatcher's own thread.

    A thread of its own would go on after the dispatcher's thread has died or hangs.
    """

    def __init__(
        self, *, now: Callable[[], datetime] = utc_now, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._clock = clock
        self._row = DispatcherRow(id=uuid.uuid4().hex, host=host(), pid=os.getpid(), started_at=now())
        self._sent_at = float("-inf")

    def note(self) -> bool:
        """Send a heartbeat unless the last one is younger than HEARTBEAT_SECONDS; whether one was stored."""
        if self._clock() - self._sent_at < HEARTBEAT_SECONDS:
            return False
        # Before the attempt: an unreachable database must not be asked again and again.
        self._sent_at = self._clock()
        try:
            with transaction() as connection:
                dispatchers.note_dispatcher(connection, self._row, self._now())
        except DatabaseUnavailable:
            return False  # logged already; readers see the missing heartbeat
        return True

    def end(self) -> None:
        """Remove the row, since this dispatcher has stopped."""
        try:
            with transaction() as connection:
                dispatchers.forget_dispatcher(connection, self._row.id)
        except DatabaseUnavailable:
            return  # readers ignore old rows, and retention deletes them
