"""When tokens and secrets were last used, written at most once a minute each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.records.credential import Credential
from inbound_webhooks.storage.credentials import note_use
from inbound_webhooks.storage.database import autocommit
from inbound_webhooks.storage.threads import run_in_thread

WRITE_EVERY = timedelta(minutes=1)

MAX_CREDENTIALS = 100_000
"""Credentials whose last use is cached; past it the cache starts anew."""


class LastUse:
    """Writes the last use of credentials, off the event loop."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._written: dict[tuple[str, int], datetime] = {}

    def is_due(self, credential: Credential) -> bool:
        """Whether the last use was written a minute ago or earlier."""
        last_used_at = self._written.get((credential.purpose, credential.id), credential.last_used_at)
        return last_used_at is None or self._now() - last_used_at >= WRITE_EVERY

    async def write(self, credential: Credential) -> None:
        """Write the use of a credential; a database failure is logged and otherwise ignored."""
        now = self._now()
        if len(self._written) >= MAX_CREDENTIALS:
            self._written.clear()
        self._written[credential.purpose, credential.id] = now
        await run_in_thread(partial(_write, credential, now))


def _write(credential: Credential, now: datetime) -> None:
    try:
        autocommit(lambda connection: note_use(connection, credential, now))
    except DatabaseUnavailable:
        return  # logged there; the request itself is done, and its response must say so
