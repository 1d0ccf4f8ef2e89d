"""The ASGI guard in front of the endpoint: bounds bytes, time and concurrency, keeps tokens out of logs.

Starlette's WSGI wrapper, behind which Flask runs, buffers bodies without a limit, takes a disconnect for
the end of a body, and shares its threads with Airflow's own endpoints. So a request comes here first: its
token is checked before a byte of the body is read, the body is read under limits, and the request that is
passed on is complete and has no token in its path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from inbound_webhooks.airflow_bridge.all_admins import appends_admin_token
from inbound_webhooks.errors import InternalError, RequestError, TooBusy, UnknownWebhook
from inbound_webhooks.event import responses
from inbound_webhooks.event.response import Response
from inbound_webhooks.monitoring.loop import log_unexpected_error
from inbound_webhooks.receiver.admission import Admission, RequestHead
from inbound_webhooks.receiver.asgi.admitted import ADMITTED, Admitted, not_routed
from inbound_webhooks.receiver.asgi.authorization import drop_last_authorization
from inbound_webhooks.receiver.asgi.body import BodyReader
from inbound_webhooks.receiver.asgi.buffer import BodyBuffer
from inbound_webhooks.receiver.asgi.disconnects import unless_disconnected
from inbound_webhooks.receiver.asgi.masking import mask_tokens
from inbound_webhooks.receiver.asgi.messages import (
    ASGIApp,
    Message,
    Receive,
    Scope,
    Send,
    inbound_request,
    quote_query,
    replayed,
    request_head,
    send_response,
)
from inbound_webhooks.receiver.asgi.paths import EndpointPaths
from inbound_webhooks.receiver.calls import CallAdmission
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.receiver.pipeline import Receiver
from inbound_webhooks.receiver.results import Pending
from inbound_webhooks.receiver.webhook_slots import WebhookSlots
from inbound_webhooks.settings import Settings

REFUSED_SECONDS = 0.5
"""How long the response waits for which there is no room: senders that try again at once would take more time
than those whose bodies are read."""

SLOW_PART = 4
"""Slow requests hold a quarter of the slots at most."""

POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1


@dataclass(frozen=True)
class _Slots:
    """The slots of one event loop; one webhook may hold half of each kind.

    For requests whose token is looked up; for those that are processed, with a thread and a connection to the
    database; and for those among them that are known to wait for their turn meanwhile. However few of these
    each webhook has, those of many webhooks would hold all slots together, and short requests would wait.
    """

    admissions: WebhookSlots
    processing: WebhookSlots
    slow: WebhookSlots


class WebhookGuard:
    """A root middleware; ``prefix`` is the endpoint's path below the application's root path.

    ``public_prefix`` is another one, of the URLs that senders call, where a proxy may strip it.
    ``concurrent_requests`` are processed at the same time, as many as the setting says where it is None.
    With ``is_next_to_server`` no other middleware stands in front of it: ``receive`` is the server's own, and
    the guard itself calls the receiver. Otherwise the application does, by way of :data:`ADMITTED`.
    """

    def __init__(
        self,
        app: ASGIApp,
        prefix: str,
        receiver: Receiver | Callable[[], Receiver] = get_receiver,
        *,
        public_prefix: str = "",
        concurrent_requests: int | None = None,
        is_next_to_server: bool = False,
    ) -> None:
        self._app = app
        self._paths = EndpointPaths(prefix, public_prefix or prefix)
        # A function in the api-server, which loads plugins before it has a database.
        self._receiver = receiver
        self._concurrent_requests = concurrent_requests
        self._is_next_to_server = is_next_to_server
        # Found out by the first request, which knows the application with all of its middlewares.
        self._drops_authorization = False if is_next_to_server else None
        self._slots: _Slots | None = None
        self.buffer = BodyBuffer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard the endpoint's paths, mask what looks like a token in any other, pass the rest on."""
        # A server may start a pipelined request in the context of the one before it.
        ADMITTED.set(None)
        path = self._paths.enter(scope) if scope["type"] in ("http", "websocket") else None
        if path is None:
            await self._pass_on(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        has_started = False

        async def sending(message: Message) -> None:
            nonlocal has_started
            admitted = ADMITTED.get()
            if admitted is None or (admitted.has_arrived and admitted.pending is None):
                has_started = True
                await send(message)

        try:
            if self._drops_authorization is None:
                self._drops_authorization = appends_admin_token(scope.get("app"), inside=type(self))
            if self._drops_authorization:
                drop_last_authorization(scope)
            answer = await self._guard(scope, receive, sending, path)
            if isinstance(answer, Pending):
                # The slot, the body and Flask's thread are free again.
                ADMITTED.set(None)
                waiting = self._get_receiver().results.response(answer)
                answer = await unless_disconnected(receive, waiting)
            if answer is not None:
                await send_response(answer, scope["method"], sending)
        except Exception as error:  # noqa: BLE001 - the last line of defence of a public endpoint
            log_unexpected_error("request", error, action="endpoint_error")
            if not has_started:
                await send_response(responses.rejected(InternalError()), scope["method"], send)
        finally:
            # The access log reads it when the response is out; a sender's query may hold credentials.
            scope["query_string"] = b""

    def _get_receiver(self) -> Receiver:
        return self._receiver if isinstance(self._receiver, Receiver) else self._receiver()

    async def _guard(
        self, scope: Scope, receive: Receive, send: Send, path: str
    ) -> Response | Pending | None:
        """The response, or the one that waits; None where the application has sent it."""
        receiver = self._get_receiver()
        head: RequestHead | None = None
        admission: Admission | CallAdmission | None = None
        reader: BodyReader | None = None
        try:
            head = request_head(scope, path, receiver.proxies, is_peer_known=self._is_next_to_server)
            if head is None:
                raise UnknownWebhook
            slots = self._slots or self._open_slots(receiver)
            if head.is_of_result:
                return await _result(slots, receiver, head)
            # By the id that is asked for, known or not: strangers learn nothing from how long it takes.
            await slots.admissions.take(head.webhook_id)
            try:
                # The api-server reads no byte of a body on the word of a cached webhook.
                admission = await receiver.admit(head, from_cache=self._is_next_to_server)
            finally:
                slots.admissions.release(head.webhook_id)
            body = b""
            if head.method == "POST":
                reader = BodyReader(self.buffer, receiver, scope=scope, head=head)
                try:
                    if self._is_next_to_server:
                        reader.read_first(receive)
                    if not reader.is_whole:
                        # Only the first part of a body is read on the word of a cached webhook.
                        if not admission.is_fresh:
                            admission = await receiver.confirm(head)
                        await reader.read_rest(receive)
                except TooBusy:
                    reader.close()
                    await asyncio.sleep(REFUSED_SECONDS)
                    raise
                body = reader.body()
            if scope["query_string"]:
                quote_query(scope)
            admitted = Admitted(receiver, admission, asyncio.get_running_loop())
            return await self._hand_on(slots, scope, send, admitted, body)
        except RequestError as error:
            return await _rejected(receiver, error, head, admission)
        finally:
            if reader is not None:
                reader.close()

    async def _hand_on(
        self, slots: _Slots, scope: Scope, send: Send, admitted: Admitted, body: bytes
    ) -> Response | Pending | None:
        """Process a request when its turn has come; None where the application has sent the response."""
        webhook_id = admitted.admission.head.webhook_id
        if not admitted.receiver.is_slow(webhook_id, len(body)):
            return await self._process(slots, scope, send, admitted, body)
        await slots.slow.take(webhook_id)
        try:
            return await self._process(slots, scope, send, admitted, body)
        finally:
            slots.slow.release(webhook_id)

    async def _process(
        self, slots: _Slots, scope: Scope, send: Send, admitted: Admitted, body: bytes
    ) -> Response | Pending | None:
        receiver, admission = admitted.receiver, admitted.admission
        await slots.processing.take(admission.head.webhook_id)
        try:
            if self._is_next_to_server:
                request = inbound_request(scope, body, admission.head.source_ip)
                return await receiver.receive(admission, request)
            await self._ask_blueprint(scope, body, send, admitted)
            return admitted.pending
        finally:
            slots.processing.release(admission.head.webhook_id)

    async def _ask_blueprint(self, scope: Scope, body: bytes, send: Send, admitted: Admitted) -> None:
        """Let the application respond; raises InternalError where it does so without the blueprint."""
        ADMITTED.set(admitted)
        await self._app(scope, replayed(body), send)
        if not admitted.has_arrived:
            raise not_routed()

    def _open_slots(self, receiver: Receiver) -> _Slots:
        settings = receiver.settings
        number = self._concurrent_requests or settings.max_concurrent_requests
        self._slots = _Slots(
            admissions=_slots(number // 2, settings),
            processing=_slots(number, settings),
            slow=_slots(number // SLOW_PART, settings),
        )
        return self._slots

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        # A URL that was pasted to the wrong place: its token is a secret all the same. Servers write their
        # log when the response starts, Airflow when it has ended.
        async def send_masked(message: Message) -> None:
            mask_tokens(scope)
            await send(message)

        try:
            await self._app(scope, receive, send_masked)
        finally:
            mask_tokens(scope)


async def _result(slots: _Slots, receiver: Receiver, head: RequestHead) -> Response:
    """The response to a request for a result.

    :raises RequestError: it is rejected
    """
    await slots.admissions.take(head.webhook_id)
    try:
        compiled = await receiver.find_result(head)
    finally:
        slots.admissions.release(head.webhook_id)
    # A sender has many results, and their templates may be slow: they share the slots of their webhook.
    webhook_id = compiled.webhook.id
    kinds = [slots.slow, slots.processing] if receiver.is_slow(webhook_id, 0) else [slots.processing]
    async with AsyncExitStack() as held:
        for each in kinds:
            await each.take(webhook_id)
            held.callback(each.release, webhook_id)
        return await receiver.result(compiled, head)


def _slots(number: int, settings: Settings) -> WebhookSlots:
    number = max(number, 1)
    share = max(number // 2, 1)
    return WebhookSlots(number, share=share, queue_seconds=settings.queue_timeout_seconds)


async def _rejected(
    receiver: Receiver,
    error: RequestError,
    head: RequestHead | None,
    admission: Admission | CallAdmission | None,
) -> Response:
    """Reject by what the database says now: a cached webhook may be out of date."""
    if admission is not None:
        try:
            if not admission.is_fresh:
                admission = await receiver.confirm(admission.head)
            error = admission.refusal or error
            error.webhook_id = admission.webhook_id
        except RequestError as newer:
            error = newer
    return receiver.reject(error, head)
