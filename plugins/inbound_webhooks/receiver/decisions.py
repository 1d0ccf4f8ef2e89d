"""What is decided about a request: at once where that is short, else in a thread, and webhooks take turns.

Python runs one thread at a time, so what a thread computes delays the event loop, and with it all requests.
Decisions that are known to cost much wait for each other, and pause afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from inbound_webhooks.airflow_bridge.dag_cache import CachedDag, DagCache, startable
from inbound_webhooks.deliveries.events import EventJudge, with_children
from inbound_webhooks.deliveries.stored_request import new_delivery
from inbound_webhooks.event.judge import Outcome, Secrets, Verdict, decide_as_received, duplicate
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import Response
from inbound_webhooks.event.rules import MAX_INLINE_BODY_BYTES
from inbound_webhooks.receiver.webhook_slots import WebhookSlots
from inbound_webhooks.records.delivery import Delivery, new_delivery_id
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage.database import autocommit
from inbound_webhooks.storage.threads import run_in_thread
from inbound_webhooks.webhooks.compiled import CompiledWebhook

Result = TypeVar("Result")

CONCURRENT_DECISIONS = 4
"""Long decisions of an event loop that run at the same time, half of them at most of one webhook."""

COSTLY_SECONDS = 0.005
"""The next decision of a webhook that has taken more processor time than this is a costly one."""

COSTLY_BYTES = 256 * 1024
"""A decision about a longer body is costly, whatever the webhook's last one has taken."""

SECONDS_PER_BYTE = 2.5e-9
"""Processor time that the event loop takes to read a body, and to hand it to the database."""

PAUSE_FACTOR = 3
"""A webhook pauses for this many times as long as its costly decision: it computes a quarter of the time."""

COMMON_PAUSE_FACTOR = 1
"""All webhooks with costly decisions pause for so long: together they compute half of the time."""

MAX_KNOWN_COSTLY = 1_024

MAX_INLINE_QUERY_CHARS = 4 * 1024
MAX_INLINE_HEADERS = 100
MAX_INLINE_HEADER_CHARS = 8 * 1024
"""Longer queries, and more or longer headers, are not looked through on the event loop. Patterns of a param
are matched there with values of at most MAX_MATCHED_CHARS, and longer ones in a process, which may take
seconds."""

_STORED = frozenset({Outcome.ACCEPTED, Outcome.FILTERED, Outcome.REFUSED, Outcome.SPLIT})

Decided = tuple[Verdict, Delivery | None, Sequence[Delivery]]
"""A verdict, the delivery to be stored, and its children."""


