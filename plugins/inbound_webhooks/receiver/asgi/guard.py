"""The ASGI guard in front of the receiver: bounds bytes, time and concurrency, keeps tokens out of logs.

Starlette's WSGI wrapper, behind which Flask runs, buffers bodies without a limit, takes a disconnect for
the end of a body, and shares its threads with Airflow's own endpoints. So a request comes here first: its
token is checked before a byte of the body is read, the body is read under limits, and what goes on is
complete and has no token in its path.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any
from urllib.parse import quote_from_bytes

import anyio

from inbound_webhooks.errors import (
    BodyIncomplete,
    BodyTimeout,
    BodyTooLarge,
    HostInvalid,
    InternalError,
    RequestError,
    TooBusy,
    UnknownWebhook,
)
from inbound_webhooks.event import responses
from inbound_webhooks.event.ip_allow_list import IpAllowList
from inbound_webhooks.event.multidict import MAX_REMEMBERED_CHARS, title_case
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import Response
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.receiver.admission import Admission, RequestHead
from inbound_webhooks.receiver.client_address import source_address
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.receiver.pipeline import Receiver, log_unexpected_error, utc_now
from inbound_webhooks.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Admitted:
    """A request that was let in, and the receiver that did, on the event loop that it belongs to."""

    receiver: Receiver
    admission: Admission
    loop: asyncio.AbstractEventLoop

    async def response(self, request: InboundRequest) -> Response:
        """The receiver's answer."""
        return await self.receiver.receive(self.admission, request)

    def wait_for_response(self, request: InboundRequest) -> Response:
        """The same, for a thread."""
        return asyncio.run_coroutine_threadsafe(self.response(request), self.loop).result()


ADMITTED: ContextVar[Admitted | None] = ContextVar("inbound_webhooks_admitted", default=None)
"""Read by the blueprint, which sees a path without the token."""

TOKEN_MASK = "***"  # noqa: S105

_HOOK = re.compile(r"([A-Za-z0-9_-]{10})/([0-9a-f]{64})")
_TOKEN_LIKE = re.compile(r"[0-9a-fA-F]{32,}")
_TOKEN = re.compile(r"[0-9a-fA-F]{64,}")
_DECLARED_LENGTH = re.compile(rb"[0-9]{1,18}")
_SLASHES = re.compile(r"/+")
_ASCII = "".join(map(chr, range(0x21, 0x7F)))

MAX_HOST_LABEL_BYTES = 63
POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1


