"""The sender's address, also behind trusted proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from inbound_webhooks.errors import InvalidDefinition, InvalidSetting, Problem
from inbound_webhooks.event.ip_allow_list import IpAllowList
from inbound_webhooks.settings import Settings

MAX_HOPS = 20

UNKNOWN = "unknown"
"""Stored, shown and counted where the sender's address is not known (RFC 7239, section 6.2)."""

IPV6_SENDER_BITS = 64
"""A sender with one IPv6 address has all addresses that share these bits (RFC 6177)."""

REPLACED = Problem(
    "The api-server takes senders' addresses from X-Forwarded-For before [inbound_webhooks] trusted_proxies "
    "can decide, so they are unknown: webhooks with allowed addresses respond with 503, and all senders "
    "share one limit. Start the api-server without --proxy-headers and with FORWARDED_ALLOW_IPS set to an "
    "empty string, or let senders call a gateway (`airflow webhooks gateway`); then list the proxy in "
    "trusted_proxies.",
    code="client-address-replaced",
    severity="delays",
)
"""What the operator has to change where :func:`is_replaced`."""

REPLACED_SECONDS = 600.0
"""For how long the problem is reported after a request that met it. A sender that knows its webhook's token
can cause it on a connection of its own, by writing address and port of that into the header."""


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


@lru_cache(maxsize=4096)
def sender_of(source_ip: str) -> str:
    """The key under which an address is counted: itself, of IPv6 its network."""
    try:
        address = ipaddress.ip_address(source_ip.partition("%")[0])
    except ValueError:
        return source_ip
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_SENDER_BITS), strict=False))


def counted_address(peer: str, proxies: IpAllowList) -> str | None:
    """The key under which a connection is counted; None for a trusted proxy, which has many senders."""
    return None if not peer or proxies.admits(peer) else sender_of(peer)


def is_replaced(client: tuple[str, int], forwarded_for: Iterable[str]) -> bool:
    """Whether the server has taken its client, address and port, from X-Forwarded-For.

    uvicorn's ProxyHeadersMiddleware does, for any peer in FORWARDED_ALLOW_IPS, before an application sees the
    request: the peer is lost, and with it what ``trusted_proxies`` is compared with. What it takes stands
    literally in the header, and its port is 0 unless the header has one; a connection's own port never is 0.
    So a sender, or one of two proxies on a host, may write its own address without being mistaken, and behind
    a proxy no sender knows the port of the connection.
    """
    address, port = client
    for value in forwarded_for:
        if address and address in value:  # seldom so, and hops cost more
            for hop in value.split(","):
                written = hop.strip()
                if (address, port) in ((written, 0), _address_and_port(written)):
                    return True
    return False


def _address_and_port(hop: str) -> tuple[str, int]:
    """An entry of X-Forwarded-For as uvicorn reads it; the port is 0 where there is none that is a number."""
    if hop.startswith("["):
        address, _, rest = hop[1:].partition("]")
        written = rest.removeprefix(":")
    elif hop.count(":") == 1:
        address, _, written = hop.partition(":")
    else:
        return hop, 0
    try:
        return address, int(written)
    except ValueError:
        return address, 0


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
