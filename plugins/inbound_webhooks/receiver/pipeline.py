"""Request -> answer, in the door's order, without any web framework and without any waiting of its own.

Before a byte of the body is read (:meth:`Receiver.admit`): declared length, limit of the address, webhook and
token, method, state, allowed addresses. With the body (:meth:`Receiver.receive`): proofs over the bytes as
received, limit of the webhook, decompression, handshake, filter, conf, commit, answer.

It runs on an event loop, at both doors; what would block that goes into a thread
(:func:`~inbound_webhooks.storage.threads.run_in_thread`).
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from urllib.parse import parse_qsl

from inbound_webhooks.airflow_bridge.dag_cache import DagCache
from inbound_webhooks.deliveries.store.base import DeliveryStore
from inbound_webhooks.deliveries.store.inbox import Inbox
from inbound_webhooks.deliveries.stored_request import MAX_IP_CHARS
from inbound_webhooks.errors import (
    BodyTooLarge,
    ContentRefused,
    DatabaseUnavailable,
    InternalError,
    KeyPending,
    KeyUnknown,
    LimitReached,
    RequestError,
    TooBusy,
    Unavailable,
    UnknownWebhook,
    VerificationFailed,
)
from inbound_webhooks.event import responses
from inbound_webhooks.event.content_encoding import inflate
from inbound_webhooks.event.handshakes.exchange import Handshake, HandshakeRequest
from inbound_webhooks.event.multidict import MultiDict
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import Response
from inbound_webhooks.event.verification.registry import verify
from inbound_webhooks.event.verification.scheme import SignedRequest
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.receiver.admission import Admission, RequestHead, matching_token
from inbound_webhooks.receiver.client_address import trusted_proxies
from inbound_webhooks.receiver.decision import Decision, decide, refuse, sources_of
from inbound_webhooks.receiver.limits import Limits
from inbound_webhooks.receiver.rejections import RejectionLog
from inbound_webhooks.records.credential import Credential
from inbound_webhooks.records.delivery import Rejection, State
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.settings import Settings, public_url
from inbound_webhooks.storage.credentials import note_use
from inbound_webhooks.storage.database import autocommit, transaction
from inbound_webhooks.storage.threads import run_in_thread
from inbound_webhooks.storage.webhooks import set_confirm_url
from inbound_webhooks.webhooks.compiled import CompiledWebhook, CompiledWebhookCache

log = logging.getLogger(__name__)

DAG_RECHECK_SECONDS = 2.0
LAST_USED_EVERY = timedelta(minutes=1)
MAX_USED = 100_000
"""Credentials whose last use is remembered here."""

LONG_BODY_BYTES = 32 * 1024
"""Above it a body is not looked at on an event loop, where all others would wait; nor is a compressed one."""

MAX_CHANGES_SEEN = 3
"""How often a request is judged afresh because its webhook changed before the commit."""

Secrets = Mapping[str, Sequence[str]]
"""Plain secrets by purpose, the newest first."""


def utc_now() -> datetime:
    """The time, with its zone."""
    return datetime.now(timezone.utc)


class Receiver:
    """Takes requests for every webhook, on one event loop; :meth:`decide` is for any thread."""

    def __init__(
        self, settings: Settings, visits: DeliveryStore, *, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.settings = settings
        self.visits = visits
        self.inbox = Inbox(self.visits, store_bodies=settings.store_bodies)
        self.rejections = RejectionLog()
        self.proxies = trusted_proxies(settings)
        self._public_url = public_url(settings)
        self._limits = Limits(settings)
        self._definitions = CompiledWebhookCache()
        self._dags = DagCache(recheck_seconds=DAG_RECHECK_SECONDS)
        self._used: dict[tuple[str, int], datetime] = {}
        self._now = now

    async def admit(self, head: RequestHead) -> Admission:
        """Check what can be checked before the body is read.

        :raises RequestError: the request is not admitted; where its token was right that is noted
        """
        if (head.declared_length or 0) > self.settings.max_body_bytes:
            raise BodyTooLarge(self.settings.max_body_bytes)
        if self._limits.are_shared:
            await run_in_thread(partial(self._limits.admit_address, head.source_ip))
        else:
            self._limits.admit_address(head.source_ip)
        return self._held_admission(head) or await self.confirm(head)

    async def confirm(self, head: RequestHead) -> Admission:
        """Check webhook, token, method, state and address by what the database says now.

        :raises RequestError: the request is not admitted; where its token was right that is noted
        """
        admission = await self._authenticate(head)
        try:
            admission.check()
        except RequestError as error:
            self.note_rejection(admission, error)
            raise
        return admission

    async def receive(self, admission: Admission, request: InboundRequest) -> Response:
        """Answer an admitted request; a POST is committed before this returns 2xx."""
        try:
            if request.method == "POST":
                metrics.count("received")
                return await self._accept(admission, request)
            return await self._verify(admission, request)
        except RequestError as error:
            metrics.count_rejection(error)
            self.note_rejection(admission, error)
            return responses.rejected(error)
        except Exception as error:  # noqa: BLE001 - what we did not foresee is our fault, not the sender's
            log_unexpected_error(error)
            metrics.count_rejection(InternalError())
            return responses.rejected(InternalError())

    def decide(
        self, definition: CompiledWebhook, request: InboundRequest, *, delivery_id: str | None = None
    ) -> Decision:
        """What would be stored and answered with the DAG's params as they are; writes nothing, and blocks.

        :param delivery_id: of a stored delivery that is judged again
        :raises RequestError: it would be rejected
        """
        try:
            content = self._inflated(request)
        except ContentRefused as error:
            return refuse(definition, request, error, delivery_id=delivery_id)
        dag = self._dags.get(definition.webhook.dag_id, autocommit)
        params = None if dag is None else dag.params
        return decide(definition, request, content, params=params, delivery_id=delivery_id)

    def note_rejection(self, admission: Admission, error: RequestError) -> None:
        """Keep a rejection of a request whose token was right and still is; our own faults are none."""
        if isinstance(error, UnknownWebhook):
            return
        if isinstance(error, Unavailable) and not isinstance(error, LimitReached | KeyPending):
            return
        self.rejections.add(
            Rejection(
                webhook_id=admission.webhook.id,
                rejected_at=self._now(),
                source_ip=admission.head.source_ip[:MAX_IP_CHARS],
                method=admission.head.method[:20],
                status=responses.status_of(error),
                reason=error.message,
                key_url=error.key_url if isinstance(error, KeyPending) else None,
            )
        )

    def _held_admission(self, head: RequestHead) -> Admission | None:
        """The admission of a POST by a webhook as it was a moment ago; None where that would not let it in.

        A handshake answers without a commit, so it needs the webhook as it is.
        """
        if head.method != "POST":
            return None
        found = self.visits.held(head.webhook_id)
        if found is None or found[0].handshake is not None:
            matching_token((), head.token)  # nobody hears from the time it takes which ids there are
            return None
        try:
            admission = self._admission(head, *found, is_fresh=False)
            admission.check()
        except RequestError:
            return None
        return admission

    async def _authenticate(self, head: RequestHead) -> Admission:
        webhook, credentials = await self.visits.find(head.webhook_id) or (None, ())
        return self._admission(head, webhook, credentials)

    def _admission(
        self,
        head: RequestHead,
        webhook: Webhook | None,
        credentials: Sequence[Credential],
        *,
        is_fresh: bool = True,
    ) -> Admission:
        now = self._now()
        tokens: list[Credential] = []
        secrets: list[Credential] = []
        for held in credentials:
            if held.is_valid(now):
                (secrets if held.purpose else tokens).append(held)
        token = matching_token(tokens, head.token)
        if webhook is None or token is None:
            raise UnknownWebhook
        return Admission(head, self._definitions.get(webhook), token, tuple(secrets), is_fresh)

    async def _verify(self, admission: Admission, request: InboundRequest) -> Response:
        if self._use_is_due(admission.token):
            await self._note_use(admission.token)
        if (handshake := admission.definition.handshake) is not None:
            response = await self._handshake(handshake, admission, request, b"", admission.plain_secrets())
            if response is not None:
                return response
        if request.method == "OPTIONS":
            return responses.options()
        sources = sources_of(admission.definition, request, content=b"", delivery_id="")
        return responses.verified(admission.definition, sources)

    async def _accept(self, admission: Admission, request: InboundRequest) -> Response:
        for _ in range(MAX_CHANGES_SEEN):
            try:
                response = await self._accept_as_it_is(admission, request)
            except DatabaseUnavailable:
                raise
            except RequestError:
                if admission.is_fresh:
                    raise
                response = None
            if response is not None:
                return response
            admission = await self._authenticate(admission.head)
            admission.check()
        raise TooBusy("The webhook is being changed.")

    async def _accept_as_it_is(self, admission: Admission, request: InboundRequest) -> Response | None:
        """Answer a POST; None, and nothing written, where the webhook has changed meanwhile."""
        secrets = admission.plain_secrets()
        if (handshake := admission.definition.handshake) is not None:
            response = await self._handshake(
                handshake, admission, request, b"", secrets, before_verification=True
            )
            if response is not None:
                return response
        used = await self._prove(admission, request, secrets)
        response = await self._judge(admission, request, secrets)
        if response is not None:
            for credential in (admission.token, *used):
                if self._use_is_due(credential):
                    await self._note_use(credential)
        return response

    async def _prove(
        self, admission: Admission, request: InboundRequest, secrets: Secrets
    ) -> list[Credential]:
        """Check the proofs, then count the request; return the secrets that fitted."""
        definition = admission.definition
        fitted = self._fitting(admission, request, secrets) if definition.verification else {}
        handshake = definition.handshake
        if handshake is not None and handshake.is_signing_oracle(request.body):
            raise VerificationFailed(
                "The body is a text that the handshake signs for everyone who knows the URL."
            )
        if self._limits.are_shared:
            await run_in_thread(partial(self._limits.admit_webhook, admission.webhook))
        else:
            self._limits.admit_webhook(admission.webhook)
        return [admission.secret(purpose, index) for purpose, index in fitted.items()]

    def _fitting(self, admission: Admission, request: InboundRequest, secrets: Secrets) -> dict[str, int]:
        signed = SignedRequest(
            method=request.method,
            url=self._url(admission.head, request.query_string),
            query_string=request.query_string,
            headers=request.headers,
            body=request.body,
        )
        try:
            return verify(admission.definition.verification, signed, secrets, self._now())
        except KeyUnknown as error:
            if error.key_url in {held.source_url for held in admission.secrets}:
                raise
            raise KeyPending(error.key_url) from None

    def _url(self, head: RequestHead, query_string: str) -> str:
        """The URL as the sender has it: the one that we gave out, whatever proxies made of it."""
        query = f"?{query_string}" if query_string else ""
        return f"{self._public_url}/webhook/{head.webhook_id}/{head.token}{query}"

    async def _judge(
        self, admission: Admission, request: InboundRequest, secrets: Secrets
    ) -> Response | None:
        """Answer a proved request; None, and nothing written, where the webhook has changed meanwhile."""
        definition = admission.definition
        content = request.body
        if request.header("Content-Encoding"):
            try:
                content = await run_in_thread(partial(self._inflated, request))
            except ContentRefused as error:
                return await self._commit(admission, request, b"", refuse(definition, request, error))
        if definition.handshake is not None:
            response = await self._handshake(definition.handshake, admission, request, content, secrets)
            if response is not None:
                return response
        dag_id = definition.webhook.dag_id
        if self._dags.is_due(dag_id):
            dag = await run_in_thread(partial(self._dags.refresh, dag_id, autocommit))
        else:
            dag = self._dags.held(dag_id)
        params = None if dag is None else dag.params
        if len(content) > LONG_BODY_BYTES:
            look = partial(decide, definition, request, content, params=params)
            decision = await run_in_thread(look)
        else:
            decision = decide(definition, request, content, params=params)
        return await self._commit(admission, request, content, decision)

    async def _commit(
        self, admission: Admission, request: InboundRequest, content: bytes, decision: Decision
    ) -> Response | None:
        if decision.delivery.state == State.ACCEPTED:
            if self._limits.backlog_is_due(admission.webhook):
                await run_in_thread(partial(self._limits.admit_backlog, admission.webhook))
            else:
                self._limits.admit_backlog(admission.webhook)
        stored_id = await self.inbox.commit(decision.delivery, admission.webhook.version)
        if stored_id is None:
            return None
        if stored_id == decision.delivery.id:
            _tally(decision)
            return decision.response
        metrics.count("duplicates")
        sources = sources_of(admission.definition, request, content, stored_id)
        sources.event_type = decision.delivery.event_type or ""
        return responses.duplicate(admission.definition, sources, decision.response.status, stored_id)

    async def _handshake(
        self,
        handshake: Handshake,
        admission: Admission,
        request: InboundRequest,
        content: bytes,
        secrets: Secrets,
        *,
        before_verification: bool = False,
    ) -> Response | None:
        if request.method not in handshake.methods:
            return None
        if request.method == "POST" and handshake.before_verification != before_verification:
            return None
        answered = handshake.response(
            HandshakeRequest(
                method=request.method,
                query=MultiDict(parse_qsl(request.query_string, keep_blank_values=True)),
                headers=MultiDict(request.headers, ignore_case=True),
                body=content,
                secrets=secrets,
            )
        )
        if answered is None:
            return None
        if answered.confirm_url is not None:
            await run_in_thread(partial(_keep_confirm_url, admission.webhook.id, answered.confirm_url))
        if answered.used is not None:
            secret = admission.secret(*answered.used)
            if self._use_is_due(secret):
                await self._note_use(secret)
        return answered.response

    def _inflated(self, request: InboundRequest) -> bytes:
        encoding = request.combined_header("Content-Encoding")
        return inflate(request.body, encoding, limit_bytes=self.settings.max_body_bytes)

    def _use_is_due(self, credential: Credential) -> bool:
        """Whether it is a minute since it was written when a credential was used."""
        last_used_at = self._used.get((credential.purpose, credential.id), credential.last_used_at)
        return last_used_at is None or self._now() - last_used_at >= LAST_USED_EVERY

    async def _note_use(self, credential: Credential) -> None:
        """Write when a credential was used."""
        now = self._now()
        if len(self._used) >= MAX_USED:
            self._used.clear()
        self._used[credential.purpose, credential.id] = now
        await run_in_thread(partial(_touch, credential, now))


def _touch(credential: Credential, now: datetime) -> None:
    try:
        autocommit(lambda connection: note_use(connection, credential, now))
    except DatabaseUnavailable:
        return  # logged there; the request itself is done, and its answer must say so


def _keep_confirm_url(webhook_id: str, url: str) -> None:
    with transaction() as connection:
        set_confirm_url(connection, webhook_id, url)


def _tally(decision: Decision) -> None:
    if decision.refusal is not None:
        metrics.count_rejection(decision.refusal)
    else:
        metrics.count(decision.delivery.state)


def log_unexpected_error(error: Exception) -> None:
    """Log where an unforeseen error happened; its message may quote what the sender sent."""
    places = "".join(traceback.format_tb(error.__traceback__))
    log.error("receiver fault action=receiver_fault kind=%s\n%s", type(error).__name__, places)