class WebhookGuard:
    """A root middleware; ``prefix`` is the receiver's path below the application's root path.

    ``concurrent_requests`` are worked on at the same time, as many as the setting says where it is None.
    With ``is_next_to_server`` no other middleware stands in front of it: ``receive`` is the server's own, and
    the guard itself asks the receiver. Otherwise the application does, by way of :data:`ADMITTED`.
    """

    def __init__(
        self,
        app: ASGIApp,
        prefix: str,
        receiver: Callable[[], Receiver] = get_receiver,
        *,
        concurrent_requests: int | None = None,
        is_next_to_server: bool = False,
    ) -> None:
        self._app = app
        self._prefix = prefix
        self._receiver = receiver
        self._concurrent_requests = concurrent_requests
        self._is_next_to_server = is_next_to_server
        self._slots: anyio.Semaphore | None = None
        self._buffered_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard the receiver's paths, mask what looks like a token in any other, pass the rest on."""
        # A server may start a pipelined request in the context of the one before it.
        ADMITTED.set(None)
        hook = self._path_below_prefix(scope) if scope["type"] in ("http", "websocket") else None
        if hook is None:
            await self._pass_on(scope, receive, send)
            return
        _hide(scope, hook)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        answering = _ResponseSender(send, scope["method"])
        try:
            await self._guard(scope, receive, answering, hook)
        except Exception as error:  # noqa: BLE001 - the last line of defence of the public door
            log_unexpected_error(error)
            if not answering.started:
                await answering.give(responses.rejected(InternalError()))
        finally:
            # The access log reads it when the answer is out; a sender's query may hold credentials.
            scope["query_string"] = b""

    async def _guard(self, scope: Scope, receive: Receive, answering: _ResponseSender, hook: str) -> None:
        receiver = self._receiver()
        head = _request_head(scope, hook, receiver.proxies)
        admission: Admission | None = None
        kept = _BufferedBody()
        try:
            if head is None:
                raise UnknownWebhook
            _check_host(scope)
            with await self._slot(receiver):
                admission = await receiver.admit(head)
            if head.method == "POST":
                admission = await self._read_body(receive, receiver, admission, kept)
                _check_upgrade(scope, kept)
            if scope["query_string"]:
                scope["query_string"] = quote_from_bytes(scope["query_string"], safe=_ASCII).encode()
            with await self._slot(receiver):
                if self._is_next_to_server:
                    request = _inbound(scope, kept.whole(), head.source_ip)
                    await answering.give(await receiver.receive(admission, request))
                else:
                    ADMITTED.set(Admitted(receiver, admission, asyncio.get_running_loop()))
                    await self._app(scope, _replay(kept.whole()), answering)
        except RequestError as error:
            error, admission = await _confirmed(receiver, error, admission)
            metrics.count_rejection(error)
            if admission is not None:
                receiver.note_rejection(admission, error)
            await answering.give(responses.rejected(error))
        finally:
            self._buffered_bytes -= kept.size

    async def _read_body(
        self, receive: Receive, receiver: Receiver, admission: Admission, kept: _BufferedBody
    ) -> Admission:
        """Read the whole body under its limits.

        What comes after the first part is read once the database says that the webhook is as it was.

        :raises RequestError: it is too large, too slow, cut short, or there is no memory for it now
        """
        settings, head = receiver.settings, admission.head
        first = _StartedReceive(receive()) if self._is_next_to_server else None
        is_whole = first is not None and first.is_done and self._keep(first.message, settings, kept)
        if not is_whole:
            if not admission.is_fresh:
                admission = await receiver.confirm(head)
            try:
                with anyio.fail_after(settings.body_timeout_seconds):
                    if first is not None and not first.is_done:
                        is_whole = self._keep(await first, settings, kept)
                    while not is_whole:
                        is_whole = self._keep(await receive(), settings, kept)
            except TimeoutError:
                raise BodyTimeout from None
        if head.declared_length is not None and kept.size != head.declared_length:
            raise BodyIncomplete
        return admission

    def _keep(self, message: Message, settings: Settings, kept: _BufferedBody) -> bool:
        """Take a part of the body; return whether it was the last one."""
        if message["type"] == "http.disconnect":
            raise BodyIncomplete
        if chunk := message.get("body", b""):
            self._buffered_bytes += len(chunk)
            kept.add(chunk)
            if kept.size > settings.max_body_bytes:
                raise BodyTooLarge(settings.max_body_bytes)
            if self._buffered_bytes > settings.max_buffered_bytes:
                raise TooBusy
        return not message.get("more_body", False)

    async def _slot(self, receiver: Receiver) -> _Slot:
        """One of the places for requests that hold a thread and a database connection."""
        if self._slots is None:
            number = self._concurrent_requests or receiver.settings.max_concurrent_requests
            self._slots = anyio.Semaphore(number, fast_acquire=True)
        try:
            self._slots.acquire_nowait()
        except anyio.WouldBlock:
            await self._wait_for_slot(self._slots, receiver.settings.queue_timeout_seconds)
        return _Slot(self._slots)

    @staticmethod
    async def _wait_for_slot(slots: anyio.Semaphore, seconds: float) -> None:
        try:
            with anyio.fail_after(seconds):
                await slots.acquire()
        except TimeoutError:
            raise TooBusy from None

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        # A URL that was pasted to the wrong place: its token is a secret all the same. Servers write their
        # log when the answer starts, Airflow when it has ended.
        async def send_masked(message: Message) -> None:
            _mask(scope)
            await send(message)

        try:
            await self._app(scope, receive, send_masked)
        finally:
            _mask(scope)

    def _path_below_prefix(self, scope: Scope) -> str | None:
        """What stands behind the prefix, however many slashes there are; None for any other path."""
        path, root = scope["path"], scope.get("root_path", "")
        if root and path.startswith(root + "/"):
            path = path[len(root) :]
        if path.startswith(self._prefix + "/"):
            return path[len(self._prefix) + 1 :]
        # Flask takes "//webhook" for "/webhook": nothing gets to it past this guard.
        return "" if _SLASHES.sub("/", path).startswith(self._prefix + "/") else None


async def _confirmed(
    receiver: Receiver, error: RequestError, admission: Admission | None
) -> tuple[RequestError, Admission | None]:
    """Why a request is rejected, and by what admission, by what the database says now."""
    if admission is None or admission.is_fresh:
        return error, admission
    try:
        return error, await receiver.confirm(admission.head)
    except RequestError as newer:
        return newer, None


class _Slot:
    """A place that was taken, and is given back."""

    __slots__ = ("_slots",)

    def __init__(self, slots: anyio.Semaphore) -> None:
        self._slots = slots

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._slots.release()


class _BufferedBody:
    """The part of a body that has arrived; held once, however many chunks it came in."""

    def __init__(self) -> None:
        self._only: bytes | None = None
        self._buffer: BytesIO | None = None
        self.size = 0

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self._buffer is None and self._only is None:
            self._only = chunk
            return
        if self._buffer is None:
            self._buffer = BytesIO()
            self._buffer.write(self._only or b"")
            self._only = None
        self._buffer.write(chunk)

    def whole(self) -> bytes:
        """The body; what a BytesIO gives shares its memory."""
        return self._buffer.getvalue() if self._buffer is not None else self._only or b""


