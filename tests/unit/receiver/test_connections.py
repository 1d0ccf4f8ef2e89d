"""Which connections of a gateway worker stay open, and which one makes room."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

import pytest

from inbound_webhooks.event.ip_allow_list import IpAllowList
from inbound_webhooks.receiver.gateway.connections import OpenConnections

PROXY = "10.0.0.1"


@dataclass(eq=False)
class Line:
    """A connection; idle until a request is on it."""

    peer: str
    is_idle: bool = True
    is_open: bool = True

    def make_room(self) -> None:
        self.is_open = False


@pytest.fixture
def connections() -> OpenConnections:
    return OpenConnections(8, percent=50, proxies=IpAllowList(allowed=("10.0.0.0/8",)))


def opened(connections: OpenConnections, *peers: str) -> list[Line]:
    lines = [Line(peer) for peer in peers]
    for line in lines:
        line.is_open = connections.open(line, line.peer)
    return lines


def request(connections: OpenConnections, line: Line) -> None:
    connections.use(line)
    line.is_idle = False


def are_open(lines: list[Line]) -> list[bool]:
    return [line.is_open for line in lines]


def test_an_address_replaces_its_own_oldest_silent_connection(connections):
    (other,) = opened(connections, "192.0.2.1")
    lines = opened(connections, *["192.0.2.2"] * 6)
    assert (are_open(lines), other.is_open) == ([False, False, True, True, True, True], True)
    assert len(connections) == 5


def test_the_addresses_of_an_ipv6_network_have_one_share(connections):
    lines = opened(connections, *(f"2001:db8::{number}" for number in range(5)))
    assert are_open(lines) == [False, True, True, True, True]


def test_the_oldest_silent_connection_of_any_address_makes_room(connections):
    lines = opened(connections, *(f"192.0.2.{number}" for number in range(9)))
    assert are_open(lines) == [False] + [True] * 8


def test_a_silent_connection_goes_before_an_older_one_that_is_kept(connections):
    kept, silent, *_ = lines = opened(connections, *(f"192.0.2.{number}" for number in range(8)))
    request(connections, kept)
    kept.is_idle = True
    opened(connections, "192.0.2.100")
    assert (kept.is_open, silent.is_open, sum(are_open(lines))) == (True, False, 7)


def test_a_kept_connection_goes_before_a_request(connections):
    lines = opened(connections, *(f"192.0.2.{number}" for number in range(8)))
    for line in lines:
        request(connections, line)
    lines[5].is_idle = True
    (new,) = opened(connections, "192.0.2.100")
    assert (new.is_open, are_open(lines)) == (True, [True] * 5 + [False] + [True] * 2)


@pytest.mark.parametrize("peers", [["192.0.2.1"] * 4, [f"192.0.2.{number}" for number in range(8)]])
def test_requests_are_never_closed_for_a_new_connection(connections, peers):
    lines = opened(connections, *peers)
    for line in lines:
        request(connections, line)
    (new,) = opened(connections, peers[0])
    assert (new.is_open, are_open(lines)) == (False, [True] * len(lines))
    assert len(connections) == len(lines)


def test_a_trusted_proxy_may_hold_all(connections):
    assert are_open(opened(connections, *[PROXY] * 8)) == [True] * 8


def test_what_is_closed_is_forgotten(connections):
    for _ in range(3):
        for line in opened(connections, "192.0.2.1", "2001:db8::1", PROXY):
            connections.close(line)
            connections.close(line)
    assert (len(connections), connections._of_address, connections._groups) == (0, {}, {})


def test_an_address_always_gets_one_connection():
    connections = OpenConnections(2, percent=1, proxies=IpAllowList(allowed=()))
    assert are_open(opened(connections, "192.0.2.1", "192.0.2.2")) == [True, True]


def test_it_reaches_worker_processes_while_it_is_empty(connections):
    assert are_open(opened(pickle.loads(pickle.dumps(connections)), PROXY)) == [True]
