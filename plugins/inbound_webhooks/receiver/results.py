"""Responses that wait for a run, and result URLs for those that could not wait any longer.

A waiting response holds nothing of its request: what the template reads is taken from the stored delivery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from secrets import token_hex

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from inbound_webhooks.airflow_bridge.run_results import (
    Found,
    OfAnotherDag,
    Paused,
    Ready,
    Sought,
    look_up,
    read_result,
)
from inbound_webhooks.deliveries.stored_request import content_of, restore
from inbound_webhooks.errors import DatabaseUnavailable, MethodNotAllowed, RequestError, UnknownWebhook
from inbound_webhooks.event import responses
from inbound_webhooks.event.judge import RETRY_AFTER_SECONDS, Verdict
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import Response
from inbound_webhooks.event.waiting import RunResult
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.loop import log_unexpected_error
from inbound_webhooks.receiver.admission import RequestHead
from inbound_webhooks.receiver.decisions import Decisions
from inbound_webhooks.receiver.response_log import ResponseLog
from inbound_webhooks.receiver.waiters import NoRoom, Waiters
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.settings import Settings, public_url
from inbound_webhooks.storage.database import autocommit
from inbound_webhooks.storage.deliveries import find_delivery, webhook_of_delivery
from inbound_webhooks.storage.result_tokens import hashes_of, insert_token, is_among
from inbound_webhooks.storage.threads import run_in_thread
from inbound_webhooks.urls import TOKEN_BYTES, result_url
from inbound_webhooks.webhooks.compiled import CompiledWebhook

UNFINISHED_STATUS = 202

PAUSED_RETRY_SECONDS = 60
"""When a sender asks again for the result of a run that waits for a user."""


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A response that waits; ``kept_for`` is its delivery without the request, None for a repeated event.

    ``preference_applied`` is as in the verdict. With ``is_held`` it ends at once: nothing starts.
    """

    compiled: CompiledWebhook
    delivery_id: str
    seconds: int
    preference_applied: str = ""
    kept_for: Delivery | None = None
    is_held: bool = False

    @property
    def sought(self) -> Sought:
        """What it waits for."""
        return _sought(self.compiled, self.delivery_id)


def pending(
    compiled: CompiledWebhook, delivery: Delivery, stored_id: str, verdict: Verdict, *, is_held: bool
) -> Pending:
    """The wait of a committed delivery, or of a repeated event for the first one's run."""
    # The log of responses masks what it has of credentials; it needs nothing else of the request.
    bare = replace(delivery, body=b"", headers="[]", conf=None)
    kept_for = bare if stored_id == delivery.id else None
    return Pending(
        compiled=compiled,
        delivery_id=stored_id,
        seconds=verdict.wait_seconds,
        preference_applied=verdict.preference_applied,
        kept_for=kept_for,
        is_held=is_held,
    )


