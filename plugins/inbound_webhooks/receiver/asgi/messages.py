"""ASGI types, and requests and responses as ASGI messages."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote_from_bytes

from inbound_webhooks.errors import HostInvalid
from inbound_webhooks.event.ip_allow_list import IpAllowList
from inbound_webhooks.event.multidict import MAX_REMEMBERED_CHARS, title_case
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import SAFETY_HEADERS, Response
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.receiver.admission import RequestHead
from inbound_webhooks.receiver.client_address import (
    UNKNOWN,
    counted_address,
    is_replaced,
    source_address,
)
from inbound_webhooks.urls import RESULT_PATH, WAIT_PATH, WEBHOOK_PATH

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_HOST_LABEL_BYTES = 63
"""RFC 1035, section 2.3.4; Flask answers a longer one with a page of its own."""

_DECLARED_LENGTH = re.compile(rb"[0-9]{1,18}")
_ASCII = "".join(map(chr, range(0x21, 0x7F)))


async def send_response(response: Response, method: str, send: Send) -> None:
    """Send a response as ASGI messages; HEAD gets no body."""
    headers = [
        *_encoded((("Content-Type", response.content_type), *SAFETY_HEADERS)),
        # Not cached: values of templates differ from one response to the next. As WSGI servers encode them.
        *((name.lower().encode(), value.encode("latin-1", "replace")) for name, value in response.headers),
        (b"content-length", str(len(response.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = b"" if method == "HEAD" else response.body
    await send({"type": "http.response.body", "body": body})


@lru_cache(maxsize=256)
def _encoded(headers: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers]


def replayed(body: bytes) -> Receive:
    """A ``receive`` that returns a body that was read already."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


def request_head(scope: Scope, path: str, proxies: IpAllowList, *, is_peer_known: bool) -> RequestHead | None:
    """What is known before the body; None where the path below the prefix is no endpoint's: ``id/token`` of a
    webhook, and those of results and waiting tasks.

    :param is_peer_known: whether the server is known to leave the scope's client as it is
    :raises HostInvalid: the Host header has a label that no host name has
    """
    match = WEBHOOK_PATH.fullmatch(path) or RESULT_PATH.fullmatch(path) or WAIT_PATH.fullmatch(path)
    if match is None:
        return None
    declared: bytes | None = None
    forwarded: list[str] = []
    for name, value in scope["headers"]:
        if name == b"content-length":
            declared = value if declared is None else declared
        elif name == b"x-forwarded-for":
            forwarded.append(value.decode("latin-1"))
        elif name == b"host" and len(value) > MAX_HOST_LABEL_BYTES and _has_long_label(value):
            raise HostInvalid
    client = scope.get("client")
    source_ip = client[0] if client else ""
    if client and forwarded and not is_peer_known and is_replaced(client, forwarded):
        source_ip = UNKNOWN
    elif forwarded and proxies.allowed:
        source_ip = source_address(source_ip, forwarded, proxies)
    return RequestHead(
        method=scope["method"],
        webhook_id=match[1],
        token=match[2],
        declared_length=int(declared) if declared and _DECLARED_LENGTH.fullmatch(declared) else None,
        source_ip=source_ip,
        is_of_result=match.re is RESULT_PATH,
        is_call=match.re is WAIT_PATH,
    )


def counted_sender(scope: Scope, head: RequestHead, proxies: IpAllowList) -> str | None:
    """The address that a request counts for; None where it came through a proxy or has none."""
    client = scope.get("client")
    if client is None or head.source_ip == UNKNOWN:
        return None
    return counted_address(client[0], proxies)


def _has_long_label(host: bytes) -> bool:
    return any(len(label) > MAX_HOST_LABEL_BYTES for label in host.split(b"."))


def inbound_request(scope: Scope, body: bytes, source_ip: str) -> InboundRequest:
    """The request without its path; names of headers as WSGI has them, so that both endpoints agree."""
    return InboundRequest(
        method=scope["method"],
        query_string=scope["query_string"].decode("ascii"),
        headers=tuple([(_name(name), value.decode("latin-1")) for name, value in scope["headers"]]),
        body=body,
        source_ip=source_ip,
        received_at=utc_now(),
    )


def quote_query(scope: Scope) -> None:
    """Percent-encode bytes of the query that are not ASCII, as WSGI servers do."""
    scope["query_string"] = quote_from_bytes(scope["query_string"], safe=_ASCII).encode()


def _name(name: bytes) -> str:
    # A sender may send new names without end: only short ones are worth a place in the cache.
    return _cached_name(name) if len(name) <= MAX_REMEMBERED_CHARS else _cached_name.__wrapped__(name)


@lru_cache(maxsize=4096)
def _cached_name(name: bytes) -> str:
    return title_case(name.decode("latin-1").replace("_", "-"))
