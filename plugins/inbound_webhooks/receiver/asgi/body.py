"""Reads a request's body under limits of bytes, time and memory."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from io import BytesIO
from typing import Any

import anyio

from inbound_webhooks.errors import BodyIncomplete, BodyTimeout, BodyTooLarge
from inbound_webhooks.receiver.admission import RequestHead
from inbound_webhooks.receiver.asgi.buffer import SMALL_BODY_BYTES, BodyBuffer, Share, shares
from inbound_webhooks.receiver.asgi.messages import Message, Receive, Scope, counted_sender
from inbound_webhooks.receiver.pipeline import Receiver


class BodyReader:
    """Reads the body of an admitted request; :meth:`close` gives its bytes back to the buffer."""

    def __init__(self, buffer: BodyBuffer, receiver: Receiver, *, scope: Scope, head: RequestHead) -> None:
        self._held_in = buffer
        self._receiver = receiver
        self._settings = receiver.settings
        self._scope = scope
        self._head = head
        self._shares: tuple[Share, ...] = ()
        self._counted_bytes = 0
        self._only: bytes | None = None
        self._buffer: BytesIO | None = None
        self._started: StartedReceive | None = None
        self.size = 0
        self.is_whole = False

    def read_first(self, receive: Receive) -> None:
        """Read the first part of the body, if it is there already; ``receive`` is the server's own.

        :raises RequestError: see :meth:`_take`
        """
        started = StartedReceive(receive())
        if started.is_done:
            self._take(started.message)
        else:
            self._started = started

    async def read_rest(self, receive: Receive) -> None:
        """Read until the body is whole; one deadline counts for all of its parts.

        :raises RequestError: see :meth:`_take`; also BodyTimeout where it does not arrive in time
        :raises TooBusy: too many of the webhook's requests are incomplete
        """
        webhook_id, declared_length = self._head.webhook_id, self._head.declared_length or 0
        if declared_length > SMALL_BODY_BYTES:
            # None of it is read if there is no room for all of it.
            self._held_in.check(self._counted_shares(), declared_length - self._counted_bytes)
        self._held_in.begin(webhook_id, self._settings.max_incomplete_requests)
        try:
            deadline = anyio.current_time() + self._settings.body_timeout_seconds
            with anyio.CancelScope(deadline=deadline) as scope:
                while not self.is_whole:
                    started, self._started = self._started, None
                    self._take(await (receive() if started is None else started))
        finally:
            self._held_in.end(webhook_id)
        if scope.cancelled_caught:
            raise BodyTimeout

    def body(self) -> bytes:
        """The whole body.

        On an offer to upgrade, which Java's HttpClient makes on plain http, uvicorn with httptools drops
        everything behind the headers (https://github.com/Kludex/uvicorn/pull/2722); without a Content-Length
        nothing else shows that.

        :raises BodyIncomplete: fewer bytes than declared, or an upgrade that lost the body
        """
        declared_length = self._head.declared_length
        if declared_length is not None and self.size != declared_length:
            raise BodyIncomplete
        if not self.size and {b"upgrade", b"transfer-encoding"} <= {
            name for name, _ in self._scope["headers"]
        }:
            raise BodyIncomplete
        # BytesIO.getvalue shares its memory until the next write.
        return self._buffer.getvalue() if self._buffer is not None else self._only or b""

    def close(self) -> None:
        """Give the bytes back to the shares that they count towards; a second call does nothing."""
        self._held_in.release(self._shares, self._counted_bytes)
        self._shares, self._counted_bytes = (), 0
        self._only, self._buffer = None, None

    def _take(self, message: Message) -> None:
        """Take one part of the body.

        :raises BodyIncomplete: the sender has disconnected
        :raises BodyTooLarge: it is larger than one body may be
        :raises TooBusy: the bodies in progress are larger than the process may hold, in all or of this
            webhook or address
        """
        if message["type"] == "http.disconnect":
            raise BodyIncomplete
        if chunk := message.get("body", b""):
            self.size += len(chunk)
            if self._only is None and self._buffer is None:
                self._only = chunk  # most bodies are one chunk, which needs no copy
            else:
                if self._buffer is None:
                    self._buffer = BytesIO()
                    self._buffer.write(self._only or b"")
                    self._only = None
                self._buffer.write(chunk)
            if self.size > self._settings.max_body_bytes:
                raise BodyTooLarge(self._settings.max_body_bytes)
            if self.size > SMALL_BODY_BYTES:
                self._count()
        self.is_whole = not message.get("more_body", False)

    def _count(self) -> None:
        """Count a long body's bytes, from its first one."""
        shares = self._counted_shares()
        added, self._counted_bytes = self.size - self._counted_bytes, self.size
        self._held_in.hold(shares, added)
        self._held_in.check(shares)

    def _counted_shares(self) -> tuple[Share, ...]:
        if not self._shares:
            # Found out here: most bodies are small, and count towards no share.
            sender = counted_sender(self._scope, self._head, self._receiver.proxies)
            self._shares = shares(self._settings, self._head.webhook_id, sender)
        return self._shares


class StartedReceive:
    """A ``receive`` that has been asked once: a message that is there already needs no time limit around it.

    Otherwise it is awaited, and continues where it stopped. Only for a server's own ``receive``: one that
    opens a cancel scope, as Starlette's middlewares do, cannot continue inside another scope.
    """

    def __init__(self, receiving: Awaitable[Message]) -> None:
        self._steps = receiving.__await__()
        self.is_done = False
        self.message: Message = {}
        self._waits_for: Any = None
        try:
            self._waits_for = next(self._steps)
        except StopIteration as ended:
            self.is_done, self.message = True, ended.value

    def __await__(self) -> Generator[Any, Any, Message]:
        waits_for = self._waits_for
        try:
            while True:
                try:
                    given = yield waits_for
                except BaseException as error:  # noqa: BLE001 - a cancellation is the application's to handle
                    waits_for = self._steps.throw(error)
                else:
                    waits_for = self._steps.send(given)
        except StopIteration as ended:
            message: Message = ended.value
            return message
