"""Limits how much costly work of users runs at the same time, so that Airflow keeps threads."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from inbound_webhooks.errors import TooManyTrials


class UserSlots:
    """Slots of one process, of which a user may hold some. Nothing waits for one: that would hold a thread.

    :param total: slots of all users
    :param per_user: slots of one user
    """

    def __init__(self, total: int, *, per_user: int) -> None:
        self._total = total
        self._per_user = per_user
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def held_by(self, user: str) -> Iterator[None]:
        """Hold a slot.

        :raises TooManyTrials: all slots, or all that the user may have, are held
        """
        with self._lock:
            if self._held[user] >= self._per_user or self._held.total() >= self._total:
                raise TooManyTrials
            self._held[user] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held[user] -= 1
                self._held += Counter()  # drops users without a slot