class _StartedReceive:
    """A ``receive`` that has been asked once: what is there already needs no time limit around it.

    Otherwise it is awaited, and goes on where it stopped. Only for a server's own ``receive``: one that
    opens a cancel scope, as Starlette's middlewares do, cannot go on inside another scope.
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


class _ResponseSender:
    """The way back: passes the application's answer on, or gives one of ours."""

    def __init__(self, send: Send, method: str) -> None:
        self._send = send
        self._method = method
        self.started = False

    async def __call__(self, message: Message) -> None:
        self.started = True
        await self._send(message)

    async def give(self, response: Response) -> None:
        await send_response(response, self._method, self)


async def send_response(response: Response, method: str, send: Send) -> None:
    """Send an answer as ASGI messages."""
    headers = [*_encoded(response.all_headers), (b"content-length", str(len(response.body)).encode())]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = b"" if method == "HEAD" else response.body
    await send({"type": "http.response.body", "body": body})


@lru_cache(maxsize=256)
def _encoded(headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers]


def _replay(body: bytes) -> Receive:
    """A ``receive`` that gives a body that is already here."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


def _inbound(scope: Scope, body: bytes, source_ip: str) -> InboundRequest:
    return InboundRequest(
        method=scope["method"],
        query_string=scope["query_string"].decode("ascii"),
        headers=tuple([(_name(name), value.decode("latin-1")) for name, value in scope["headers"]]),
        body=body,
        source_ip=source_ip,
        received_at=utc_now(),
    )


def _name(name: bytes) -> str:
    return _remembered_name(name) if len(name) <= MAX_REMEMBERED_CHARS else _remembered_name.__wrapped__(name)


@lru_cache(maxsize=4096)
def _remembered_name(name: bytes) -> str:
    # As WSGI has them, so that both doors know the same names.
    return title_case(name.decode("latin-1").replace("_", "-"))


def _request_head(scope: Scope, hook: str, proxies: IpAllowList) -> RequestHead | None:
    match = _HOOK.fullmatch(hook)
    if match is None:
        return None
    webhook_id, token = match.groups()
    lengths: list[bytes] = []
    forwarded: list[str] = []
    for name, value in scope["headers"]:
        if name == b"content-length":
            lengths.append(value)
        elif name == b"x-forwarded-for":
            forwarded.append(value.decode("latin-1"))
    peer = scope["client"][0] if scope.get("client") else ""
    return RequestHead(
        method=scope["method"],
        webhook_id=webhook_id,
        token=token,
        declared_length=int(lengths[0]) if lengths and _DECLARED_LENGTH.fullmatch(lengths[0]) else None,
        source_ip=source_address(peer, forwarded, proxies),
    )


def _hide(scope: Scope, hook: str) -> None:
    """Take the token from what access logs and error messages can see."""
    if not hook:
        _mask(scope)
        return
    prefix = scope["path"][: len(scope["path"]) - len(hook)]
    webhook_id, _, _ = hook.partition("/")
    _set_path(scope, f"{prefix}{_TOKEN_LIKE.sub(TOKEN_MASK, webhook_id)}/{TOKEN_MASK}")


def _mask(scope: Scope) -> None:
    """Take what looks like a token of ours from a path and a query."""
    pattern = _TOKEN_LIKE if "webhook" in scope["path"].lower() else _TOKEN
    if pattern.search(scope["path"]):
        _set_path(scope, pattern.sub(TOKEN_MASK, scope["path"]))
    query = scope["query_string"].decode("latin-1")
    if _TOKEN.search(query):
        scope["query_string"] = _TOKEN.sub(TOKEN_MASK, query).encode("latin-1")


def _check_upgrade(scope: Scope, kept: _BufferedBody) -> None:
    """Refuse a body that the server lost.

    On an offer to upgrade, which Java's HttpClient makes on plain http, uvicorn with httptools drops
    everything behind the headers (https://github.com/Kludex/uvicorn/pull/2722); without a Content-Length
    nothing else shows that.

    :raises BodyIncomplete: the request offers to upgrade, announces a body, and none came
    """
    if not kept.size and {b"upgrade", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
        raise BodyIncomplete


def _check_host(scope: Scope) -> None:
    """Refuse a Host that Flask would refuse with a page of its own (RFC 1035, section 2.3.4)."""
    for name, value in scope["headers"]:
        is_long = name == b"host" and len(value) > MAX_HOST_LABEL_BYTES
        if is_long and any(len(label) > MAX_HOST_LABEL_BYTES for label in value.split(b".")):
            raise HostInvalid


def _set_path(scope: Scope, path: str) -> None:
    scope["path"] = path
    scope["raw_path"] = path.encode("utf-8", "surrogateescape")
