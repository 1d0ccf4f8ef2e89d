"""Right tokens, remembered for a moment, so that a burst does not ask the database twice for each event."""

from __future__ import annotations

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

REMEMBERED_SECONDS = 2.0
MAX_REMEMBERED = 1_000

Admitted = TypeVar("Admitted")


class RememberedAdmissions(Generic[Admitted]):
    """What a right token led to, for each webhook the last one.

    It saves work and decides nothing: whoever uses an entry has to find the webhook unchanged in the
    transaction that writes, and to forget the entry where it is not.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._held: OrderedDict[str, tuple[float, bytes, Admitted]] = OrderedDict()

    def put(self, webhook_id: str, token: str, admitted: Admitted) -> None:
        """Remember what a right token led to."""
        with self._lock:
            self._held[webhook_id] = (self._clock() + REMEMBERED_SECONDS, token.encode(), admitted)
            self._held.move_to_end(webhook_id)
            while len(self._held) > MAX_REMEMBERED:
                self._held.popitem(last=False)

    def get(self, webhook_id: str, token: str) -> Admitted | None:
        """What this very token led to a moment ago."""
        with self._lock:
            ends_at, right_token, admitted = self._held.get(webhook_id, (0.0, b"", None))
        is_same = hmac.compare_digest(right_token, token.encode())
        return admitted if is_same and self._clock() < ends_at else None

    def forget(self, webhook_id: str) -> None:
        """Ask the database again."""
        with self._lock:
            self._held.pop(webhook_id, None)
