"""The plugin's FastAPI application; its lifespan runs a dispatcher in each api-server worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import anyio.to_thread
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from inbound_webhooks.dispatch.service import DispatchService
from inbound_webhooks.errors import ConfigurationError, Problem
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.environment import ENVIRONMENT
from inbound_webhooks.monitoring.health import Health
from inbound_webhooks.monitoring.interpreter import favour_event_loop
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.receiver.pipeline import Receiver
from inbound_webhooks.receiver.self_report import reporting
from inbound_webhooks.receiver.stopping import noticing_stop
from inbound_webhooks.rest.activity import router as activity_router
from inbound_webhooks.rest.deliveries import router as deliveries_router
from inbound_webhooks.rest.dependencies import AccessDep
from inbound_webhooks.rest.holds import router as holds_router
from inbound_webhooks.rest.presets import router as presets_router
from inbound_webhooks.rest.problems import install_error_handlers
from inbound_webhooks.rest.replays import router as replays_router
from inbound_webhooks.rest.same_origin import require_same_origin
from inbound_webhooks.rest.samples import router as samples_router
from inbound_webhooks.rest.waits import router as waits_router
from inbound_webhooks.rest.webhooks import router as webhooks_router
from inbound_webhooks.storage.database import LOCK_TIMEOUT_SECONDS
from inbound_webhooks.storage.encryption import check_key
from inbound_webhooks.webhooks.queue_reason import count_queued


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run the background threads while the server runs."""
    metrics.start(in_api_server=True)
    favour_event_loop()
    with ExitStack() as running:
        try:
            receiver = _start(running)
        except ConfigurationError as error:
            # Airflow's own pages must still start; the endpoint returns 503 until the setting is fixed.
            ENVIRONMENT.report(Problem(error.message, code="misconfigured"))
            app.state.health = Health(None)
            async with reporting(app.state.health):
                yield
            return
        receiver.loop = asyncio.get_running_loop()
        app.state.health = Health(receiver.store.status, count_queued=count_queued)
        with noticing_stop(receiver.results.waiters.stop):
            async with reporting(app.state.health):
                yield
        await anyio.to_thread.run_sync(running.close)
    await receiver.close()


def _start(running: ExitStack) -> Receiver:
    check_key()
    receiver = get_receiver()
    receiver.rejections.start()
    running.callback(receiver.rejections.stop)
    receiver.responses.start()
    running.callback(receiver.responses.stop)
    if not receiver.settings.dispatcher_enabled:
        return receiver
    service = DispatchService(receiver.settings)
    receiver.inbox.on_accepted(service.wake)
    receiver.inbox.on_called(service.wake_waits)
    receiver.inbox.on_grouped(service.wake_groups)
    service.start()
    # The dispatcher stops after the current batch, which waits for a lock at most LOCK_TIMEOUT_SECONDS.
    running.callback(service.join, 2 * LOCK_TIMEOUT_SECONDS)
    running.callback(service.stop)
    return receiver


# The OpenAPI document is served below, with authorization: Airflow does not protect plugins' routes.
app = FastAPI(
    title="Inbound webhooks",
    lifespan=lifespan,
    # Before the permissions of a route, and for every route that is added.
    dependencies=[Depends(require_same_origin)],
    openapi_url=None,
    docs_url=None,
    redoc_url=None,
    generate_unique_id_function=lambda route: route.name,
)
app.include_router(webhooks_router, prefix="/v1")
# Before the other one, whose path with an id would match the search.
app.include_router(replays_router, prefix="/v1")
app.include_router(activity_router, prefix="/v1")
app.include_router(deliveries_router, prefix="/v1")
app.include_router(waits_router, prefix="/v1")
app.include_router(presets_router, prefix="/v1")
app.include_router(samples_router, prefix="/v1")
app.include_router(holds_router, prefix="/v1")
install_error_handlers(app)


@app.get("/v1/openapi.json", include_in_schema=False)
def openapi(_may: AccessDep, request: Request) -> JSONResponse:
    """The OpenAPI document, for users with permission to see webhooks."""
    servers = [{"url": request.scope.get("root_path") or "/"}]
    return JSONResponse(app.openapi() | {"servers": servers})


@app.get("/health", responses={503: {"description": "The same report, if something is wrong."}})
async def health(request: Request) -> JSONResponse:
    """Unauthenticated health report: 200, or 503 if no dispatcher runs or the database is unavailable."""
    report = await request.app.state.health.report()
    return JSONResponse(report.document, report.status, headers={"Cache-Control": "no-store"})
