"""Captures requests for the users who listen for them, off the request's path."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial

from msgspec.structs import replace

from inbound_webhooks.deliveries.stored_request import MAX_IP_CHARS
from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.event import json_text
from inbound_webhooks.event.redaction import mask_headers, mask_query
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.monitoring.log_lines import get_logger
from inbound_webhooks.monitoring.loop import attempt
from inbound_webhooks.records.captured import Captured
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage.captured import insert_captured
from inbound_webhooks.storage.database import begin_writing, transaction
from inbound_webhooks.storage.threads import run_in_thread
from inbound_webhooks.webhooks.compiled import CompiledWebhook
from inbound_webhooks.webhooks.listening import is_listening

log = get_logger(__name__)

THREAD = "captures"

MAX_WAITING = 20
"""Captured requests that wait to be written in one process; further ones are not shown."""

MAX_COUNTED = 1_000
"""Listeners whose requests a process counts before it forgets all."""


class Captures:
    """What an endpoint captures; belongs to one event loop."""

    def __init__(self, settings: Settings, *, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now
        self._writing: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()
        # Webhook and end of its listener -> requests; a flood costs a statement for the first ones only.
        self._seen: Counter[tuple[str, datetime | None]] = Counter()

    def add(
        self, compiled: CompiledWebhook, request: InboundRequest, *, status: int, reason: str | None
    ) -> None:
        """Capture a request whose response is known, if its webhook still listens."""
        webhook = compiled.webhook
        key = (webhook.id, webhook.listening_until)
        is_wanted = (
            is_listening(webhook, self._now()) and self._seen[key] < self._settings.max_captured_requests
        )
        if not is_wanted or len(self._writing) >= MAX_WAITING:
            return
        if len(self._seen) >= MAX_COUNTED:
            self._seen.clear()
        self._seen[key] += 1
        captured = partial(self._captured, compiled, request, status, reason)
        task = asyncio.ensure_future(self._write(captured))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def close(self) -> None:
        """Wait until all that was captured is written."""
        if self._writing:
            await asyncio.wait(self._writing)

    def _captured(
        self, compiled: CompiledWebhook, request: InboundRequest, status: int, reason: str | None
    ) -> Captured:
        rules, size = compiled.rules, len(request.body)
        is_kept = self._settings.store_bodies and size <= self._settings.max_captured_bytes
        if rules.body_keys and is_kept:
            request = replace(request, body=rules.redacted(request.body))
        names = rules.credential_names
        return Captured(
            webhook_id=compiled.webhook.id,
            received_at=request.received_at,
            source_ip=request.source_ip[:MAX_IP_CHARS],
            method=request.method[:20],
            status=status,
            reason=reason,
            query_string=mask_query(request.query_string, names) if request.query_string else "",
            headers=json_text.dump(mask_headers(request.headers, names)[0]),
            body=request.body if is_kept else None,
            body_bytes=size,
        )

    async def _write(self, captured: Callable[[], Captured]) -> None:
        async with self._lock:
            await run_in_thread(partial(attempt, THREAD, partial(self._insert, captured), None))

    def _insert(self, capture: Callable[[], Captured]) -> None:
        # In this thread as well: credentials are looked for in all of the request.
        captured, most = capture(), self._settings.max_captured_requests
        try:
            with transaction() as connection:
                begin_writing(connection)
                insert_captured(connection, captured, most=most, now=self._now())
        except DatabaseUnavailable:
            log.warning("captured request dropped action=captured_dropped")
