"""The API in this process, under both auth managers and on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.integration.web.conftest import made
from tests.integration.web.site import Site

Ask = Callable[..., Any]
_numbers = count()
DATABASE_UNDER = {"simple": "sqlite", "fab": "postgresql"}


@pytest.fixture(scope="module", params=DATABASE_UNDER)
def pages(request: pytest.FixtureRequest, pytestconfig: pytest.Config, template_of) -> Iterator[Site]:
    """An auth manager with its users, and a database."""
    backend = pytestconfig.getoption("database") or DATABASE_UNDER[request.param]
    yield from made(request.param, template_of(backend))


@pytest.fixture(scope="module")
def api(anyone) -> Callable[..., Ask]:
    """The same below the version: ask("GET", "/webhooks")."""

    def login(*who: str) -> Ask:
        ask = anyone(*who)
        return lambda method, path, json=None, **more: ask(method, f"/v1{path}", json, **more)

    return login


@pytest.fixture(scope="module")
def anyone(pages) -> Callable[..., Ask]:
    """anyone(name, role) -> ask(method, path, json) as that user; a stranger's without a name."""
    import httpx

    from inbound_webhooks.monitoring.health import Health
    from inbound_webhooks.rest.app import app
    from tests.infrastructure.database_status import database_status

    app.state.health = Health(database_status)  # as the lifespan does, without the dispatcher

    def login(name: str | None = None, role: str = "Admin") -> Ask:
        headers = {}
        if name is not None:
            with pages.app.app_context():
                token = pages.manager.generate_jwt(pages.user(name, role))
            headers = {"Authorization": f"Bearer {token}"}

        def ask(method: str, path: str, json: Any = None, **more: Any) -> Any:
            more["headers"] = {**headers, **more.get("headers", {})}

            async def send() -> Any:
                transport = httpx.ASGITransport(app=app)
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                    return await client.request(method, path, json=json, **more)

            return asyncio.run(send())

        ask.headers = headers
        return ask

    return login


@pytest.fixture
def admin(api) -> Ask:
    """An administrator, and the DAG `orders`."""
    store_dag("orders")
    return api("ada")


def new_name() -> str:
    """One that no webhook has yet."""
    return f"webhook {next(_numbers)}"
