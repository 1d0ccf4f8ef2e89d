"""The endpoint's steps, in their order, without any web framework.

Before the body is read (:meth:`Receiver.admit`): declared length, limit per address, webhook and token,
method, state, allowed addresses. With the body (:meth:`Receiver.receive`): verification over the bytes as
received, limit per webhook, decompression, handshake, filter and conf, commit, response.

It runs on an event loop, at both endpoints; blocking work goes to a thread.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import starmap

from msgspec.structs import replace

from inbound_webhooks.airflow_bridge.dag_cache import DagCache
from inbound_webhooks.deliveries.judging import Judging
from inbound_webhooks.deliveries.store.base import DeliveryStore
from inbound_webhooks.deliveries.store.inbox import Inbox
from inbound_webhooks.deliveries.stored_request import MAX_IP_CHARS
from inbound_webhooks.errors import (
    BodyTooLarge,
    ClientAddressReplaced,
    DatabaseUnavailable,
    InternalError,
    KeyPending,
    LimitReached,
    RefusedTooOften,
    RequestError,
    SecretMissing,
    TooBusy,
    Unavailable,
    UnknownWebhook,
    WebhookDisabled,
)
from inbound_webhooks.event import responses
from inbound_webhooks.event.fan_out import with_duplicates
from inbound_webhooks.event.grouping import grouped_state
from inbound_webhooks.event.judge import (
    Outcome,
    Secrets,
    Verdict,
    Verified,
)
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import Response
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.monitoring.environment import ENVIRONMENT
from inbound_webhooks.monitoring.loop import log_unexpected_error
from inbound_webhooks.receiver.admission import (
    Admission,
    RequestHead,
    check_state,
    credentials_of,
    matching_token,
)
from inbound_webhooks.receiver.calls import CallAdmission, Calls
from inbound_webhooks.receiver.captures import Captures
from inbound_webhooks.receiver.client_address import (
    REPLACED,
    REPLACED_SECONDS,
    UNKNOWN,
    trusted_proxies,
)
from inbound_webhooks.receiver.decisions import Decisions
from inbound_webhooks.receiver.group_limit import GroupLimit
from inbound_webhooks.receiver.last_use import LastUse
from inbound_webhooks.receiver.limits import Limits
from inbound_webhooks.receiver.refused_budget import RefusedBudget
from inbound_webhooks.receiver.rejections import RejectionLog
from inbound_webhooks.receiver.response_log import ResponseLog
from inbound_webhooks.receiver.results import UNFINISHED_STATUS, Pending, Results, pending
from inbound_webhooks.receiver.user_slots import UserSlots
from inbound_webhooks.records.credential import plain_secrets
from inbound_webhooks.records.delivery import Delivery, Rejection, State
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.settings import Settings, public_url
from inbound_webhooks.storage.database import autocommit, transaction
from inbound_webhooks.storage.deliveries import stored_children
from inbound_webhooks.storage.encryption import decrypt
from inbound_webhooks.storage.threads import run_in_thread
from inbound_webhooks.storage.webhooks import set_confirm_url
from inbound_webhooks.webhooks.compiled import CompiledWebhook, CompiledWebhookCache
from inbound_webhooks.webhooks.listening import is_listening

DAG_RECHECK_SECONDS = 2.0

MAX_ATTEMPTS = 3
"""How often a request is judged because its webhook changed before the commit."""

_RECORDED = (LimitReached, KeyPending, SecretMissing, ClientAddressReplaced)
_ADMITTED = (State.ACCEPTED, State.HELD, *State.GROUPED)
"""First states of accepted deliveries."""

_NO_SECRETS: Secrets = {}


@dataclass
class Heard:
    """Why a request that a user listens for is rejected."""

    error: RequestError | None = None


class Receiver:
    """Receives requests for every webhook, on one event loop."""

    def __init__(
        self, settings: Settings, store: DeliveryStore, *, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.settings = settings
        self.store = store
        self.inbox = Inbox(store, store_bodies=settings.store_bodies)
        self.rejections = RejectionLog()
        self.responses = ResponseLog()
        self.proxies = trusted_proxies(settings)
        self._dags = DagCache(recheck_seconds=DAG_RECHECK_SECONDS)
        self.judging = Judging(
            self._dags,
            public_url=public_url(settings),
            max_body_bytes=settings.max_body_bytes,
            max_conf_items=settings.max_conf_items,
            max_items=settings.max_items_per_request,
        )
        self.back_tests = UserSlots(settings.max_concurrent_back_tests, per_user=1)
        self.searches = UserSlots(settings.max_concurrent_searches, per_user=1)
        previews = settings.max_concurrent_previews
        self.previews = UserSlots(previews, per_user=max(previews // 2, 1))
        self._limits = Limits(settings)
        self._groups = GroupLimit(settings.max_grouped_deliveries)
        self._decisions = Decisions(settings, self._dags)
        self.calls = Calls(settings, self.inbox, self._decisions, now=now)
        self.results = Results(settings, self._decisions, self.responses)
        self._refused = RefusedBudget(settings)
        self._compiled = CompiledWebhookCache()
        self._last_use = LastUse(now)
        self.captures = Captures(settings, now=now)
        self._now = now
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop of an api-server's endpoint; other threads send test events to it."""

    async def close(self) -> None:
        """End the waits, write what was captured, and close the connections."""
        await self.results.waiters.close()
        await self.captures.close()
        await self.store.close()

    def admit_replay(self, webhook: Webhook) -> None:
        """Count a job's replay like a request whose sender is verified; blocks.

        :raises BacklogFull: too many deliveries wait for their run, or are held
        :raises GroupsFull: too many deliveries of the webhook wait for others of their group
        :raises RateLimited: the webhook got too many requests this second
        """
        if webhook.holds_new:
            if not self._limits.admits_held(webhook):
                self._limits.count_held(webhook)
        elif grouped_state(webhook):
            if not self._groups.admits(webhook.id):
                self._groups.count(webhook.id)
        elif not self._limits.admits_backlog(webhook):
            self._limits.count_backlog(webhook)
        self._limits.admit_webhook(webhook)

    async def admit(self, head: RequestHead, *, from_cache: bool = True) -> Admission | CallAdmission:
        """Check declared length, limit per address, webhook or wait, token, method, state and address.

        :param from_cache: whether a webhook that was read within the last second will do for a POST
        :raises RequestError: the request is not admitted
        """
        if (head.declared_length or 0) > self.settings.max_body_bytes:
            raise BodyTooLarge(self.settings.max_body_bytes)
        await self._admit_address(head)
        if head.is_call:
            call = await self.calls.admit(head)
            _report_source(head)
            return call
        cached = self._cached_admission(head) if from_cache else None
        return cached or await self.confirm(head)

    async def find_result(self, head: RequestHead) -> CompiledWebhook:
        """The webhook of the delivery whose result is requested.

        :raises RequestError: the delivery is unknown, the token wrong, or there are too many requests
        """
        await self._admit_address(head)
        webhook_id = await self.results.webhook_of(head)
        _report_source(head)
        found = await self.store.find(webhook_id)
        if found is None:
            raise UnknownWebhook
        return await self._compiled.get(found[0])

    async def result(self, compiled: CompiledWebhook, head: RequestHead) -> Response:
        """Answer a request to the URL of a result, whose token is right.

        :raises RequestError: it is not admitted, or the result cannot be read now
        """
        try:
            check_state(compiled, head.source_ip)
            return await self.results.at_url(compiled, head)
        except RequestError as error:
            error.webhook_id = compiled.webhook.id
            raise

    async def _admit_address(self, head: RequestHead) -> None:
        if self._limits.are_shared:
            await run_in_thread(partial(self._limits.admit_address, head.source_ip))
        else:
            self._limits.admit_address(head.source_ip)

    async def confirm(self, head: RequestHead) -> Admission:
        """Check webhook, token, method, state and address against the database.

        :raises RequestError: the request is not admitted
        """
        known = credentials_of(head, await self.store.find(head.webhook_id), self._now())
        _report_source(head)
        compiled = await self._compiled.get(known.webhook)
        admission = Admission(head, compiled, known.token, known.secrets, is_fresh=True)
        try:
            admission.check()
        except RequestError as error:
            error.webhook_id = admission.compiled.webhook.id
            if isinstance(error, WebhookDisabled) and is_listening(known.webhook, self._now()):
                return replace(admission, refusal=error)
            raise
        return admission

    async def receive(
        self, admission: Admission | CallAdmission, request: InboundRequest, heard: Heard | None = None
    ) -> Response | Pending:
        """Answer an admitted request; a POST is committed before this returns 2xx, or a response that waits.

        :param heard: learns why the request is rejected
        """
        if isinstance(admission, CallAdmission):
            return await self._receive_call(admission, request)
        if heard is None and admission.compiled.webhook.listening_until is not None:
            return await self._listen(admission, request)
        if request.method == "POST":
            metrics.count("received")
        try:
            for _ in range(MAX_ATTEMPTS):
                response: Response | Pending | None
                try:
                    response = await self._process(admission, request)
                except (DatabaseUnavailable, TooBusy):
                    raise
                except RequestError:
                    if admission.is_fresh:
                        raise
                    response = None  # the cached webhook may be out of date: judge with the current one
                if response is not None:
                    return response
                admission = await self.confirm(admission.head)
                # The body is read for a user who listens; nothing else comes of it.
                if admission.refusal is not None:
                    raise admission.refusal
            raise TooBusy("The webhook is being changed.")
        except RequestError as error:
            error.webhook_id = "" if isinstance(error, UnknownWebhook) else admission.compiled.webhook.id
            if heard is not None:
                heard.error = error
            return self.reject(error, admission.head)
        except Exception as error:  # noqa: BLE001 - an unforeseen failure is ours, not the sender's
            log_unexpected_error("request", error, action="endpoint_error")
            return self.reject(InternalError(), None)

    async def _receive_call(self, admission: CallAdmission, request: InboundRequest) -> Response:
        """Answer the call of a waiting task."""
        metrics.count("received")
        try:
            return await self.calls.receive(admission, request)
        except RequestError as error:
            return self.reject(error, admission.head)
        except Exception as error:  # noqa: BLE001 - an unforeseen failure is ours, not the sender's
            log_unexpected_error("call", error, action="endpoint_error")
            return self.reject(InternalError(), None)

    async def _listen(self, admission: Admission, request: InboundRequest) -> Response | Pending:
        """Answer a request for which a user listens, and show it unless its token was revoked meanwhile."""
        heard = Heard(admission.refusal)
        response: Response | Pending
        if admission.refusal is not None:
            response = self.reject(admission.refusal, admission.head)
        else:
            response = await self.receive(admission, request, heard)
        if not isinstance(heard.error, UnknownWebhook):
            reason = None if heard.error is None else heard.error.message
            status = UNFINISHED_STATUS if isinstance(response, Pending) else response.status
            self.captures.add(admission.compiled, request, status=status, reason=reason)
        return response

    def reject(self, error: RequestError, head: RequestHead | None) -> Response:
        """Count, record and answer a rejection; it is recorded where the error names a webhook.

        Failures on our side are not recorded, except where the sender has to wait for a limit, a key, a
        secret or a change of the server's options.
        """
        metrics.count_rejection(error)
        is_ours = isinstance(error, Unavailable) and not isinstance(error, _RECORDED)
        if error.webhook_id and head is not None and not is_ours:
            self.rejections.add(
                Rejection(
                    webhook_id=error.webhook_id,
                    rejected_at=self._now(),
                    source_ip=head.source_ip[:MAX_IP_CHARS],
                    method=head.method[:20],
                    status=responses.status_of(error),
                    reason=error.message,
                    key_url=error.key_url if isinstance(error, KeyPending) else None,
                )
            )
        return responses.rejected(error)

    async def _process(self, admission: Admission, request: InboundRequest) -> Response | Pending | None:
        """Take a request through the steps; None, and nothing written, where the webhook has changed.

        :raises RequestError: it is rejected
        """
        compiled, secrets, is_post = admission.compiled, _NO_SECRETS, request.method == "POST"
        if admission.secrets and (is_post or compiled.rules.handshake is not None):
            secrets = plain_secrets(admission.secrets, decrypt)
        if not is_post and self._last_use.is_due(admission.token):
            await self._last_use.write(admission.token)
        authenticate = partial(
            self.judging.authenticate,
            compiled,
            request,
            secrets,
            self._now(),
            token=admission.head.token,
            fetched_from=admission.fetched_from if secrets else (),
        )
        verdict: Verified | Verdict = await self._decisions.authenticate(compiled, request, authenticate)
        delivery: Delivery | None = None
        children: Sequence[Delivery] = ()
        used = list(starmap(admission.secret, verdict.used.items()))
        if isinstance(verdict, Verified):
            if is_post:
                used.append(admission.token)
                if compiled.webhook.max_per_second is not None:
                    await self._limit_webhook(compiled.webhook)
            verdict, delivery, children = await self._decisions.decide(compiled, request, secrets)
        if verdict.outcome == Outcome.REJECTED and verdict.error is not None:
            raise verdict.error
        if verdict.confirm_url is not None:
            await run_in_thread(partial(_keep_confirm_url, compiled.webhook.id, verdict.confirm_url))
        response: Response | Pending | None = verdict.response
        if delivery is not None:
            is_fresh = admission.is_fresh
            if verdict.outcome == Outcome.SPLIT:
                response = await self._commit_events(compiled, request, verdict, delivery, children)
            else:
                response = await self._commit(compiled, request, verdict, delivery, is_fresh=is_fresh)
        if response is not None:
            for credential in used:
                if self._last_use.is_due(credential):
                    await self._last_use.write(credential)
        return response

    async def _limit_webhook(self, webhook: Webhook) -> None:
        if self._limits.are_shared:
            await run_in_thread(partial(self._limits.admit_webhook, webhook))
        else:
            self._limits.admit_webhook(webhook)

    def is_slow(self, webhook_id: str, body_bytes: int) -> bool:
        """Whether a request is known to wait for its turn: to be decided about, or for a change to end."""
        return self._decisions.is_costly(webhook_id, body_bytes) or self.store.is_waiting(webhook_id)

    def slots_of_decisions(self, webhook_id: str) -> int:
        """How many long decisions of a webhook run, wait, or have ended a moment ago."""
        return self._decisions.requests_of(webhook_id)

    async def _commit(
        self,
        compiled: CompiledWebhook,
        request: InboundRequest,
        verdict: Verdict,
        made: Delivery,
        *,
        is_fresh: bool,
    ) -> Response | Pending | None:
        """Store the delivery; None where the webhook has changed meanwhile."""
        webhook = compiled.webhook
        delivery: Delivery | None = made
        if verdict.outcome != Outcome.ACCEPTED:
            delivery = self._refused.limited(made)
        else:
            await self._admit(webhook, made)
        if delivery is None:
            return self._not_stored(verdict, is_fresh=is_fresh)
        stored_id = await self.inbox.commit(delivery, webhook.version)
        if stored_id is None:
            return None
        waiting = None
        if verdict.wait_seconds:
            waiting = pending(compiled, delivery, stored_id, verdict, is_held=delivery.state == State.HELD)
        if stored_id == verdict.delivery_id:
            if delivery.custom_response and waiting is None:
                self.responses.add(delivery, verdict.response)
            if verdict.error is not None:
                metrics.count_rejection(verdict.error)
            else:
                metrics.count(delivery.state)
            return waiting or verdict.response
        metrics.count("duplicates")
        return waiting or await self._decisions.repeat(compiled, request, verdict, stored_id)

    async def _commit_events(
        self,
        compiled: CompiledWebhook,
        request: InboundRequest,
        verdict: Verdict,
        parent: Delivery,
        children: Sequence[Delivery],
    ) -> Response | None:
        """Store a delivery that is several events, with its children; None where the webhook has changed."""
        await self._admit_events(compiled, children)
        children = self._refused.fitting(children)
        stored_id = await self.inbox.commit(parent, compiled.webhook.version, children)
        if stored_id is None:
            return None
        if stored_id != parent.id:
            metrics.count("duplicates")
            return await self._decisions.repeat(compiled, request, verdict, stored_id)
        if any(child.dedup_key for child in children):
            find = partial(stored_children, parent_id=parent.id)
            stored = frozenset(await run_in_thread(partial(autocommit, find)))
            dropped = {child.id for child in children if child.id not in stored}
            metrics.count("duplicates", len(dropped))
            children = [child for child in children if child.id in stored]
            verdict = with_duplicates(compiled.rules, verdict, dropped)
        for child in verdict.children:
            if child.verdict.error is not None:
                metrics.count_rejection(child.verdict.error)
        for each in (parent, *children):
            if each.state != State.REFUSED:
                metrics.count(each.state)
        if parent.custom_response:
            self.responses.add(parent, verdict.response)
        return verdict.response

    async def _admit_events(self, compiled: CompiledWebhook, children: Sequence[Delivery]) -> None:
        """Count the accepted children of a request towards the limits of their webhooks.

        :raises BacklogFull: too many of one of the webhooks would wait
        """
        webhooks = {target.webhook.id: target.webhook for target in compiled.targets}
        # Those of a webhook are all in the same state, or refused, or filtered.
        accepted = [child for child in children if child.state in _ADMITTED]
        numbers = Counter(child.webhook_id for child in accepted)
        for child in {child.webhook_id: child for child in accepted}.values():
            await self._admit(webhooks[child.webhook_id], child, numbers[child.webhook_id])

    async def _admit(self, webhook: Webhook, made: Delivery, number: int = 1) -> None:
        """Count deliveries in the state of this one towards the limit that they have.

        :raises BacklogFull: too many would wait for their run, or be held
        :raises GroupsFull: too many would wait for others of their group
        """
        if made.state == State.HELD:
            if not self._limits.admits_held(webhook, number):
                await run_in_thread(partial(self._limits.count_held, webhook, number))
        elif made.group_key is not None:
            if not self._groups.admits(webhook.id, number):
                await run_in_thread(partial(self._groups.count, webhook.id, number))
        else:
            if not self._limits.admits_backlog(webhook, number):
                await run_in_thread(partial(self._limits.count_backlog, webhook, number))
            if number > 1:
                self._limits.admit_many(webhook, number)

    def _not_stored(self, verdict: Verdict, *, is_fresh: bool) -> Response | None:
        """The response to a refused or filtered request that is counted and leaves no row.

        No commit checks the version here, so a cached webhook has to be read first.

        :raises RefusedTooOften: the response would be 2xx although the event is lost
        """
        if not is_fresh:
            return None
        metrics.count("not_stored")
        if verdict.error is not None:
            if verdict.response.status < 300:
                raise RefusedTooOften
            metrics.count_rejection(verdict.error)
        else:
            metrics.count(verdict.outcome)
        return verdict.response

    def _cached_admission(self, head: RequestHead) -> Admission | None:
        """The admission of a POST by a cached webhook; None where that would not admit it.

        A handshake is answered without a commit, so it needs the current webhook.
        """
        if head.method != "POST":
            return None
        found = self.store.cached(head.webhook_id)
        if found is None or found[0].handshake is not None:
            matching_token((), head.token)  # keeps the time independent of which ids are cached
            return None
        try:
            known = credentials_of(head, found, self._now())
            _report_source(head)
            compiled = self._compiled.cached(known.webhook)
            if compiled is None:
                return None
            admission = Admission(head, compiled, known.token, known.secrets, is_fresh=False)
            admission.check()
        except RequestError:
            return None
        return admission


def _report_source(head: RequestHead) -> None:
    """Report where the server replaces addresses; the token of the request was found to be right.

    Without a token a stranger could raise the alarm.
    """
    if head.source_ip == UNKNOWN:
        ENVIRONMENT.report(REPLACED, seconds=REPLACED_SECONDS)


def _keep_confirm_url(webhook_id: str, url: str) -> None:
    with transaction() as connection:
        set_confirm_url(connection, webhook_id, url)
