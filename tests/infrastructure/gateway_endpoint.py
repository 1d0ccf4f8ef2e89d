"""The gateway in this process: guard and ASGI application."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.infrastructure.asgi_endpoint import AsgiEndpoint, Reply
from tests.infrastructure.loop import new_receiver

if TYPE_CHECKING:
    from inbound_webhooks.receiver.pipeline import Receiver


class GatewayEndpoint(AsgiEndpoint):
    """Sends requests to it, with the paths that they have at the blueprint."""

    taken_with_the_head = 1

    def __init__(self) -> None:
        self._making = asyncio.Lock()
        self._made_for: Receiver | None = None

    async def send(self, method: str, path: str, **more: Any) -> Reply:
        async with self._making:
            await self._make()
        return await super().send(method, path.removeprefix("/pluginsv2"), **more)

    async def _make(self) -> None:
        """Make it with the settings of now, as the process's own receiver is."""
        from inbound_webhooks.receiver.gateway.app import guarded
        from inbound_webhooks.receiver.instance import get_receiver

        if self._made_for is get_receiver():
            return
        self._made_for = get_receiver()
        receiver = new_receiver(get_receiver().settings)
        receiver.rejections, receiver.inbox._listeners = (
            get_receiver().rejections,
            get_receiver().inbox._listeners,
        )
        self.app = guarded(receiver)
