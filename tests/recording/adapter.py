"""The only module of the recording that knows names of the product.

When the product renames something, this module follows; scenarios and recording stay as they are.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from tests.infrastructure.webhooks_builder import rotate_secret_for_years
from tests.recording import changes

ACTOR = "the recording"

PUBLIC_URL = "https://hooks.example.com"
SETTINGS = {
    "PUBLIC_URL": PUBLIC_URL,
    "BODY_TIMEOUT_SECONDS": "2.5",
    "DISPATCHER_ENABLED": "False",
    "MAX_QUEUED_RUNS": "0",
    "MAX_REQUESTS_PER_SECOND_PER_ADDRESS": "1000000",
    "TRUSTED_PROXIES": "127.0.0.1/32, 192.0.2.0/24",
}
VARIABLES = {f"AIRFLOW__INBOUND_WEBHOOKS__{name}": value for name, value in SETTINGS.items()} | {
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    "AIRFLOW__LOGGING__FAB_LOGGING_LEVEL": "WARNING",
}
"""What both endpoints are started with, besides Airflow's own settings."""

TABLES = {
    "webhook": "inbound_webhook",
    "token": "inbound_webhook_token",
    "secret": "inbound_webhook_secret",
    "delivery": "inbound_webhook_delivery",
    "rejection": "inbound_webhook_rejection",
}
"""What the recording calls a table -> its name in the database."""

ENDPOINTS = ("blueprint", "gateway")


@dataclass(frozen=True)
class Endpoint:
    """A server on 127.0.0.1; ``base`` is the path in front of webhook ids."""

    port: int
    base: str
    close: Callable[[], None]


# --- webhooks -------------------------------------------------------------------------------


def create_webhook(name: str, definition: Mapping[str, Any]) -> str:
    """Create a webhook from plain data, as a form does; returns its id."""
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.secrets import NewSecret

    fields = dict(definition)
    secrets: Mapping[str, str] = fields.pop("secrets", {})
    preset = fields.pop("preset", None)
    fields = changes.renamed_fields(fields)
    secrets = {changes.PURPOSES.get(purpose, purpose): value for purpose, value in secrets.items()}
    draft = service.drafted(preset=preset, purposes=set(secrets), name=name, **fields)
    new = [NewSecret(purpose, value) for purpose, value in secrets.items()]
    return service.create(draft, secrets=new, actor=ACTOR).id


def refusal_of(definition: Mapping[str, Any]) -> str | None:
    """Why a webhook cannot be created from plain data; None where it can, which creates it."""
    from inbound_webhooks.errors import DefinitionError

    try:
        create_webhook("refused", definition)
    except DefinitionError as error:
        return error.message
    return None


def rotate_secret(webhook_id: str, *, purpose: str, secret: str, grace_hours: float) -> None:
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.secrets import NewSecret

    purpose = changes.PURPOSES.get(purpose, purpose)
    if grace_hours > service.MAX_GRACE_HOURS:
        rotate_secret_for_years(webhook_id, purpose, secret, grace_hours=grace_hours)
    else:
        service.rotate_secret(webhook_id, NewSecret(purpose, secret), actor=ACTOR, grace_hours=grace_hours)


def rotate_token(webhook_id: str, *, grace_hours: float) -> None:
    from inbound_webhooks.webhooks import service

    service.rotate(webhook_id, actor=ACTOR, grace_hours=grace_hours)


def enable(webhook_id: str, *, enabled: bool) -> None:
    from inbound_webhooks.webhooks import service

    service.set_enabled(webhook_id, enabled, actor=ACTOR)


def delete(webhook_id: str) -> None:
    from inbound_webhooks.webhooks import service

    service.delete(webhook_id, actor=ACTOR)


# --- dispatching ----------------------------------------------------------------------------


def dispatch() -> None:
    """Make the run of every delivery that is due."""
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    dispatcher = Dispatcher(Settings.load())
    while dispatcher.dispatch_due():
        continue


# --- endpoints ------------------------------------------------------------------------------


def open_endpoint(name: str) -> Endpoint:
    """Serve an endpoint in a thread of this process, on this process's Airflow database."""
    return {"blueprint": _open_blueprint, "gateway": _open_gateway}[name]()


def _open_blueprint() -> Endpoint:
    """Airflow's whole api-server, which has loaded the plugin by itself."""
    from airflow.api_fastapi.app import create_app

    options = {"http": "httptools", "proxy_headers": False, "log_config": None, "lifespan": "on"}
    port, close = _serve(create_app(), options)
    return Endpoint(port, "/pluginsv2/webhook", close)


def _open_gateway() -> Endpoint:
    """`airflow webhooks gateway`, with uvicorn in a thread instead of a process."""
    from airflow.cli import cli_parser

    args = cli_parser.get_parser().parse_args(["webhooks", "gateway", "--port", "8080"])
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with patch("uvicorn.run") as run:
        args.func(args)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    ((app,), options) = run.call_args
    port, close = _serve(app, {**options, "workers": 1})
    return Endpoint(port, "/webhook", close)


def _serve(app: Any, options: Mapping[str, Any]) -> tuple[int, Callable[[], None]]:
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    port = int(listening.getsockname()[1])
    config = uvicorn.Config(app, **{**options, "host": "127.0.0.1", "port": port})
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="endpoint")
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the endpoint did not start; see the log above")
        time.sleep(0.02)

    def close() -> None:
        server.should_exit = True
        thread.join()

    return port, close