class Decisions:
    """The decisions of one event loop."""

    def __init__(self, settings: Settings, dags: DagCache) -> None:
        self._settings = settings
        self._dags = dags
        self._events = EventJudge.of(settings)
        seconds = settings.queue_timeout_seconds
        self._long = WebhookSlots(
            CONCURRENT_DECISIONS, share=CONCURRENT_DECISIONS // 2, queue_seconds=seconds
        )
        self._costly = WebhookSlots(1, share=1, queue_seconds=seconds)
        self._known_costly: dict[str, None] = {}

    async def authenticate(
        self, compiled: CompiledWebhook, request: InboundRequest, authenticate: Callable[[], Result]
    ) -> Result:
        """Call ``authenticate``, in a thread where a long body has to be hashed or parsed for it.

        :raises TooBusy: others of the webhook take too long
        """
        rules = compiled.rules
        if len(request.body) > MAX_INLINE_BODY_BYTES and (rules.verification or rules.handshake):
            return await self._in_turn(compiled.webhook.id, authenticate)
        return authenticate()

    async def decide(self, compiled: CompiledWebhook, request: InboundRequest, secrets: Secrets) -> Decided:
        """The verdict, and the delivery to be stored with its children.

        :raises TooBusy: others of the webhook take too long
        """
        if compiled.fans_out:
            return await self._decide_events(compiled, request, secrets)
        dag_id = compiled.webhook.dag_id
        dag, is_due = self._dags.peek(dag_id)
        if is_due:
            dag = await run_in_thread(partial(self._dags.refresh, dag_id, autocommit))
        dag = startable(dag, compiled.webhook)
        encoding = request.combined_header("Content-Encoding")

        def decide() -> Decided:
            verdict = decide_as_received(
                compiled.rules,
                request,
                None if dag is None else dag.params,
                delivery_id=new_delivery_id(),
                max_content_bytes=self._settings.max_body_bytes,
                secrets=secrets,
                encoding=encoding,
                params_version=None if dag is None else dag.dag_hash,
                max_conf_items=self._settings.max_conf_items,
            )
            # Here as well: its credentials are looked for in all of the request.
            is_stored = verdict.outcome in _STORED
            return verdict, new_delivery(compiled, request, verdict) if is_stored else None, ()

        if _is_short(compiled, request, encoding) and not (dag is not None and dag.may_check_slowly):
            return decide()
        return await self._in_turn(compiled.webhook.id, decide, len(request.body))

    async def _decide_events(
        self, compiled: CompiledWebhook, request: InboundRequest, secrets: Secrets
    ) -> Decided:
        """The same where the request may be several events."""
        dags: dict[str, CachedDag | None] = {}
        for dag_id in {target.webhook.dag_id for target in compiled.targets}:
            dags[dag_id], is_due = self._dags.peek(dag_id)
            if is_due:
                dags[dag_id] = await run_in_thread(partial(self._dags.refresh, dag_id, autocommit))

        def decide() -> Decided:
            verdict = self._events.decide(compiled, request, dags.__getitem__, secrets=secrets)
            if verdict.outcome not in _STORED:
                return verdict, None, ()
            return verdict, *with_children(compiled, request, verdict)

        is_slow = any(dag is not None and dag.may_check_slowly for dag in dags.values())
        if _is_short(compiled, request, request.combined_header("Content-Encoding")) and not is_slow:
            return decide()
        return await self._in_turn(compiled.webhook.id, decide, len(request.body))

    async def repeat(
        self, compiled: CompiledWebhook, request: InboundRequest, verdict: Verdict, first_id: str
    ) -> Response:
        """The response to a repeated event.

        :raises TooBusy: others of the webhook take too long
        """
        most_bytes = self._settings.max_body_bytes
        repeat = partial(duplicate, compiled.rules, request, verdict, first_id, max_content_bytes=most_bytes)
        if _is_short(compiled, request, request.header("Content-Encoding")):
            return repeat()
        return await self._in_turn(compiled.webhook.id, repeat, len(request.body))

    def is_costly(self, webhook_id: str, body_bytes: int) -> bool:
        """Whether a decision about a body of this size is expected to take long."""
        return body_bytes > COSTLY_BYTES or webhook_id in self._known_costly

    async def render(self, webhook_id: str, render: Callable[[], Result]) -> Result:
        """What ``render`` makes of the result of a run, in a thread when it is the webhook's turn.

        :raises TooBusy: others of the webhook take too long
        """
        return await self._in_turn(webhook_id, render)

    async def decide_call(self, wait_id: str, decide: Callable[[], Result], body_bytes: int) -> Result:
        """What a call means for the task that waits for it, computed in a thread.

        :raises TooBusy: others of the wait take too long
        """
        return await self._in_turn(wait_id, decide, body_bytes)

    def requests_of(self, webhook_id: str) -> int:
        """How many long decisions of a webhook run, wait, or have ended a moment ago."""
        return self._long.requests_of(webhook_id) + self._costly.requests_of(webhook_id)

    async def _in_turn(self, webhook_id: str, work: Callable[[], Result], size: int = 0) -> Result:
        """Work in a thread when it is the webhook's turn."""
        is_costly = self.is_costly(webhook_id, size)
        slots = self._costly if is_costly else self._long
        await slots.take(webhook_id)
        seconds = 0.0

        def timed() -> Result:
            nonlocal seconds
            started = time.thread_time()
            try:
                return work()
            finally:
                seconds = time.thread_time() - started

        try:
            return await run_in_thread(timed)
        finally:
            self._remember(webhook_id, seconds)
            pause = seconds + size * SECONDS_PER_BYTE if is_costly or seconds > COSTLY_SECONDS else 0.0
            slots.release(
                webhook_id,
                after_seconds=COMMON_PAUSE_FACTOR * pause if is_costly else 0.0,
                own_after_seconds=PAUSE_FACTOR * pause,
            )

    def _remember(self, webhook_id: str, seconds: float) -> None:
        known = self._known_costly
        known.pop(webhook_id, None)
        if seconds > COSTLY_SECONDS:
            known[webhook_id] = None
            if len(known) > MAX_KNOWN_COSTLY:
                del known[next(iter(known))]


def _is_short(compiled: CompiledWebhook, request: InboundRequest, encoding: str) -> bool:
    """Whether it can be decided on the event loop, where all requests wait meanwhile."""
    return (
        not encoding
        and len(request.body) <= compiled.inline_bytes
        and len(request.query_string) <= MAX_INLINE_QUERY_CHARS
        and len(request.headers) <= MAX_INLINE_HEADERS
        and sum(len(value) for _, value in request.headers) <= MAX_INLINE_HEADER_CHARS
    )
