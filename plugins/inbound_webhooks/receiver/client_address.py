"""The sender's address, also behind trusted proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from inbound_webhooks.errors import InvalidDefinition, InvalidSetting
from inbound_webhooks.event.ip_allow_list import IpAllowList
from inbound_webhooks.settings import Settings

MAX_HOPS = 20


def trusted_proxies(settings: Settings) -> IpAllowList:
    """The proxies of the setting ``trusted_proxies``.

    :raises InvalidSetting: a block is not CIDR
    """
    blocks = tuple(block.strip() for block in settings.trusted_proxies.split(",") if block.strip())
    try:
        return IpAllowList(allowed=blocks)
    except InvalidDefinition:
        raise InvalidSetting(
            "trusted_proxies", settings.trusted_proxies, "a list of CIDR blocks with commas"
        ) from None


def source_address(peer: str, forwarded_for: Iterable[str], proxies: IpAllowList) -> str:
    """The sender's address: the last one in X-Forwarded-For that is not a trusted proxy's.

    Only entries of trusted proxies count, so the list is read from its end; ``forwarded_for`` are the
    header's values in order of arrival. Without a trusted proxy as peer it is the peer. Where a proxy wrote
    something other than an address (``unknown``), it is that proxy's own.
    """
    if not proxies.allowed or not proxies.admits(peer):
        return peer
    hops = [hop.strip() for value in forwarded_for for hop in value.split(",")][-MAX_HOPS:]
    address = peer
    for hop in reversed(hops):
        written = _without_port(hop)
        if not _is_address(written):
            break
        address = written
        if not proxies.admits(address):
            break
    return address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _without_port(hop: str) -> str:
    """``203.0.113.7:443`` and ``[2001:db8::1]:443`` as some proxies write them -> the address."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
