"""The plugin's FastAPI application: its lifespan runs the dispatcher in each api-server worker process."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI

from inbound_webhooks.dispatch.dispatcher import Dispatcher
from inbound_webhooks.dispatch.public_keys import KeyRefresher
from inbound_webhooks.dispatch.threads import start
from inbound_webhooks.errors import ConfigurationError
from inbound_webhooks.receiver.door import door

log = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Run what needs a thread between the server's start and its end."""
    with ExitStack() as running:
        try:
            _start(running)
        except ConfigurationError as error:
            # Airflow's own pages must come up all the same; the door answers 503 until this is mended.
            log.critical("inbound webhooks are off action=misconfigured: %s", error.message)
        yield
        await anyio.to_thread.run_sync(running.close)


def _start(running: ExitStack) -> None:
    receiver = door()
    receiver.rejections.start()
    running.callback(receiver.rejections.stop)
    if not receiver.settings.dispatcher_enabled:
        return
    dispatcher = Dispatcher(receiver.settings)
    receiver.inbox.on_accepted(dispatcher.wake)
    start(dispatcher, "dispatcher", running)
    start(KeyRefresher(), "keys", running)


# No pages of its own: documentation of the interface comes with the interface.
app = FastAPI(title="Inbound webhooks", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
