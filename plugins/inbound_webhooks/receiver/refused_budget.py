"""What refused and filtered deliveries may store: a sender chooses their number and size."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from inbound_webhooks.records.delivery import Delivery, State
from inbound_webhooks.settings import Settings

WINDOW_SECONDS = 60.0

ROW_BYTES = 512
"""What a row takes beside its request: the other columns, and its entries in indexes."""


@dataclass
class _Stored:
    """What a webhook has stored in the current window."""

    bytes: int = 0
    without_body: int = 0


class RefusedBudget:
    """Counts the refused and filtered deliveries of each webhook, by the minute, on one event loop."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = settings.max_refused_bytes_per_minute
        self._max_without_body = settings.max_refused_without_body_per_minute
        self._stores_bodies = settings.store_bodies
        self._clock = clock
        self._window_ends_at = float("-inf")
        self._stored: dict[str, _Stored] = {}

    def limited(self, delivery: Delivery) -> Delivery | None:
        """The delivery as it may be stored, without its body where that would be too much; None for not at
        all."""
        self._begin_window()
        stored = self._stored.setdefault(delivery.webhook_id, _Stored())
        size = row_bytes(delivery) + (len(delivery.body) if self._stores_bodies else 0)
        if stored.bytes + size <= self._max_bytes:
            stored.bytes += size
            return delivery
        if stored.without_body >= self._max_without_body:
            return None
        stored.without_body += 1
        return replace(delivery, body=b"", body_stored=False)

    def fitting(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """The children that may be stored: the accepted ones, and others while there is room."""
        fitting = []
        for delivery in deliveries:
            if delivery.state in (State.FILTERED, State.REFUSED):
                self._begin_window()
                stored = self._stored.setdefault(delivery.webhook_id, _Stored())
                size = row_bytes(delivery)
                if stored.bytes + size > self._max_bytes:
                    continue
                stored.bytes += size
            fitting.append(delivery)
        return fitting

    def _begin_window(self) -> None:
        now = self._clock()
        if now >= self._window_ends_at:
            # A new dict, so that it holds only webhooks of the current window.
            self._window_ends_at, self._stored = now + WINDOW_SECONDS, {}


def row_bytes(delivery: Delivery) -> int:
    """About how many bytes a delivery takes in the database beside its body."""
    request = (delivery.headers, delivery.query_string, delivery.credentials)
    texts = (*request, delivery.conf, delivery.error, delivery.routes)
    return ROW_BYTES + sum(len(text.encode()) for text in texts if text)
