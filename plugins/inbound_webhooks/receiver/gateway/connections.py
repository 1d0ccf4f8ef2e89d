"""Which connections a gateway worker keeps open, and which it closes to make room for another one."""

from __future__ import annotations

from collections.abc import Iterator
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


class _Group:
    """Connections with a common limit, the oldest first: those without any request yet, and the others."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.silent: dict[Connection, None] = {}
        self.used: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self.silent) + len(self.used)

    def add(self, connection: Connection) -> None:
        self.silent[connection] = None

    def use(self, connection: Connection) -> None:
        if connection in self.silent:
            del self.silent[connection]
            self.used[connection] = None

    def remove(self, connection: Connection) -> None:
        self.silent.pop(connection, None)
        self.used.pop(connection, None)

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
        self._addresses: dict[Connection, str] = {}
        self._proxies = proxies

    def __len__(self) -> int:
        return len(self._all)

    def open(self, connection: Connection, peer: str) -> bool:
        """Take a connection from a peer; False where each one that it could replace serves a request."""
        address = counted_address(peer, self._proxies)
        if address is not None and not self._makes_room(self._of_address.get(address)):
            return False
        if not self._makes_room(self._all):
            return False
        if address is not None:
            self._addresses[connection] = address
            self._of_address.setdefault(address, _Group(self._per_address))
        for group in self._groups(connection):
            group.add(connection)
        return True

    def use(self, connection: Connection) -> None:
        """Note the first request of a connection."""
        for group in self._groups(connection):
            group.use(connection)

    def close(self, connection: Connection) -> None:
        """Forget a connection."""
        for group in self._groups(connection):
            group.remove(connection)
        address = self._addresses.pop(connection, None)
        if address is not None and not self._of_address[address]:
            del self._of_address[address]

    def _makes_room(self, group: _Group | None) -> bool:
        if group is None or len(group) < group.limit:
            return True
        replaced = group.without_request()
        if replaced is None:
            return False
        self.close(replaced)
        replaced.make_room()
        return True

    def _groups(self, connection: Connection) -> Iterator[_Group]:
        yield self._all
        if connection in self._addresses:
            yield self._of_address[self._addresses[connection]]
