"""The calls by which external systems resume waiting tasks."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import datetime
from functools import partial

import msgspec

from inbound_webhooks.airflow_bridge.task_instances import FoundWait, Standing, find_wait, has_next_try
from inbound_webhooks.deliveries.store.inbox import Inbox
from inbound_webhooks.deliveries.stored_request import columns
from inbound_webhooks.errors import (
    ContentRefused,
    MethodNotAllowed,
    ResultRefused,
    ResultTooLarge,
    UnknownWebhook,
    WaitOver,
)
from inbound_webhooks.event import responses
from inbound_webhooks.event.content_encoding import inflate
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.budget import Budget
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import Response
from inbound_webhooks.event.task_wait import outcome_of
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.receiver.admission import RequestHead
from inbound_webhooks.receiver.decisions import Decisions
from inbound_webhooks.records.delivery import Delivery, State, new_delivery_id
from inbound_webhooks.records.wait import WAIT_WEBHOOK_ID, Wait, WaitState
from inbound_webhooks.records.webhook_fields import WEBHOOK_NAME_CHARS
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage.database import autocommit, transaction
from inbound_webhooks.storage.threads import run_in_thread
from inbound_webhooks.storage.waits import insert_waits, note_refusal

_NO_HASH = "0" * 64


class CallAdmission(msgspec.Struct, frozen=True):
    """A call whose token is right, of a wait that is not over, or that has had its call.

    It has the attributes of an :class:`inbound_webhooks.receiver.admission.Admission` that the guard reads.
    """

    head: RequestHead
    wait: Wait
    is_fresh: bool = True
    refusal: None = None
    webhook_id: str = ""
    """Empty: no webhook's list shows its rejections."""


class Calls:
    """Admits and stores calls; all of it in threads, since calls are few."""

    def __init__(
        self, settings: Settings, inbox: Inbox, decisions: Decisions, *, now: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._decisions = decisions
        self._now = now

    async def admit(self, head: RequestHead) -> CallAdmission:
        """Check wait, token, method and state.

        :raises UnknownWebhook: there is no such wait, the token is another one, or the task has a newer try
        :raises MethodNotAllowed: another method
        :raises WaitOver: the wait is over
        """
        found = await run_in_thread(partial(autocommit, partial(find_wait, wait_id=head.webhook_id)))
        given = hashlib.sha256(head.token.encode()).hexdigest()
        expected = (found and found.wait.token_sha256) or _NO_HASH
        # Compared where there is no wait too, so that both take the same time.
        if not hmac.compare_digest(given, expected) or found is None:
            raise UnknownWebhook
        if found.standing is Standing.GONE and await run_in_thread(
            partial(autocommit, partial(has_next_try, wait=found.wait))
        ):
            raise UnknownWebhook
        if head.method != "POST":
            raise MethodNotAllowed("POST")
        if not self._is_open(found):
            raise WaitOver
        return CallAdmission(head, found.wait)

    def _is_open(self, found: FoundWait) -> bool:
        """Whether a call is answered 2xx: the first one that comes in time, and its repetitions."""
        wait = found.wait
        if wait.delivery_id is not None and wait.state in (WaitState.WAITING, WaitState.RESUMED):
            return found.standing is not Standing.GONE
        may_resume = found.standing in (Standing.STARTING, Standing.PARKED)
        return wait.state == WaitState.WAITING and may_resume and self._now() < wait.deadline

    async def receive(self, admission: CallAdmission, request: InboundRequest) -> Response:
        """Commit an admitted call and answer it.

        :raises RequestError: its content cannot be used, or the wait has ended meanwhile
        """
        wait = admission.wait
        decide = partial(self._delivery, wait, request)
        try:
            delivery = await self._decisions.decide_call(wait.id, decide, len(request.body))
        except (ContentRefused, ResultRefused, ResultTooLarge) as error:
            await run_in_thread(partial(_note_refusal, wait, error.message))
            raise
        stored_id = await run_in_thread(partial(self._inbox.commit_call, delivery, wait))
        if stored_id is None:
            raise WaitOver
        is_duplicate = stored_id != delivery.id
        if is_duplicate:
            metrics.count("duplicates")
        else:
            metrics.count("accepted")
        return responses.call_accepted(stored_id, is_duplicate=is_duplicate)

    def _delivery(self, wait: Wait, request: InboundRequest) -> Delivery:
        delivery_id = new_delivery_id()
        content = inflate(
            request.body,
            request.combined_header("Content-Encoding"),
            limit_bytes=self._settings.max_body_bytes,
        )
        sources = DataSources(
            request,
            content,
            delivery_id=delivery_id,
            webhook=wait.task_name,
            budget=Budget(self._settings.max_expression_work),
        )
        return Delivery(
            id=delivery_id,
            webhook_id=WAIT_WEBHOOK_ID,
            webhook_name=wait.task_name[:WEBHOOK_NAME_CHARS],
            dag_id=wait.dag_id,
            state=State.ACCEPTED,
            response_status=202,
            custom_response=False,
            accepted_at=self._now(),
            conf=outcome_of(sources, result=wait.result, fail_when=wait.fail_when),
            # Unique, so that the database too admits one call of a wait; tries may have the same id.
            dedup_key=hashlib.sha256(f"{wait.id} {wait.token_sha256}".encode()).hexdigest(),
            next_attempt_at=request.received_at,
            wait_id=wait.id,
            **columns(request),
        )


def _note_refusal(wait: Wait, reason: str) -> None:
    with transaction() as connection:
        insert_waits(connection, [wait])
        note_refusal(connection, wait.id, reason)
