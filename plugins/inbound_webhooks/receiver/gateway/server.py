"""The gateway's processes: workers on one port, their metrics on another."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path

import uvicorn

from inbound_webhooks.receiver.client_address import trusted_proxies
from inbound_webhooks.receiver.gateway import prometheus
from inbound_webhooks.receiver.gateway.app import FIGURES_FOLDER
from inbound_webhooks.receiver.gateway.connections import OpenConnections
from inbound_webhooks.receiver.gateway.http_protocol import BoundedProtocol, Bounds
from inbound_webhooks.settings import Settings

GRACEFUL_SECONDS = 30
"""How long running requests may take after the signal that stops the gateway."""

START_SECONDS = 120
"""How long a worker may be silent before it is restarted; it imports Airflow first."""

BACKLOG = 2048
"""Connections that the operating system queues until they are accepted."""


def serve(settings: Settings, *, host: str, port: int, workers: int, metrics: tuple[str, int] | None) -> None:
    """Serve until SIGINT or SIGTERM; then accept nothing new, finish running requests, and exit with 0.

    :param metrics: host and port of the metrics for Prometheus
    """
    # uvicorn raises the signal once more when it is done; exiting normally removes the folder.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="inbound-webhooks-metrics-") as folder:
        if metrics is not None:
            os.environ[FIGURES_FOLDER] = folder
            prometheus.serve(Path(folder), *metrics)
        uvicorn.run(
            "inbound_webhooks.receiver.gateway.app:application",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            http=partial(  # type: ignore[arg-type]
                BoundedProtocol, bounds=_bounds(settings), open_ones=_no_connections(settings)
            ),
            ws="none",
            lifespan="on",
            interface="asgi3",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=settings.keep_alive_seconds,  # type: ignore[arg-type]
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
            timeout_worker_healthcheck=START_SECONDS,
        )


def _bounds(settings: Settings) -> Bounds:
    return Bounds(
        header_timeout_seconds=settings.header_timeout_seconds,
        write_timeout_seconds=settings.body_timeout_seconds,
    )


def _no_connections(settings: Settings) -> OpenConnections:
    return OpenConnections(
        settings.gateway_max_connections,
        percent=settings.gateway_address_connections_percent,
        proxies=trusted_proxies(settings),
    )
