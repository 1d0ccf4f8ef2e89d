"""A numbered stream of deliveries: senders that send again after anything but a 2xx, as vendors do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

ANSWER_SECONDS = 20
FIRST_WAIT_SECONDS = 0.1
# Retry-After says 10 s: these senders are more impatient than asked, so that a run of the tests ends.
LONGEST_WAIT_SECONDS = 1.0
GIVE_UP_SECONDS = 300
LONGEST_SECONDS = 600
"""For how long a stream waits for what may end it."""
REPEATED = 10
"""Each so-manieth event is sent once more after its 2xx, as by a vendor who has not noticed the answer."""


@dataclass(frozen=True)
class Endpoint:
    """Where webhooks listen on 127.0.0.1."""

    name: str
    port: int
    prefix: str


@dataclass(frozen=True)
class Target:
    """A webhook; ``knows_events``: it has a deduplication key, the number."""

    path: str
    knows_events: bool


@dataclass(frozen=True)
class Reply:
    """What came back for one attempt; status 0 is a connection that broke before an answer came."""

    status: int
    delivery_id: str | None = None
    retry_after: str | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the sender may forget the event."""
        return self.status // 100 == 2


@dataclass
class Sent:
    """All that a sender knows of one number; the times are those of its first request and its first 2xx."""

    number: int
    knows_events: bool
    responses: list[Reply] = field(default_factory=list)
    began_at: float = 0.0
    taken_at: float = float("inf")

    @property
    def taken_ids(self) -> list[str | None]:
        """The delivery ids of the 2xx, in their order."""
        return [response.delivery_id for response in self.responses if response.is_taken]


class Stream:
    """Sends ``count`` numbers from 0 on, or more, at most so many a second, over so many connections.

    ``endpoints`` are what a load balancer has: an attempt that fails goes on to the next one.
    ``payload`` makes the JSON of a number.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        targets: Sequence[Target],
        *,
        count: int,
        a_second: float,
        connections: int,
        payload: Callable[[int], Mapping[str, object]] = lambda number: {"number": number},
    ) -> None:
        self._payload = payload
        self.sent: list[Sent] = []
        self._count = count
        self._endpoints = endpoints
        self._targets = targets
        self._seconds_each = 1 / a_second
        self._connections = connections
        self._lock = threading.Lock()

    def run(self, may_end: Callable[[], bool] = lambda: True) -> None:
        """Send them all, and more until ``may_end``; returns when each one was taken or given up."""
        started = time.monotonic()
        senders = [
            threading.Thread(target=self._send, args=(started, may_end), daemon=True)
            for _ in range(self._connections)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()

    def _send(self, started: float, may_end: Callable[[], bool]) -> None:
        connections = [Connection(endpoint) for endpoint in self._endpoints]
        while (number := self._next(started, may_end)) is not None:
            time.sleep(max(0.0, started + number * self._seconds_each - time.monotonic()))
            self._deliver(number, connections)
            if self.sent[number].knows_events and number % REPEATED == 0:
                self._deliver(number, connections)
        for connection in connections:
            connection.close()

    def _next(self, started: float, may_end: Callable[[], bool]) -> int | None:
        with self._lock:
            number = len(self.sent)
            is_late = time.monotonic() > started + LONGEST_SECONDS
            if number >= self._count and (may_end() or is_late):
                return None
            self.sent.append(Sent(number, self._targets[number % len(self._targets)].knows_events))
            return number

    def _deliver(self, number: int, connections: Sequence[Connection]) -> None:
        """Send one number until it is taken."""
        target = self._targets[number % len(self._targets)]
        body, sent = json.dumps(self._payload(number)).encode(), self.sent[number]
        sent.began_at = sent.began_at or time.monotonic()
        wait, give_up_at = FIRST_WAIT_SECONDS, time.monotonic() + GIVE_UP_SECONDS
        attempt = number // len(self._targets)  # so that each webhook is called at each endpoint
        while time.monotonic() < give_up_at:
            response = connections[attempt % len(connections)].post(target.path, body)
            sent.responses.append(response)
            if response.is_taken:
                sent.taken_at = min(sent.taken_at, time.monotonic())
                return
            time.sleep(wait)
            wait, attempt = min(2 * wait, LONGEST_WAIT_SECONDS), attempt + 1


class Connection:
    """Kept alive from request to request, opened again after a fault."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._prefix = endpoint.prefix
        self._http = HTTPConnection("127.0.0.1", endpoint.port, timeout=ANSWER_SECONDS)

    def post(self, path: str, body: bytes) -> Reply:
        """The answer to one attempt."""
        try:
            self._http.request("POST", self._prefix + path, body, {"Content-Type": "application/json"})
            response = self._http.getresponse()
            content = response.read()
        except (OSError, HTTPException):
            self._http.close()
            return Reply(0)
        taken_as = json.loads(content)["delivery_id"] if response.status // 100 == 2 else None
        return Reply(response.status, taken_as, response.headers["Retry-After"])

    def close(self) -> None:
        self._http.close()
