"""One hostile request: what goes over the socket, what has to come back and what has to be stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.infrastructure.raw_http import Part
from tests.infrastructure.webhooks_builder import Hook

JSON = b"Content-Type: application/json"
ANYTHING = object()

Statuses = int | set[int]


@dataclass(frozen=True)
class Target:
    """Where the requests go: ``base`` is the path in front of ids, which differs from endpoint to endpoint.

    ``events`` takes each request whole; ``orders`` maps body, query and headers by expressions.
    """

    base: str
    events: Hook
    orders: Hook

    def path(self, hook: Hook | None = None) -> bytes:
        hook = hook or self.orders
        return f"{self.base}/{hook.id}/{hook.token}".encode()


@dataclass(frozen=True)
class Case:
    """Parts to send, with pauses between them in seconds, and the status of each answer.

    Where the parsers of servers differ there are several statuses; 0 is an end without an answer.
    Each that is answered 202 is stored as accepted with ``body``, and what is ``kept`` as refused; anything
    else leaves nothing.
    """

    parts: Sequence[Part]
    responses: Statuses | Sequence[Statuses]
    body: bytes = b""
    kept: bytes | None = None
    by_server: bool = False
    """The HTTP server answers by itself, at least with some parsers."""
    value: Any = ANYTHING
    """The conf's parameter ``value``, where that is looked at."""

    @property
    def statuses(self) -> list[set[int]]:
        several = self.responses if isinstance(self.responses, (list, tuple)) else [self.responses]
        return [one if isinstance(one, set) else {one} for one in several]


def head(method: bytes, path: bytes, *lines: bytes, version: bytes = b"1.1", close: bool = True) -> bytes:
    """A request line and header lines, as they are; the server is asked to close after its answer."""
    first = b"%s %s HTTP/%s" % (method, path, version)
    return b"\r\n".join(
        [first, b"Host: airflow", *lines, *([b"Connection: close"] if close else []), b"", b""]
    )


def post(path: bytes, body: bytes = b"{}", *lines: bytes, type: bytes = JSON, close: bool = True) -> bytes:
    """A POST as well-behaved senders make one, with more lines in its head."""
    length = b"Content-Length: %d" % len(body)
    return head(b"POST", path, *([type] if type else []), length, *lines, close=close) + body
