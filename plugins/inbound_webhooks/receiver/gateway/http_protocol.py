"""uvicorn's HTTP/1.1 connection with limits that it lacks: time, bytes of headers, number of connections."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from inbound_webhooks.receiver.gateway.connections import OpenConnections

MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers of a request; also later bytes that are not body, such as trailers."""

LINGER_SECONDS = 2.0
"""How long a connection stays open after a response that was sent before the body had arrived: closed at
once, the sender might lose the response (RFC 9112, section 9.6)."""


@dataclass(frozen=True)
class Bounds:
    """Limits of a connection; see the settings of the same names."""

    header_timeout_seconds: float
    write_timeout_seconds: float


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, bounds: Bounds, open_ones: OpenConnections, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._bounds = bounds
        self._open_ones = open_ones
        self._reading_head = True
        self._head_began = False
        self._bytes_besides_body = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, or close it where there are too many that serve a request."""
        super().connection_made(transport)
        if self._open_ones.open(self, self.client[0] if self.client else ""):
            self._start_head_timer()
        else:
            transport.abort()

    @property
    def is_idle(self) -> bool:
        """Whether no request needs the connection: it had none yet, or each one has its response."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def make_room(self) -> None:
        """Close the connection for another one's sake, whatever was not sent yet."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel its timers."""
        self._open_ones.close(self)
        for timer in (self._head_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count bytes that are not body: body limits do not see them, and the parser buffers them."""
        self._bytes_besides_body += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._bytes_besides_body > MAX_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large")
        elif self._reading_head and self._head_began:
            self._start_head_timer()

    def on_message_begin(self) -> None:
        """Note the first byte of a request."""
        super().on_message_begin()
        self._reading_head = self._head_began = True

    def on_headers_complete(self) -> None:
        """End the header timeout; the guard times the body."""
        self._reading_head = self._head_began = False
        self._bytes_besides_body = 0
        self._stop_head_timer()
        if self.cycle is None:
            self._open_ones.use(self)
        super().on_headers_complete()
        # Trailers are not headers: a proxy may not have checked them (RFC 9110, section 6.5.1). The
        # application keeps the list that exists so far.
        self.headers = []

    def on_body(self, body: bytes) -> None:
        """Reset the count: the guard counts the body."""
        self._bytes_besides_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        self._bytes_besides_body = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Close the connection soon where the request is not complete."""
        is_whole = not self.cycle.more_body or self.pipeline
        super().on_response_complete()
        if not is_whole and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def pause_writing(self) -> None:
        """Start the write timeout: the sender does not read its response."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self._bounds.write_timeout_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the write timeout: the sender reads again."""
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
