"""The limit on deliveries of a webhook that wait for others of their group."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from inbound_webhooks.errors import GroupsFull
from inbound_webhooks.storage.database import autocommit
from inbound_webhooks.storage.groups import count_grouped

RECHECK_SECONDS = 1.0

MAX_ROOMS = 10_000


@dataclass
class _Room:
    """How many more deliveries of a webhook may wait, as of the last count."""

    left: int
    counted_at: float


class GroupLimit:
    """Counts them in the database, once a second for each webhook that gets some."""

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._rooms: dict[str, _Room] = {}

    def admits(self, webhook_id: str, number: int = 1) -> bool:
        """Whether more may wait; False where :meth:`count` has to count first.

        :raises GroupsFull: there are too many
        """
        with self._lock:
            room = self._rooms.get(webhook_id)
            if room is None or self._clock() - room.counted_at >= RECHECK_SECONDS:
                return False
            # What this process admitted since the last count counts too.
            if room.left < number:
                raise GroupsFull(self._most)
            room.left -= number
        return True

    def count(self, webhook_id: str, number: int = 1) -> None:
        """Count a webhook's waiting deliveries and admit more; blocks.

        :raises GroupsFull: there are too many
        """
        waiting = autocommit(lambda connection: count_grouped(connection, webhook_id, self._most))
        left = self._most - waiting
        has_room = left >= number
        with self._lock:
            if len(self._rooms) >= MAX_ROOMS:
                self._rooms.clear()
            self._rooms[webhook_id] = _Room(left - number if has_room else left, self._clock())
        if not has_room:
            raise GroupsFull(self._most)
