"""Limits per address, per webhook, and of the backlog."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import limits
from limits.errors import ConfigurationError as StorageRefused
from limits.errors import StorageError
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter

from inbound_webhooks.errors import BacklogFull, InvalidSetting, RateLimited, TooManyHeld
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.receiver.client_address import sender_of
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage.database import autocommit
from inbound_webhooks.storage.deliveries import count_accepted, count_accepted_by_webhook
from inbound_webhooks.storage.holds import count_held

log = get_logger(__name__)

RESERVED_PERCENT = 1
"""Share of the backlog that each webhook may have although the backlog of all is full."""

BACKLOG_RECHECK_SECONDS = 1.0

STORAGE_TIMEOUT_SECONDS = 0.5
"""How long a request waits for Redis, unless the storage URI says otherwise."""

STORAGE_RECHECK_SECONDS = 5.0
"""For how long nothing is counted after the storage failed, so that not every request waits for it."""

SET_BACK_SECONDS = 0.5
"""Counters survive a clock that is set back by less."""

FEW_SHARE = 10
"""Below a tenth of the limit per second a sender is not worth the library's bookkeeping."""


class Limits:
    """Counts requests with the limits library, in memory or in Redis.

    While the storage is unreachable nothing is counted and every request is admitted: a limit is not a lock.

    :raises InvalidSetting: rate_limit_storage_uri names no storage that the library knows
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        storage = _storage(settings.rate_limit_storage_uri)
        # Exact, but in memory it keeps an entry for each key forever: webhooks are few, addresses are not.
        self._webhooks = MovingWindowRateLimiter(storage)
        self._addresses = SlidingWindowCounterRateLimiter(storage)
        self._per_address = limits.RateLimitItemPerSecond(settings.max_requests_per_second_per_address)
        # In a shared storage each request has to be counted; in memory only those of a busy address.
        self.are_shared = _is_shared(settings)
        self._few = 0 if self.are_shared else self._per_address.amount // FEW_SHARE
        self._second = 0
        self._in_second: dict[str, int] = {}
        self._max_backlog = settings.max_backlog
        self._webhook_backlog = max(settings.max_backlog * settings.webhook_backlog_percent // 100, 1)
        self._reserved = max(settings.max_backlog * RESERVED_PERCENT // 100, 1)
        self._clock = clock
        self._lock = threading.Lock()
        self._storage = storage
        self._clock_ahead = float("-inf")
        self._storage_asked_again_at = float("-inf")
        self._backlog_checked_at = float("-inf")
        self._backlog_is_full = False
        self._full_webhooks: frozenset[str] = frozenset()
        self._rooms: dict[str, _Room] = {}
        self._max_held = settings.max_held
        self._held_rooms: dict[str, _Room] = {}
        self._waiting: dict[str, int] = {}
        self._added: Counter[str] = Counter()

    def admit_address(self, source_ip: str) -> None:
        """Count a request of an address; of IPv6, of its network.

        :raises RateLimited: it sent too many this second
        """
        sender = sender_of(source_ip)
        cost = self._uncounted(sender) if self._few else 1
        if cost and not self._counted(self._addresses, self._per_address, "address", sender, cost=cost):
            raise RateLimited(self._per_address.amount)

    def admits_held(self, webhook: Webhook, number: int = 1) -> bool:
        """Whether more deliveries may be held, by what was counted within the last second.

        False where :meth:`count_held` has to count first, which asks the database.

        :raises TooManyHeld: too many of this webhook are held
        """
        with self._lock:
            room = self._held_rooms.get(webhook.id)
            if room is None or self._clock() - room.counted_at >= BACKLOG_RECHECK_SECONDS:
                return False
            if room.left < number:
                raise TooManyHeld(self._max_held)
            room.left -= number
        return True

    def count_held(self, webhook: Webhook, number: int = 1) -> None:
        """Count a webhook's held deliveries in the database, and admit more; blocks.

        :raises TooManyHeld: too many of this webhook are held
        """
        held = autocommit(lambda connection: count_held(connection, webhook.id, self._max_held))
        now, left = self._clock(), self._max_held - held
        has_room = left >= number
        with self._lock:
            # A webhook that is no longer on hold leaves its entry behind.
            for old in [key for key, room in self._held_rooms.items() if now - room.counted_at > 60]:
                del self._held_rooms[old]
            self._held_rooms[webhook.id] = _Room(
                self._max_held, now, left=left - number if has_room else left
            )
        if not has_room:
            raise TooManyHeld(self._max_held)

    def admit_webhook(self, webhook: Webhook) -> None:
        """Count a request whose sender is verified.

        :raises RateLimited: the webhook got too many this second
        """
        if webhook.max_per_second is None:
            return
        item = limits.RateLimitItemPerSecond(webhook.max_per_second)
        if not self._counted(self._webhooks, item, "webhook", webhook.id):
            raise RateLimited(webhook.max_per_second)

    def admits_backlog(self, webhook: Webhook, number: int = 1) -> bool:
        """Whether more deliveries may wait, by what was counted within the last second.

        False where :meth:`count_backlog` has to count first, which asks the database. More deliveries than
        the limit are admitted while none wait: they come in one request, which would never fit.

        :raises BacklogFull: too many of this webhook wait, or too many in all and not few of this webhook
        """
        now = self._clock()
        if now - self._backlog_checked_at >= BACKLOG_RECHECK_SECONDS:
            return False
        limit = self._limit_of(webhook)
        if limit is None:
            return True
        with self._lock:
            room = self._rooms.get(webhook.id)
            if room is None or room.limit != limit:
                return False
            if now - room.counted_at >= BACKLOG_RECHECK_SECONDS:
                return False
            if room.left < min(number, limit):
                raise self._full(limit)
            # What this process admitted since the last count counts too.
            room.left -= number
        return True

    def count_backlog(self, webhook: Webhook, number: int = 1) -> None:
        """Count waiting deliveries in the database, in all once a second, and admit more; blocks.

        :raises BacklogFull: too many of this webhook wait, or too many in all and not few of this webhook
        """
        with self._lock:
            is_due = self._clock() - self._backlog_checked_at >= BACKLOG_RECHECK_SECONDS
            if is_due:
                self._backlog_checked_at = self._clock()
        if is_due:
            counts = autocommit(lambda connection: count_accepted_by_webhook(connection, self._max_backlog))
            with self._lock:
                self._waiting, self._added = counts, Counter()
            self._backlog_is_full = sum(counts.values()) >= self._max_backlog
            full = (webhook_id for webhook_id, count in counts.items() if count >= self._webhook_backlog)
            self._full_webhooks = frozenset(full)
        limit = self._limit_of(webhook)
        if limit is None or self.admits_backlog(webhook, number):
            return
        waiting = autocommit(lambda connection: count_accepted(connection, webhook.id, limit))
        has_room = waiting + min(number, limit) <= limit
        with self._lock:
            left = limit - waiting - (number if has_room else 0)
            self._rooms[webhook.id] = _Room(limit, self._clock(), left=left)
        if not has_room:
            raise self._full(limit)

    def admit_many(self, webhook: Webhook, number: int) -> None:
        """Count the deliveries of one request towards the limits of all webhooks, which are counted again a
        second later; until then a few requests with long lists could exceed them by far.

        :raises BacklogFull: with them too many would wait, of this webhook or in all
        """
        with self._lock:
            own, total = self._added[webhook.id], self._added.total()
            waiting = self._waiting.get(webhook.id, 0) + own
            if waiting and waiting + number > self._webhook_backlog:
                raise BacklogFull(self._webhook_backlog)
            waiting = sum(self._waiting.values()) + total
            if waiting and waiting + number > self._max_backlog:
                raise BacklogFull
            self._added[webhook.id] += number

    def _limit_of(self, webhook: Webhook) -> int | None:
        """How many deliveries of a webhook may wait; None for no limit but the one of all webhooks.

        While the backlog of all is full, a few of each webhook may still wait: others have filled it.

        :raises BacklogFull: the webhook has its whole share of the backlog
        """
        if webhook.id in self._full_webhooks:
            raise BacklogFull(self._webhook_backlog)
        if not self._backlog_is_full:
            return webhook.max_backlog
        return min(self._reserved, webhook.max_backlog or self._reserved)

    def _full(self, limit: int) -> BacklogFull:
        return BacklogFull() if self._backlog_is_full and limit == self._reserved else BacklogFull(limit)

    def _uncounted(self, sender: str) -> int:
        """How many requests to count in the library: none while a sender sent few in this second.

        In memory the library starts a thread every 10 ms to expire old entries, which costs more than all
        other checks before the body.
        """
        with self._lock:
            second = int(self._clock())
            if second != self._second:
                self._second, self._in_second = second, {}
            count = self._in_second[sender] = self._in_second.get(sender, 0) + 1
        return 0 if count < self._few else count if count == self._few else 1

    def _counted(self, limiter: RateLimiter, item: limits.RateLimitItem, *names: str, cost: int = 1) -> bool:
        """Whether a request is within a limit."""
        if self._clock() < self._storage_asked_again_at:
            return True
        self._reset_after_clock_change()
        try:
            return limiter.hit(item, *names, cost=cost)
        except StorageError as error:
            self._storage_asked_again_at = self._clock() + STORAGE_RECHECK_SECONDS
            # Its text may hold the storage's URI, and with it a password.
            log.warning(
                "requests are not counted action=rate_limit_storage_away kind=%s",
                type(error.storage_error).__name__,
            )
            return True

    def _reset_after_clock_change(self) -> None:
        """Reset the counters once the machine's clock was set back.

        In memory the library uses that clock, and would refuse every request until it has caught up; Redis
        expires entries by a clock of its own.
        """
        ahead = time.time() - time.monotonic()
        if ahead < self._clock_ahead - SET_BACK_SECONDS and isinstance(self._storage, MemoryStorage):
            self._storage.reset()
        self._clock_ahead = ahead


@dataclass
class _Room:
    """How many more deliveries of a webhook may wait, as of the last count."""

    limit: int
    counted_at: float
    left: int


def _is_shared(settings: Settings) -> bool:
    return not settings.rate_limit_storage_uri.startswith("memory:")


def _storage(uri: str) -> Storage:
    scheme = uri.partition(":")[0]
    timeouts = {"socket_timeout": STORAGE_TIMEOUT_SECONDS, "socket_connect_timeout": STORAGE_TIMEOUT_SECONDS}
    options = timeouts if scheme.startswith(("redis", "valkey")) else {}
    try:
        storage = storage_from_string(uri, wrap_exceptions=True, **options)
    except (StorageRefused, ValueError):
        storage = None
    if not isinstance(storage, Storage):
        expected = "the address of a storage that the limits library knows and has the packages for"
        # The rest of the URI may hold a password, and the message is logged.
        raise InvalidSetting("rate_limit_storage_uri", f"{scheme}:…", expected)
    return storage
