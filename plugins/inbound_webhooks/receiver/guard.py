"""The ASGI guard in front of the receiver: bounds bytes, time and concurrency, keeps tokens out of logs.

Starlette's WSGI wrapper, behind which Flask runs, buffers bodies without a limit, takes a disconnect for
the end of a body, and shares its threads with Airflow's own endpoints. So a request comes here first: its
token is checked before a byte of the body is read, the body is read under limits, and what goes on is
complete and has no token in its path.
"""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.to_thread

from inbound_webhooks.errors import (
    BodyIncomplete,
    BodyTimeout,
    BodyTooLarge,
    RequestError,
    TooBusy,
    UnknownWebhook,
)
from inbound_webhooks.event.proofs.shared import Addresses
from inbound_webhooks.event.response import Answer, json_answer
from inbound_webhooks.receiver import answers
from inbound_webhooks.receiver.door import door
from inbound_webhooks.receiver.receive import Admission, Receiver, RequestHead
from inbound_webhooks.receiver.source import source_address

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

ADMISSION: ContextVar[Admission | None] = ContextVar("inbound_webhooks_admission", default=None)
"""Who was let in: read by the blueprint, which sees a path without the token."""

TOKEN_MASK = "***"  # noqa: S105

_HOOK = re.compile(r"([A-Za-z0-9_-]{10})/([0-9a-f]{64})")
_TOKEN_ANYWHERE = re.compile(r"[0-9a-fA-F]{32,}")


class WebhookGuard:
    """A root middleware; ``prefix`` is the receiver's path below the application's root path."""

    def __init__(self, app: ASGIApp, prefix: str, receiver: Callable[[], Receiver] = door) -> None:
        self._app = app
        self._prefix = prefix
        self._receiver = receiver
        self._slots: asyncio.Semaphore | None = None
        self._buffered_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard the receiver's paths, mask what looks like a token in any other, pass the rest on."""
        hook = self._path_below_prefix(scope) if scope["type"] == "http" else None
        if hook is None:
            await self._pass_on(scope, receive, send)
            return
        _hide(scope, hook)
        answering = _Answering(send, scope["method"])
        try:
            await self._guard(scope, receive, answering, hook)
        except Exception as error:  # noqa: BLE001 - the last line of defence of the public door
            _log_fault(error)
            if not answering.started:
                await answering.give(json_answer(503, {"status": "rejected"}, (("Retry-After", "10"),)))
        finally:
            # The access log reads it when the answer is out; a sender's query may hold credentials.
            scope["query_string"] = b""

    async def _guard(self, scope: Scope, receive: Receive, answering: _Answering, hook: str) -> None:
        receiver = self._receiver()
        head = _request_head(scope, hook, receiver.proxies)
        admission: Admission | None = None
        kept = _Kept()
        try:
            if head is None:
                raise UnknownWebhook
            async with self._slot(receiver):
                admission = await anyio.to_thread.run_sync(receiver.admit, head)
            if head.method == "POST":
                await self._read_body(receive, receiver, head, kept)
            async with self._slot(receiver):
                ADMISSION.set(admission)
                await self._app(scope, _replay(b"".join(kept.chunks)), answering)
        except RequestError as error:
            if admission is not None:
                receiver.note_rejection(admission, error)
            await answering.give(answers.rejected(error, admission.webhook if admission else None))
        finally:
            self._buffered_bytes -= kept.size

    async def _read_body(self, receive: Receive, receiver: Receiver, head: RequestHead, kept: _Kept) -> None:
        """Read the whole body under its limits.

        :raises RequestError: it is too large, too slow, cut short, or there is no memory for it now
        """
        settings = receiver.settings
        try:
            with anyio.fail_after(settings.body_timeout_seconds):
                async for chunk in _chunks(receive):
                    self._buffered_bytes += len(chunk)
                    kept.add(chunk)
                    if kept.size > settings.max_body_bytes:
                        raise BodyTooLarge(settings.max_body_bytes)
                    if self._buffered_bytes > settings.max_buffered_bytes:
                        raise TooBusy
        except TimeoutError:
            raise BodyTimeout from None
        if head.declared_length is not None and kept.size != head.declared_length:
            raise BodyIncomplete

    @asynccontextmanager
    async def _slot(self, receiver: Receiver) -> AsyncIterator[None]:
        """One of the places for requests that hold a thread and a database connection."""
        if self._slots is None:
            self._slots = asyncio.Semaphore(receiver.settings.max_concurrent_requests)
        try:
            await asyncio.wait_for(self._slots.acquire(), receiver.settings.queue_timeout_seconds)
        except asyncio.TimeoutError:
            raise TooBusy from None
        try:
            yield
        finally:
            self._slots.release()

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            # A URL that was pasted to the wrong place: its token is a secret all the same.
            path = scope.get("path", "")
            if _TOKEN_ANYWHERE.search(path) and "webhook" in path.lower():
                _set_path(scope, _TOKEN_ANYWHERE.sub(TOKEN_MASK, path))

    def _path_below_prefix(self, scope: Scope) -> str | None:
        path, root = scope["path"], scope.get("root_path", "")
        if root and path.startswith(root + "/"):
            path = path[len(root) :]
        return path[len(self._prefix) + 1 :] if path.startswith(self._prefix + "/") else None


