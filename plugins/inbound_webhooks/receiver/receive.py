"""Request -> answer, in the door's order, without any web framework.

Before a byte of the body is read (:meth:`Receiver.admit`): declared length, limit of the address, webhook and
token, method, state, allowed addresses. With the body (:meth:`Receiver.receive`): proofs over the bytes as
received, limit of the webhook, decompression, handshake, filter, conf, commit, answer.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl

from inbound_webhooks import metrics
from inbound_webhooks.errors import (
    BodyTooLarge,
    ContentRefused,
    DatabaseUnavailable,
    KeyPending,
    KeyUnknown,
    LimitReached,
    NotProved,
    ReceiverFault,
    RequestError,
    TooBusy,
    Unavailable,
    UnknownWebhook,
)
from inbound_webhooks.event.content_encoding import inflate
from inbound_webhooks.event.handshake import HandshakeRequest
from inbound_webhooks.event.proof import SignedRequest
from inbound_webhooks.event.request import InboundRequest, Values
from inbound_webhooks.event.response import Answer
from inbound_webhooks.event.signature import check_proofs
from inbound_webhooks.receiver import answers
from inbound_webhooks.receiver.admission import Admission, RequestHead, matching_token
from inbound_webhooks.receiver.decision import Decision, decide, refuse, sources_of
from inbound_webhooks.receiver.definition import Definition, DefinitionCache
from inbound_webhooks.receiver.inbox import Inbox
from inbound_webhooks.receiver.limits import Limits
from inbound_webhooks.receiver.rejections import RejectionLog
from inbound_webhooks.receiver.source import trusted_proxies
from inbound_webhooks.receiver.stored_request import MAX_IP_CHARS
from inbound_webhooks.settings import Settings, public_url
from inbound_webhooks.storage import queries
from inbound_webhooks.storage.dags import DagCache
from inbound_webhooks.storage.database import at_once, transaction
from inbound_webhooks.storage.queries import Credential, Rejection, State

log = logging.getLogger(__name__)

DAG_RECHECK_SECONDS = 2.0
LAST_USED_EVERY = timedelta(minutes=1)
MAX_CHANGES_SEEN = 3
"""How often a request is judged afresh because its webhook changed before the commit."""

Secrets = Mapping[str, Sequence[str]]
"""Plain secrets by purpose, the newest first."""


def utc_now() -> datetime:
    """The time, with its zone."""
    return datetime.now(timezone.utc)


class Receiver:
    """Takes requests for every webhook; safe to call from many threads."""

    def __init__(self, settings: Settings, *, now: Callable[[], datetime] = utc_now) -> None:
        self.settings = settings
        self.inbox = Inbox(store_bodies=settings.store_bodies)
        self.rejections = RejectionLog()
        self.proxies = trusted_proxies(settings)
        self._public_url = public_url(settings)
        self._limits = Limits(settings)
        self._definitions = DefinitionCache()
        self._dags = DagCache(recheck_seconds=DAG_RECHECK_SECONDS)
        self._now = now

    def admit(self, head: RequestHead) -> Admission:
        """Check what can be checked before the body is read.

        :raises RequestError: the request is not admitted; where its token was right that is noted
        """
        if (head.declared_length or 0) > self.settings.max_body_bytes:
            raise BodyTooLarge(self.settings.max_body_bytes)
        self._limits.admit_address(head.source_ip)
        admission = self._authenticate(head)
        try:
            admission.check()
        except RequestError as error:
            self.note_rejection(admission, error)
            raise
        return admission

    def receive(self, admission: Admission, request: InboundRequest) -> Answer:
        """Answer an admitted request; a POST is committed before this returns 2xx."""
        try:
            return self._answer(admission, request)
        except Exception as error:  # noqa: BLE001 - what we did not foresee is our fault, not the sender's
            log_fault(error)
            metrics.count_rejection(ReceiverFault())
            return answers.rejected(ReceiverFault())

    def _answer(self, admission: Admission, request: InboundRequest) -> Answer:
        try:
            if request.method == "POST":
                metrics.count("received")
                return self._accept(admission, request)
            return self._verify(admission, request)
        except RequestError as error:
            metrics.count_rejection(error)
            self.note_rejection(admission, error)
            return answers.rejected(error)

    def decide(
        self, definition: Definition, request: InboundRequest, *, delivery_id: str | None = None
    ) -> Decision:
        """What would be stored and answered with the DAG's params as they are; writes nothing.

        :param delivery_id: of a stored delivery that is judged again
        :raises RequestError: it would be rejected
        """
        try:
            content = self._inflated(request)
        except ContentRefused as error:
            return refuse(definition, request, error, delivery_id=delivery_id)
        return self._decide(definition, request, content, delivery_id)

    def note_rejection(self, admission: Admission, error: RequestError) -> None:
        """Keep a rejection of a request whose token was right; our own faults are none."""
        if isinstance(error, Unavailable) and not isinstance(error, LimitReached | KeyPending):
            return
        self.rejections.add(
            Rejection(
                webhook_id=admission.webhook.id,
                rejected_at=self._now(),
                source_ip=admission.head.source_ip[:MAX_IP_CHARS],
                method=admission.head.method[:20],
                status=answers.status_of(error),
                reason=error.message,
                key_url=error.key_url if isinstance(error, KeyPending) else None,
            )
        )

    def _authenticate(self, head: RequestHead) -> Admission:
        found = at_once(lambda connection: queries.find_with_credentials(connection, head.webhook_id))
        webhook, credentials = found or (None, [])
        now = self._now()
        valid = [credential for credential in credentials if credential.is_valid(now)]
        token = matching_token([held for held in valid if not held.purpose], head.token)
        if webhook is None or token is None:
            raise UnknownWebhook
        secrets = tuple(held for held in valid if held.purpose)
        return Admission(head, self._definitions.get(webhook), token, secrets)

    def _verify(self, admission: Admission, request: InboundRequest) -> Answer:
        self._note_use(admission.token)
        if (answer := self._handshake(admission, request, b"", admission.plain_secrets())) is not None:
            return answer
        if request.method == "OPTIONS":
            return answers.options()
        sources = sources_of(admission.webhook, request, content=b"", delivery_id="")
        return answers.verified(admission.definition, sources)

    def _accept(self, admission: Admission, request: InboundRequest) -> Answer:
        for _ in range(MAX_CHANGES_SEEN):
            secrets = admission.plain_secrets()
            if (answer := self._handshake(admission, request, b"", secrets, before_proof=True)) is not None:
                return answer
            used = self._prove(admission, request, secrets)
            answer = self._judge(admission, request, secrets)
            if answer is not None:
                for credential in (admission.token, *used):
                    self._note_use(credential)
                return answer
            admission = self._authenticate(admission.head)
            admission.check()
        raise TooBusy("The webhook is being changed.")

    def _prove(self, admission: Admission, request: InboundRequest, secrets: Secrets) -> list[Credential]:
        """Check the proofs, then count the request; return the secrets that fitted."""
        proofs = admission.definition.proofs
        signed = SignedRequest(
            method=request.method,
            url=self._url(admission.head, request.query_string),
            query_string=request.query_string,
            headers=request.headers,
            body=request.body,
        )
        try:
            fitted = check_proofs(proofs, signed, secrets, self._now())
        except KeyUnknown as error:
            if error.key_url in {held.source_url for held in admission.secrets}:
                raise
            raise KeyPending(error.key_url) from None
        handshake = admission.definition.handshake
        if handshake is not None and handshake.signs_for_anyone(request.body):
            raise NotProved("The body is a text that the handshake signs for everyone who knows the URL.")
        self._limits.admit_webhook(admission.webhook)
        return [admission.secret(purpose, index) for purpose, index in fitted.items()]

    def _url(self, head: RequestHead, query_string: str) -> str:
        """The URL as the sender has it: the one that we gave out, whatever proxies made of it."""
        query = f"?{query_string}" if query_string else ""
        return f"{self._public_url}/webhook/{head.webhook_id}/{head.token}{query}"

    def _judge(self, admission: Admission, request: InboundRequest, secrets: Secrets) -> Answer | None:
        """Answer a proved request; None, and nothing written, where the webhook has changed meanwhile."""
        definition = admission.definition
        try:
            content = self._inflated(request)
        except ContentRefused as error:
            return self._commit(admission, request, b"", refuse(definition, request, error))
        if (answer := self._handshake(admission, request, content, secrets)) is not None:
            return answer
        return self._commit(admission, request, content, self._decide(definition, request, content))

    def _commit(
        self, admission: Admission, request: InboundRequest, content: bytes, decision: Decision
    ) -> Answer | None:
        if decision.delivery.state == State.ACCEPTED:
            self._limits.admit_backlog()
        stored_id = self.inbox.commit(decision.delivery, admission.webhook.version)
        if stored_id is None:
            return None
        if stored_id == decision.delivery.id:
            _count(decision)
            return decision.answer
        metrics.count("duplicates")
        sources = sources_of(admission.webhook, request, content, stored_id)
        sources = sources.with_event_type(decision.delivery.event_type or "")
        return answers.duplicate(admission.definition, sources, decision.answer.status, stored_id)

    def _handshake(
        self,
        admission: Admission,
        request: InboundRequest,
        content: bytes,
        secrets: Secrets,
        *,
        before_proof: bool = False,
    ) -> Answer | None:
        handshake = admission.definition.handshake
        if handshake is None or request.method not in handshake.methods:
            return None
        if request.method == "POST" and handshake.before_proof != before_proof:
            return None
        answered = handshake.answer(
            HandshakeRequest(
                method=request.method,
                query=Values(parse_qsl(request.query_string, keep_blank_values=True)),
                headers=Values(request.headers, ignore_case=True),
                body=content,
                secrets=secrets,
            )
        )
        if answered is None:
            return None
        if answered.confirm_url is not None:
            with transaction() as connection:
                queries.set_confirm_url(connection, admission.webhook.id, answered.confirm_url)
        if answered.used is not None:
            self._note_use(admission.secret(*answered.used))
        return answered.answer

    def _inflated(self, request: InboundRequest) -> bytes:
        encoding = request.combined_header("Content-Encoding")
        return inflate(request.body, encoding, limit_bytes=self.settings.max_body_bytes)

    def _decide(
        self, definition: Definition, request: InboundRequest, content: bytes, delivery_id: str | None = None
    ) -> Decision:
        dag = self._dags.get(definition.webhook.dag_id, transaction)
        params = None if dag is None else dag.params
        return decide(definition, request, content, params=params, delivery_id=delivery_id)

    def _note_use(self, credential: Credential) -> None:
        now = self._now()
        if credential.last_used_at is not None and now - credential.last_used_at < LAST_USED_EVERY:
            return
        try:
            with transaction() as connection:
                queries.touch(connection, credential, now)
        except DatabaseUnavailable:
            return  # logged there; the request itself is done, and its answer must say so


def _count(decision: Decision) -> None:
    if decision.refusal is not None:
        metrics.count_rejection(decision.refusal)
    else:
        metrics.count(decision.delivery.state)


def log_fault(error: Exception) -> None:
    """Log where an unforeseen error happened; its message may quote what the sender sent."""
    places = "".join(traceback.format_tb(error.__traceback__))
    log.error("receiver fault action=receiver_fault kind=%s\n%s", type(error).__name__, places)
