"""The gateway in this process: guard and ASGI application on an event loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from tests.receiver.asgi_door import AsgiDoor, Reply

if TYPE_CHECKING:
    from inbound_webhooks.receiver.receive import Receiver
    from inbound_webhooks.receiver.shared_visits import SharedVisits


class GatewayDoor(AsgiDoor):
    """Sends requests to it, with the paths that they have at the blueprint."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._made_for: Receiver | None = None
        self._visits: SharedVisits | None = None

    def request(self, method: str, path: str, **more: Any) -> Reply:
        return self._loop.run_until_complete(self.send(method, path, **more))

    def together(self, *requests: Awaitable[Reply]) -> list[Reply]:
        async def all_of_them() -> list[Reply]:
            return await asyncio.gather(*requests)

        return self._loop.run_until_complete(all_of_them())

    async def send(self, method: str, path: str, **more: Any) -> Reply:
        await self._make()
        return await super().send(method, path.removeprefix("/pluginsv2"), **more)

    def close(self) -> None:
        if self._visits is not None:
            self._loop.run_until_complete(self._visits.close())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _make(self) -> None:
        """Make it with the settings of now, as the process's own receiver is."""
        from airflow import settings

        from inbound_webhooks.receiver.door import door
        from inbound_webhooks.receiver.gateway import guarded
        from inbound_webhooks.receiver.receive import Receiver
        from inbound_webhooks.receiver.shared_visits import SharedVisits, batches_of

        if self._made_for is door():
            return
        if self._visits is not None:
            await self._visits.close()
        self._made_for = door()
        self._visits = SharedVisits(batches_of(settings.engine.dialect.name))
        receiver = Receiver(door().settings, self._visits)
        receiver.rejections, receiver.inbox._listeners = door().rejections, door().inbox._listeners
        self.app = guarded(receiver, self._visits)
