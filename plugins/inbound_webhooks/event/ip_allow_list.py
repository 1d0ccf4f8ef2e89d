"""Source addresses that may call a webhook."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

from inbound_webhooks.errors import InvalidDefinition


@dataclass(frozen=True, kw_only=True)
class IpAllowList:
    """Addresses that may call, as CIDR blocks (RFC 4632); a second factor, never the only one."""

    allowed: tuple[str, ...]

    def __post_init__(self) -> None:
        for block in self.allowed:
            try:
                ipaddress.ip_network(block)
            except ValueError:
                raise InvalidDefinition("allowed_addresses", f"{block!r} is not a CIDR block") from None

    def admits(self, source_ip: str) -> bool:
        """Whether an address is in one of the blocks; an IPv4 address inside IPv6 counts as IPv4."""
        try:
            # Behind % stands the zone of a link-local address, which is this machine's own name for it.
            address = ipaddress.ip_address(source_ip.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in _network(block) for block in self.allowed)


# Parsing costs more than the comparison, and each request compares every block.
@lru_cache(maxsize=4096)
def _network(block: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(block)