class Results:
    """The responses after a wait, and those at result URLs; belongs to one event loop."""

    def __init__(self, settings: Settings, decisions: Decisions, log: ResponseLog) -> None:
        self._decisions = decisions
        self._log = log
        self._public_url = public_url(settings)
        self._max_body_bytes = settings.max_body_bytes
        self.waiters = Waiters(settings, _look_up)

    async def response(self, wait: Pending) -> Response:
        """Wait, and return the response: that of the run, or 202 with the URL of its result."""
        found: Found | None = None
        has_waited = not wait.is_held
        try:
            if has_waited:
                found = await self.waiters.wait(wait.compiled.webhook.id, wait.sought, wait.seconds)
                has_waited = not isinstance(found, (Paused, OfAnotherDag))
        except NoRoom:
            has_waited = False
            metrics.count("waits.no_room")
        response = await self._if_readable(wait, found)
        if response is not None:
            metrics.count("waits.answered")
        else:
            metrics.count("waits.unfinished")
            response = await self._unfinished(wait.delivery_id, found)
        if has_waited:
            response = responses.with_preference(response, wait.preference_applied)
        if wait.kept_for is not None:
            self._log.add(wait.kept_for, response)
        return response

    async def _if_readable(self, wait: Pending, found: Found | None) -> Response | None:
        try:
            return await self._of_run(wait.compiled, wait.sought, found)
        except RequestError:
            return None
        except Exception as error:  # noqa: BLE001 - the event is accepted: 503 would make the sender repeat it
            log_unexpected_error("result", error, action="endpoint_error")
            return None

    def without_wait(self, wait: Pending) -> Response:
        """The response that does not wait, without the URL of its result: a user's test event."""
        response = responses.unfinished(wait.delivery_id, retry_after_seconds=RETRY_AFTER_SECONDS)
        if wait.kept_for is not None:
            self._log.add(wait.kept_for, response)
        return response

    async def webhook_of(self, head: RequestHead) -> str:
        """The id of the webhook whose result a URL leads to.

        :raises UnknownWebhook: there is no such delivery, or the token is wrong; both take as long
        """
        found = await run_in_thread(partial(autocommit, partial(_webhook_of, head=head)))
        if found is None:
            raise UnknownWebhook
        return found

    async def at_url(self, compiled: CompiledWebhook, head: RequestHead) -> Response:
        """The response to a request for a result, whose token is right.

        :raises UnknownWebhook: the webhook sends no results any more, or those of another DAG
        :raises RequestError: another method, or the result cannot be read now
        """
        if compiled.rules.wait is None:
            raise UnknownWebhook
        if head.method == "OPTIONS":
            return responses.options(responses.RESULT_METHODS)
        if head.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(responses.RESULT_METHODS)
        sought = _sought(compiled, head.webhook_id)
        found = (await _look_up([sought])).get(sought)
        if isinstance(found, OfAnotherDag):
            raise UnknownWebhook
        response = await self._of_run(compiled, sought, found)
        return response or responses.unfinished(head.webhook_id, retry_after_seconds=_retry_after(found))

    async def _of_run(
        self, compiled: CompiledWebhook, sought: Sought, found: Found | None
    ) -> Response | None:
        """Read and render the result in a thread; None where there is none yet.

        In turns: results are long, templates compute, and many waits may end at the same time.

        :raises RequestError: the result, or the request that the template reads, cannot be read now
        """
        if not isinstance(found, (Ready, RunResult)):
            return None
        render = partial(self._rendered, compiled, sought, found)
        return await self._decisions.render(compiled.webhook.id, render)

    def _rendered(
        self, compiled: CompiledWebhook, sought: Sought, found: Ready | RunResult
    ) -> Response | None:
        if isinstance(found, Ready):
            read = autocommit(partial(read_result, sought=sought, ready=found))
            if read is None:
                return None
            found = read
        rules, delivery_id = compiled.rules, sought.delivery_id
        delivery = None
        if rules.response or rules.response_headers or (rules.wait is not None and rules.wait.status):
            delivery = autocommit(partial(find_delivery, delivery_id=delivery_id))
        request, content = _NO_REQUEST, b""
        if delivery is not None:
            request, content = restore(delivery), content_of(delivery, self._max_body_bytes)
        sources = rules.sources(request, content, delivery_id)
        if delivery is not None:
            sources.event_type = delivery.event_type or ""
        return responses.of_run(rules, sources, delivery_id, found)

    async def _unfinished(self, delivery_id: str, found: Found | None) -> Response:
        """202 with the URL of the result; without one where it cannot be stored, or would lead nowhere."""
        url = ""
        if not isinstance(found, OfAnotherDag):
            token = token_hex(TOKEN_BYTES)
            store = partial(insert_token, delivery_id=delivery_id, token=token)
            # Logged already; the delivery is committed, so the response is 2xx.
            with suppress(DatabaseUnavailable):
                if await run_in_thread(partial(autocommit, store)):
                    url = result_url(self._public_url, delivery_id, token)
        return responses.unfinished(delivery_id, retry_after_seconds=_retry_after(found), result_url=url)


def _sought(compiled: CompiledWebhook, delivery_id: str) -> Sought:
    wait = compiled.rules.wait
    return Sought(delivery_id, compiled.webhook.dag_id, None if wait is None else wait.task)


def _retry_after(found: Found | None) -> int:
    return PAUSED_RETRY_SECONDS if isinstance(found, Paused) else RETRY_AFTER_SECONDS


_NO_REQUEST = InboundRequest(
    method="POST",
    query_string="",
    headers=(),
    body=b"",
    source_ip="",
    received_at=datetime.fromtimestamp(0, timezone.utc),
)
"""For what reads nothing of a request."""


async def _look_up(sought: Sequence[Sought]) -> Mapping[Sought, Found]:
    return await run_in_thread(partial(autocommit, partial(look_up, sought=sought)))


def _webhook_of(connection: Connection, head: RequestHead) -> str | None:
    if not is_among(head.token, hashes_of(connection, head.webhook_id)):
        return None
    return webhook_of_delivery(connection, head.webhook_id)
