"""The sign of life of a dispatcher, for whoever wants to know whether one is at work."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable
from datetime import datetime

from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.event.clock import utc_now
from inbound_webhooks.storage import dispatchers
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.dispatchers import HOST_CHARS, DispatcherRow

HEARTBEAT_SECONDS = 5.0


def host() -> str:
    """What this machine, or container, is called in the table."""
    return socket.gethostname()[:HOST_CHARS]


class Heartbeat:
    """One row of the table of dispatchers, kept fresh by the dispatcher's own thread."""

    def __init__(
        self, *, now: Callable[[], datetime] = utc_now, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._clock = clock
        self._row = DispatcherRow(id=uuid.uuid4().hex, host=host(), pid=os.getpid(), started_at=now())
        self._noted_at = float("-inf")

    def note(self) -> bool:
        """Write that the dispatcher is at work, at most every HEARTBEAT_SECONDS; whether it was written."""
        if self._clock() - self._noted_at < HEARTBEAT_SECONDS:
            return False
        self._noted_at = self._clock()
        try:
            with transaction() as connection:
                dispatchers.note_dispatcher(connection, self._row, self._now())
        except DatabaseUnavailable:
            return False  # logged there; a missing sign is what it means
        return True

    def end(self) -> None:
        """Take the row away: this dispatcher has stopped."""
        try:
            with transaction() as connection:
                dispatchers.forget_dispatcher(connection, self._row.id)
        except DatabaseUnavailable:
            return  # it grows old, and goes with the retention
