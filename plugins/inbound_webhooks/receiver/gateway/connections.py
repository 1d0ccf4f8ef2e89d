"""Which connections a gateway worker keeps open, and which it closes to make room for another one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from inbound_webhooks.event.ip_allow_list import IpAllowList
from inbound_webhooks.receiver.client_address import counted_address


class Connection(Protocol):
    """What is known of an open connection."""

    @property
    def is_idle(self) -> bool:
        """Whether the response to its latest request is complete, or it had no request yet."""

    def make_room(self) -> None:
        """Close it at once."""


@dataclass
class _Group:
    """Connections with a common limit, the oldest first."""

    limit: int
    address: str | None = None
    silent: dict[Connection, None] = field(default_factory=dict)
    """Without any request yet."""
    used: dict[Connection, None] = field(default_factory=dict)

    def without_request(self) -> Connection | None:
        """The oldest connection that no request needs; kept ones come after those that never had one."""
        oldest = next(iter(self.silent), None)
        return oldest or next((held for held in self.used if held.is_idle), None)


class OpenConnections:
    """The connections of one worker process.

    Made before the workers are, and copied to each of them while it is empty.

    :param limit: connections in all
    :param percent: the share of them that one source address may hold; a trusted proxy may hold all
    """

    def __init__(self, limit: int, *, percent: int, proxies: IpAllowList) -> None:
        self._all = _Group(limit)
        self._per_address = max(limit * percent // 100, 1)
        self._of_address: dict[str, _Group] = {}
        self._groups: dict[Connection, tuple[_Group, ...]] = {}
        self._proxies = proxies

    def __len__(self) -> int:
        return len(self._groups)

    def open(self, connection: Connection, peer: str) -> bool:
        """Take a connection from a peer; False where each one that it could replace serves a request."""
        address = counted_address(peer, self._proxies)
        if address is None:
            groups: tuple[_Group, ...] = (self._all,)
        else:
            groups = (self._of_address.get(address) or _Group(self._per_address, address), self._all)
        for group in groups:
            if len(group.silent) + len(group.used) >= group.limit and not self._makes_room(group):
                return False
        if address is not None:
            self._of_address[address] = groups[0]
        for group in groups:
            group.silent[connection] = None
        self._groups[connection] = groups
        return True

    def use(self, connection: Connection) -> None:
        """Note the first request of a connection."""
        for group in self._groups.get(connection, ()):
            if connection in group.silent:
                del group.silent[connection]
                group.used[connection] = None

    def close(self, connection: Connection) -> None:
        """Forget a connection."""
        for group in self._groups.pop(connection, ()):
            group.silent.pop(connection, None)
            group.used.pop(connection, None)
            if group.address is not None and not group.silent and not group.used:
                del self._of_address[group.address]

    def _makes_room(self, group: _Group) -> bool:
        replaced = group.without_request()
        if replaced is None:
            return False
        self.close(replaced)
        replaced.make_room()
        return True
