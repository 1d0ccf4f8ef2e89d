"""The gateway in this process: guard and ASGI application on an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from tests.receiver.asgi_door import AsgiDoor, Reply

if TYPE_CHECKING:
    from inbound_webhooks.receiver.receive import Receiver
    from inbound_webhooks.receiver.shared_visits import SharedVisits


Result = TypeVar("Result")


class GatewayDoor(AsgiDoor):
    """Sends requests to it, with the paths that they have at the blueprint."""

    taken_with_the_head = 1

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._making = asyncio.Lock()
        self._made_for: Receiver | None = None
        self._visits: SharedVisits | None = None

    def request(self, method: str, path: str, **more: Any) -> Reply:
        return self._run(self.send(method, path, **more))

    def together(self, *requests: Awaitable[Reply]) -> list[Reply]:
        async def all_of_them() -> list[Reply]:
            return await asyncio.gather(*requests)

        return self._run(all_of_them())

    async def send(self, method: str, path: str, **more: Any) -> Reply:
        async with self._making:
            await self._make()
        return await super().send(method, path.removeprefix("/pluginsv2"), **more)

    def close(self) -> None:
        if self._visits is not None:
            self._run(self._visits.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

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
