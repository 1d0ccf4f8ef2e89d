"""The API in this process, under both auth managers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.web.conftest import pages as pages

Ask = Callable[..., Any]


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

    from inbound_webhooks.api import app
    from inbound_webhooks.health import Health

    app.state.health = Health()  # as the lifespan does, without the dispatcher

    def login(name: str | None = None, role: str = "Admin") -> Ask:
        headers = {}
        if name is not None:
            with pages.app.app_context():
                token = pages.manager.generate_jwt(pages.user(name, role))
            headers = {"Authorization": f"Bearer {token}"}

        def ask(method: str, path: str, json: Any = None, **more: Any) -> Any:
            async def send() -> Any:
                transport = httpx.ASGITransport(app=app)
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                    return await client.request(method, path, json=json, headers=headers, **more)

            return asyncio.run(send())

        return ask

    return login
