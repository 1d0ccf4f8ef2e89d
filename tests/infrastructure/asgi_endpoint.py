"""The api-server's endpoint in this process: access log, guard, WSGI wrapper, Flask, blueprint."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.infrastructure.loop import in_use, on_the_loop
from tests.infrastructure.webhooks_builder import PREFIX

if TYPE_CHECKING:
    from inbound_webhooks.receiver.pipeline import Receiver

PEER = "192.0.2.7"
Headers = Sequence[tuple[str, str]]
JSON: Headers = (("content-type", "application/json"),)


@dataclass
class Reply:
    """What went out, and how much of the body was asked for."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    chunks_read: int = 0

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key == name.lower()]
        assert len(found) <= 1, f"{name} is there twice: {found}"
        return found[0] if found else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Sending:
    """A request on its way: its chunks, and what happens after the last one.

    The client disconnects when it has sent all; where it ``stays``, when that event is set.
    """

    chunks: list[bytes]
    disconnects: bool = False
    stalls: bool = False
    stays: asyncio.Event | None = None
    chunks_read: int = 0
    messages: list[dict[str, Any]] = field(default_factory=list)

    async def receive(self) -> dict[str, Any]:
        if not self.chunks:
            if self.stalls:
                await asyncio.Event().wait()
            if self.stays is not None:
                await self.stays.wait()
            return {"type": "http.disconnect"}
        chunk, self.chunks_read = self.chunks.pop(0), self.chunks_read + 1
        more = bool(self.chunks) or self.disconnects or self.stalls
        return {"type": "http.request", "body": chunk, "more_body": more}

    async def send(self, message: dict[str, Any]) -> None:
        self.messages.append(message)

    def reply(self) -> Reply:
        """The answer, once it is whole; fails where it breaks the rules of ASGI."""
        assert [message["type"] for message in self.messages][:1] == ["http.response.start"], self.messages
        start, *parts = self.messages
        assert {part["type"] for part in parts} == {"http.response.body"}
        assert not parts[-1].get("more_body", False)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]]
        body = b"".join(part.get("body", b"") for part in parts)
        return Reply(start["status"], headers, body, self.chunks_read)


class AsgiEndpoint:
    """Sends requests to it; ``root_path`` is the path of [api] base_url, ``receiver`` makes its own.

    ``in_front`` are middlewares between the guard and the server, as Airflow's auth managers register some.
    """

    taken_with_the_head = 0
    """Parts of a body that are taken before the database says that the webhook is as it was a moment ago."""

    def __init__(
        self,
        *,
        root_path: str = "",
        inner: Callable[..., Awaitable[None]] | None = None,
        receiver: Callable[[], Receiver] | None = None,
        in_front: Sequence[Any] = (),
    ) -> None:
        from airflow.api_fastapi.common.http_access_log import HttpAccessLogMiddleware
        from fastapi import FastAPI

        from inbound_webhooks.receiver.asgi.guard import WebhookGuard
        from inbound_webhooks.receiver.instance import get_receiver

        self.app = FastAPI(root_path=root_path, openapi_url=None, lifespan=_closing)
        self.app.mount("/pluginsv2", inner or flask_below_asgi())
        self.app.add_middleware(
            WebhookGuard, prefix=PREFIX, receiver=lambda: in_use((receiver or get_receiver)())
        )
        for middleware in in_front:
            self.app.add_middleware(middleware)
        self.app.add_middleware(HttpAccessLogMiddleware)

    def post(self, path: str, body: bytes = b"{}", headers: Headers = JSON, **more: Any) -> Reply:
        """A POST with Content-Length, as most senders send one."""
        headers = [*headers, ("content-length", str(len(body)))]
        return self.request("POST", path, headers=headers, chunks=[body], **more)

    def request(self, method: str, path: str, **more: Any) -> Reply:
        return on_the_loop(self.send(method, path, **more))

    def together(self, *requests: Awaitable[Reply]) -> list[Reply]:
        """Several at the same time, from :meth:`send`."""

        async def all_of_them() -> list[Reply]:
            return await asyncio.gather(*requests)

        return on_the_loop(all_of_them())

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: bytes = b"",
        headers: Iterable[tuple[str, str]] = (),
        chunks: Sequence[bytes] = (b"",),
        disconnects: bool = False,
        stalls: bool = False,
        stays: asyncio.Event | None = None,
        peer: str = PEER,
        before_each_chunk: Callable[[], Awaitable[None]] | None = None,
    ) -> Reply:
        sending = Sending(list(chunks), disconnects=disconnects, stalls=stalls, stays=stays)
        scope = scope_of(method, path, query, headers, peer=peer)

        async def receive() -> dict[str, Any]:
            if before_each_chunk is not None:
                await before_each_chunk()
            return await sending.receive()

        await self.app(scope, receive, sending.send)
        # A client that has disconnected may get nothing.
        if stays is not None and stays.is_set() and not sending.messages:
            return Reply(0, [], b"")
        return sending.reply()


@asynccontextmanager
async def _closing(app: Any) -> AsyncIterator[None]:
    """As the plugin's own application does, for a server that has this endpoint on a loop of its own."""
    from inbound_webhooks.receiver.instance import get_receiver

    yield
    await get_receiver().close()


def scope_of(
    method: str, path: str, query: bytes, headers: Iterable[tuple[str, str]], *, peer: str = PEER
) -> dict[str, Any]:
    """What a server hands over; the headers' names are in lower case, as ASGI wants them."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogateescape"),
        "query_string": query,
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": (peer, 40000),
        "server": ("127.0.0.1", 8080),
    }


def arrive() -> None:
    """For what stands behind the guard instead of Flask: respond as the blueprint may."""
    from inbound_webhooks.receiver.asgi.admitted import ADMITTED

    admitted = ADMITTED.get()
    if admitted is not None:
        admitted.has_arrived = True


def flask_below_asgi(app: Any = None) -> Callable[..., Awaitable[None]]:
    """A Flask app with the blueprint and CSRF protection, wrapped as Airflow wraps FAB's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette announces the end of its wrapper; Airflow uses it
        from starlette.middleware.wsgi import WSGIMiddleware

    return WSGIMiddleware(app or flask_app())


def flask_app() -> Any:
    from flask import Flask
    from flask_wtf.csrf import CSRFProtect

    from inbound_webhooks.receiver.blueprint import blueprint

    app = Flask("airflow")
    app.secret_key = "a secret key for tests"
    CSRFProtect(app)
    app.register_blueprint(blueprint)
    return app
