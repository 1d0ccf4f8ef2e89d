"""The endpoint as a process of its own: the same guard, next to the server."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from inbound_webhooks.airflow_bridge.providers import load_provider_configuration
from inbound_webhooks.deliveries.store.factory import open_store
from inbound_webhooks.errors import UnknownWebhook
from inbound_webhooks.event import responses
from inbound_webhooks.event.response import Response
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.health import Health
from inbound_webhooks.monitoring.interpreter import favour_event_loop
from inbound_webhooks.receiver.asgi.guard import WebhookGuard
from inbound_webhooks.receiver.asgi.messages import ASGIApp, Receive, Scope, Send, send_response
from inbound_webhooks.receiver.gateway.prometheus import WorkerFigures
from inbound_webhooks.receiver.pipeline import Receiver
from inbound_webhooks.receiver.self_report import reporting
from inbound_webhooks.receiver.stopping import noticing_stop
from inbound_webhooks.settings import Settings, public_url
from inbound_webhooks.storage.encryption import check_key
from inbound_webhooks.storage.threads import run_in_thread
from inbound_webhooks.webhooks.queue_reason import count_queued

FIGURES_FOLDER = "INBOUND_WEBHOOKS_FIGURES_FOLDER"
"""The environment variable that tells workers where to write their counters."""


class Gateway:
    """The routes beside the webhooks, which the guard answers."""

    def __init__(self, receiver: Receiver, figures: WorkerFigures | None) -> None:
        self._receiver = receiver
        self._figures = figures
        self._health = Health(receiver.store.status, count_queued=count_queued)
        self._routes = {"/health": self._tell_health}

    @property
    def routes(self) -> frozenset[str]:
        """The paths that anyone who can reach the gateway may GET."""
        return frozenset(self._routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await send_response(await self._respond(scope), scope["method"], send)
        else:
            await send({"type": "websocket.close"})

    async def _respond(self, scope: Scope) -> Response:
        route = self._routes.get(scope["path"])
        if route is not None and scope["method"] in ("GET", "HEAD"):
            return await route()
        return responses.rejected(UnknownWebhook())

    async def _tell_health(self) -> Response:
        report = await self._health.report()
        return Response(report.status, json.dumps(report.document).encode())

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self._running():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        self._receiver.rejections.start()
        self._receiver.responses.start()
        if self._figures is not None:
            metrics.add_listener(self._figures.count)
            self._figures.start()
        favour_event_loop()
        try:
            with noticing_stop(self._receiver.results.waiters.stop):
                async with reporting(self._health):
                    yield
        finally:
            if self._figures is not None:
                await run_in_thread(self._figures.stop)
            await run_in_thread(self._receiver.rejections.stop)
            await run_in_thread(self._receiver.responses.stop)
            await self._receiver.close()


def application() -> ASGIApp:
    """The endpoint of one worker process, with the current settings.

    :raises ConfigurationError: a setting is wrong
    """
    load_provider_configuration()
    check_key()  # here too: the process that starts the workers reports to none of them
    settings = Settings.load()
    metrics.start(in_api_server=False)
    receiver = Receiver(settings, open_store(settings))
    folder = os.environ.get(FIGURES_FOLDER)
    return guarded(receiver, WorkerFigures(Path(folder)) if folder else None)


def guarded(receiver: Receiver, figures: WorkerFigures | None = None) -> ASGIApp:
    """The application behind its guard."""
    guard = WebhookGuard(
        Gateway(receiver, figures),
        prefix="/webhook",
        public_prefix=urlsplit(public_url(receiver.settings)).path + "/webhook",
        receiver=receiver,
        concurrent_requests=receiver.settings.gateway_max_concurrent_requests,
        is_next_to_server=True,
    )
    return guard if figures is None else _timed(guard, figures)


def _timed(app: ASGIApp, figures: WorkerFigures) -> ASGIApp:
    async def timed(scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        await app(scope, receive, send)
        if scope["type"] == "http":
            figures.answered(time.perf_counter() - started)

    return timed