class _Kept:
    """The part of a body that has arrived."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size = 0

    def add(self, chunk: bytes) -> None:
        self.chunks.append(chunk)
        self.size += len(chunk)


class _Answering:
    """The way back: passes the application's answer on, or gives one of ours."""

    def __init__(self, send: Send, method: str) -> None:
        self._send = send
        self._method = method
        self.started = False

    async def __call__(self, message: Message) -> None:
        self.started = True
        await self._send(message)

    async def give(self, answer: Answer) -> None:
        headers = [(name.lower().encode(), value.encode()) for name, value in answer.all_headers]
        headers.append((b"content-length", str(len(answer.body)).encode()))
        await self({"type": "http.response.start", "status": answer.status, "headers": headers})
        body = b"" if self._method == "HEAD" else answer.body
        await self({"type": "http.response.body", "body": body})


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyIncomplete
        if chunk := message.get("body", b""):
            yield chunk
        if not message.get("more_body", False):
            return


def _replay(body: bytes) -> Receive:
    """A ``receive`` that gives a body that is already here."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


def _request_head(scope: Scope, hook: str, proxies: Addresses) -> RequestHead | None:
    match = _HOOK.fullmatch(hook)
    if match is None:
        return None
    lengths = _header_values(scope, b"content-length")
    peer = scope["client"][0] if scope.get("client") else ""
    return RequestHead(
        method=scope["method"],
        webhook_id=match.group(1),
        token=match.group(2),
        content_length=lengths[0] if lengths else "",
        source_ip=source_address(peer, _header_values(scope, b"x-forwarded-for"), proxies),
    )


def _header_values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _hide(scope: Scope, hook: str) -> None:
    """Take the token from what access logs and error messages can see."""
    prefix = scope["path"][: len(scope["path"]) - len(hook)]
    webhook_id, _, _ = hook.partition("/")
    _set_path(scope, f"{prefix}{_TOKEN_ANYWHERE.sub(TOKEN_MASK, webhook_id)}/{TOKEN_MASK}")


def _set_path(scope: Scope, path: str) -> None:
    scope["path"] = path
    scope["raw_path"] = path.encode("utf-8", "surrogateescape")


def _log_fault(error: Exception) -> None:
    # The message of an error may quote what the sender sent; where it happened does not.
    places = "".join(traceback.format_tb(error.__traceback__))
    log.error("receiver fault action=receiver_fault kind=%s\n%s", type(error).__name__, places)
