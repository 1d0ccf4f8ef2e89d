"""What the receiver asks of the database, and where its slow work is done: by a thread, or beside a loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

import anyio.to_thread

from inbound_webhooks.storage import queries
from inbound_webhooks.storage.database import at_once
from inbound_webhooks.storage.queries import Credential, Delivery, Webhook

Result = TypeVar("Result")


class Visits(Protocol):
    """The receiver's visits to the database; each raises DatabaseUnavailable."""

    async def find(self, webhook_id: str) -> tuple[Webhook, Sequence[Credential]] | None:
        """A webhook as it is now, its credentials newest first."""
        ...

    def held(self, webhook_id: str) -> tuple[Webhook, Sequence[Credential]] | None:
        """A webhook as it was a moment ago, where that is known without a visit.

        Enough to go on with what a commit will check, never to say no.
        """
        ...

    async def store(self, delivery: Delivery, version: int) -> str | None:
        """See :func:`inbound_webhooks.storage.queries.store`; committed when this returns."""
        ...

    async def aside(self, work: Callable[[], Result]) -> Result:
        """Do work that may block or take long, where nobody else has to wait for it."""
        ...

    async def drive(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Have the receiver do something, from an event loop."""
        ...


class BlockingVisits:
    """For a receiver that a thread drives: nothing is ever awaited."""

    async def find(self, webhook_id: str) -> tuple[Webhook, Sequence[Credential]] | None:
        """One query."""
        return at_once(lambda connection: queries.find_with_credentials(connection, webhook_id))

    def held(self, webhook_id: str) -> tuple[Webhook, Sequence[Credential]] | None:
        """Nothing is held."""
        return None

    async def store(self, delivery: Delivery, version: int) -> str | None:
        """One statement."""
        return at_once(lambda connection: queries.store(connection, delivery, version))

    async def aside(self, work: Callable[[], Result]) -> Result:
        """Here and now: the thread is its request's own."""
        return work()

    async def drive(self, work: Coroutine[Any, Any, Result]) -> Result:
        """In a thread."""
        return await anyio.to_thread.run_sync(finish, work)


def finish(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that never waits for an event loop, from its beginning to its end."""
    try:
        work.send(None)
    except StopIteration as ended:
        return ended.value
    work.close()
    raise RuntimeError("a receiver whose visits block has waited for an event loop")
