"""How much may come in: a second from an address, a second for a webhook, waiting in all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import limits
from limits.errors import ConfigurationError as StorageRefused
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from inbound_webhooks.errors import BacklogFull, InvalidSetting, RateLimited
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import queries
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.queries import Webhook

BACKLOG_RECHECK_SECONDS = 1.0


class Limits:
    """Counts requests with the limits library, in memory or in Redis.

    :raises InvalidSetting: rate_limit_storage_uri is no storage that the library knows
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            storage = storage_from_string(settings.rate_limit_storage_uri, wrap_exceptions=True)
        except StorageRefused:
            raise InvalidSetting(
                "rate_limit_storage_uri", settings.rate_limit_storage_uri, "a storage of the limits library"
            ) from None
        self._limiter = MovingWindowRateLimiter(storage)
        self._per_address = limits.RateLimitItemPerSecond(settings.max_requests_per_second_per_address)
        self._max_backlog = settings.max_backlog
        self._clock = clock
        self._lock = threading.Lock()
        self._backlog_checked_at = float("-inf")
        self._backlog_is_full = False

    def admit_address(self, source_ip: str) -> None:
        """Count a request of an address.

        :raises RateLimited: it sent too many this second
        """
        if not self._limiter.hit(self._per_address, "address", source_ip):
            raise RateLimited(self._per_address.amount)

    def admit_webhook(self, webhook: Webhook) -> None:
        """Count a request whose sender is proved.

        :raises RateLimited: the webhook got too many this second
        """
        if webhook.max_per_second is None:
            return
        item = limits.RateLimitItemPerSecond(webhook.max_per_second)
        if not self._limiter.hit(item, "webhook", webhook.id):
            raise RateLimited(webhook.max_per_second)

    def admit_backlog(self) -> None:
        """Refuse more while too many deliveries wait; counted at most once a second.

        :raises BacklogFull: they do
        """
        with self._lock:
            due = self._clock() - self._backlog_checked_at >= BACKLOG_RECHECK_SECONDS
            if due:
                self._backlog_checked_at = self._clock()
        if due:
            with transaction() as connection:
                waiting = queries.count_accepted(connection, self._max_backlog)
            self._backlog_is_full = waiting >= self._max_backlog
        if self._backlog_is_full:
            raise BacklogFull
