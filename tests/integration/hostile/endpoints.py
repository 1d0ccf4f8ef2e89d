"""The ways in that the hostile requests try: each a server in front of this process's database."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.infrastructure.databases import URL_VARIABLE
from tests.infrastructure.webhooks_builder import PREFIX


@dataclass(frozen=True)
class Endpoint:
    """An open endpoint on 127.0.0.1; ``base`` is the path in front of ids.

    It works on the database and with the settings that this process's Airflow had when it was opened.
    """

    port: int
    base: str
    close: Callable[[], None]


def open_blueprint(http: str) -> Endpoint:
    """Guard, WSGI wrapper, Flask and blueprint as the api-server has them; ``http`` is uvicorn's parser."""
    from tests.infrastructure.asgi_endpoint import AsgiEndpoint
    from tests.infrastructure.asgi_server import AsgiServer

    server = AsgiServer(AsgiEndpoint().app, http)
    server.start()
    return Endpoint(server.port, PREFIX, server.stop)


def open_gateway() -> Endpoint:
    """`airflow webhooks gateway`, with the database and the settings that this process has now."""
    from tests.infrastructure.gateway_process import GatewayProcess

    ours = {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW__INBOUND_WEBHOOKS")}
    home = Path(tempfile.mkdtemp(prefix="hostile-gateway-"))
    gateway = GatewayProcess(home, os.environ[URL_VARIABLE], variables=ours)

    def close() -> None:
        gateway.stop()
        shutil.rmtree(home, ignore_errors=True)

    return Endpoint(gateway.wait().port, "/webhook", close)


ENDPOINTS: dict[str, Callable[[], Endpoint]] = {
    # Airflow's api-server takes httptools where it is installed, else h11.
    "blueprint-httptools": lambda: open_blueprint("httptools"),
    "blueprint-h11": lambda: open_blueprint("h11"),
    "gateway": open_gateway,
}
"""Name -> what opens the endpoint."""

SITES = (
    ("blueprint-httptools", "sqlite"),
    ("gateway", "postgresql"),
    pytest.param(("blueprint-httptools", "postgresql"), marks=pytest.mark.long),
    pytest.param(("blueprint-h11", "sqlite"), marks=pytest.mark.long),
    pytest.param(("gateway", "sqlite"), marks=pytest.mark.long),
)
"""Endpoints and the databases behind them: one more way in is one more line here and one above."""
