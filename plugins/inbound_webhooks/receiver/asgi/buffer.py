"""How much of the requests' bodies one process holds: in all, by webhook and by address."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from inbound_webhooks.errors import TooBusy
from inbound_webhooks.settings import Settings

SMALL_BODY_BYTES = 64 * 1024
"""Shorter bodies are not counted and always read: the server itself holds as much for each connection."""


class Share(msgspec.Struct, frozen=True):
    """What the bodies of one owner may take together; an owner is a webhook, an address, or the process."""

    owner: str
    limit_bytes: int
    exceeded: str


def shares(settings: Settings, webhook_id: str, address: str | None) -> tuple[Share, ...]:
    """The shares that a request counts towards; ``address`` is None where it counts for none."""
    total = settings.max_buffered_bytes
    found = [
        Share("", total, "The bodies of all requests in progress fill the buffer."),
        Share(
            f"webhook {webhook_id}",
            _part(settings, settings.webhook_buffer_percent),
            "The bodies of this webhook's requests fill its share of the buffer.",
        ),
    ]
    if address is not None:
        percent = settings.address_buffer_percent
        exceeded = "The bodies of this address's requests fill its share of the buffer."
        found.append(Share(f"address {address}", _part(settings, percent), exceeded))
    return tuple(found)


def _part(settings: Settings, percent: int) -> int:
    # A body that is allowed has to be accepted at some time.
    return max(settings.max_buffered_bytes * percent // 100, settings.max_body_bytes)


class BodyBuffer:
    """Bytes of long bodies, and requests whose bodies are incomplete, by owner; one owner cannot take all."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}
        self._incomplete: dict[str, int] = {}

    def held_bytes(self, owner: str = "") -> int:
        """Bytes of an owner that are held at the moment; without an owner, of all."""
        return self._held.get(owner, 0)

    def hold(self, shares: Iterable[Share], size: int) -> None:
        """Count bytes for each of the owners."""
        for share in shares:
            self._held[share.owner] = self._held.get(share.owner, 0) + size

    def check(self, shares: Iterable[Share], more_bytes: int = 0) -> None:
        """Compare what the owners hold, and so many bytes more, with their shares.

        :raises TooBusy: that exceeds one of them
        """
        for share in shares:
            if self.held_bytes(share.owner) + more_bytes > share.limit_bytes:
                raise TooBusy(share.exceeded)

    def release(self, shares: Iterable[Share], size: int) -> None:
        """Give bytes back; an owner without any is forgotten."""
        for share in shares if size else ():
            self._held[share.owner] -= size
            if not self._held[share.owner]:
                del self._held[share.owner]

    def begin(self, webhook_id: str, limit: int) -> None:
        """Count a request whose body is incomplete; :meth:`end` has to follow.

        :raises TooBusy: as many of the webhook's requests are incomplete already
        """
        count = self._incomplete.get(webhook_id, 0)
        if count >= limit:
            raise TooBusy(f"The bodies of {limit} requests of this webhook are incomplete.")
        self._incomplete[webhook_id] = count + 1

    def end(self, webhook_id: str) -> None:
        """Count a request less."""
        count = self._incomplete.pop(webhook_id) - 1
        if count:
            self._incomplete[webhook_id] = count
