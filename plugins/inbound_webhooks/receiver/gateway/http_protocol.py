"""uvicorn's HTTP/1.1 connection, with the bounds that it lacks: on time, on headers, on connections."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers of a request; also what comes in a row later that is no body, such as trailers."""

LINGER_SECONDS = 2.0
"""How long a connection stays open on whose request an answer went out before its body was there: closed at
once, the sender might lose the answer (RFC 9112, section 9.6)."""


@dataclass(frozen=True)
class Bounds:
    """What a connection may take; see the settings of the same names."""

    header_timeout_seconds: float
    write_timeout_seconds: float
    max_connections: int


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, bounds: Bounds, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._bounds = bounds
        self._reading_head = True
        self._head_began = False
        self._bytes_besides_body = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or close it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self._bounds.max_connections:
            transport.abort()
            return
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget its timers."""
        for timer in (self._head_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what is no body: limits of bodies do not see it, and the parser keeps it."""
        self._bytes_besides_body += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._bytes_besides_body > MAX_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large")
        elif self._reading_head and self._head_began:
            self._start_head_timer()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._reading_head = self._head_began = True

    def on_headers_complete(self) -> None:
        """The headers are there; what follows is the guard's to time."""
        self._reading_head = self._head_began = False
        self._bytes_besides_body = 0
        self._stop_head_timer()
        super().on_headers_complete()
        # What comes behind the body is no header, for a proxy may not have looked at it (RFC 9110, 6.5.1):
        # the application keeps the list that was there until now.
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """A part of the body, which the guard counts."""
        self._bytes_besides_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._bytes_besides_body = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is out; if its request is not complete, the connection ends soon."""
        is_whole = not self.cycle.more_body or self.pipeline
        super().on_response_complete()
        if not is_whole and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def pause_writing(self) -> None:
        """The sender does not read its answer."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self._bounds.write_timeout_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._bounds.header_timeout_seconds, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self._head_began:
            self._refuse(b"408 Request Timeout")
        else:
            self.transport.close()

    def _refuse(self, status: bytes) -> None:
        self._stop_head_timer()
        if self._reading_head and (self.cycle is None or self.cycle.response_complete):
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
        self.transport.close()
