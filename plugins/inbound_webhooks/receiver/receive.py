"""Request -> answer, in the door's order, without any web framework.

The order: declared length, webhook and token, method, state (:meth:`Receiver.admit`, before a byte of the
body is read), then decompression, conf, commit, answer (:meth:`Receiver.receive`).
"""

from __future__ import annotations

import hmac
import logging
import re
import secrets
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from inbound_webhooks.errors import (
    BodyTooLarge,
    DatabaseUnavailable,
    MethodNotAllowed,
    ReceiverFault,
    RequestError,
    TokenUnreadable,
    TooBusy,
    Unavailable,
    UnknownWebhook,
    WebhookDisabled,
)
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import Answer
from inbound_webhooks.receiver import answers
from inbound_webhooks.receiver.decision import Decision, decide, sources_of
from inbound_webhooks.receiver.definition import Definition, DefinitionCache
from inbound_webhooks.receiver.inbox import Inbox
from inbound_webhooks.receiver.rejections import RejectionLog
from inbound_webhooks.receiver.stored_request import MAX_IP_CHARS
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import queries
from inbound_webhooks.storage.dags import DagCache
from inbound_webhooks.storage.database import reading, transaction
from inbound_webhooks.storage.encryption import decrypt
from inbound_webhooks.storage.queries import Rejection, Token, Webhook

log = logging.getLogger(__name__)

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST"})
DAG_RECHECK_SECONDS = 2.0
LAST_USED_EVERY = timedelta(minutes=1)
MAX_CHANGES_SEEN = 3
"""How often a request is judged afresh because its webhook changed before the commit."""

_DECLARED_LENGTH = re.compile(r"[0-9]{1,18}")
_NO_TOKEN = secrets.token_hex(32)


@dataclass(frozen=True, kw_only=True)
class RequestHead:
    """What is known before the body is read; ``content_length`` is the header as sent, "" for none."""

    method: str
    webhook_id: str
    token: str
    content_length: str
    source_ip: str

    @property
    def declared_length(self) -> int | None:
        """Content-Length in bytes, None where there is none that is a number."""
        return int(self.content_length) if _DECLARED_LENGTH.fullmatch(self.content_length) else None


@dataclass(frozen=True)
class Admission:
    """A request whose token was right, on the way to its body."""

    head: RequestHead
    definition: Definition
    token: Token

    @property
    def webhook(self) -> Webhook:
        """The webhook that was called."""
        return self.definition.webhook


def utc_now() -> datetime:
    """The time, with its zone."""
    return datetime.now(timezone.utc)


class Receiver:
    """Takes requests for every webhook; safe to call from many threads."""

    def __init__(self, settings: Settings, *, now: Callable[[], datetime] = utc_now) -> None:
        self.settings = settings
        self.inbox = Inbox()
        self.rejections = RejectionLog()
        self._definitions = DefinitionCache()
        self._dags = DagCache(recheck_seconds=DAG_RECHECK_SECONDS)
        self._now = now

    def admit(self, head: RequestHead) -> Admission:
        """Check what can be checked before the body is read.

        :raises RequestError: the request is not admitted; where its token was right that is noted
        """
        if (head.declared_length or 0) > self.settings.max_body_bytes:
            raise BodyTooLarge(self.settings.max_body_bytes)
        admission = self._authenticate(head)
        try:
            _check_method_and_state(admission)
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
            return answers.rejected(ReceiverFault())

    def _answer(self, admission: Admission, request: InboundRequest) -> Answer:
        try:
            if request.method == "OPTIONS":
                return answers.options()
            if request.method in ("GET", "HEAD"):
                return self._verify(admission, request)
            return self._accept(admission, request)
        except RequestError as error:
            self.note_rejection(admission, error)
            return answers.rejected(error)

    def decide(self, definition: Definition, request: InboundRequest) -> Decision:
        """What would be stored and answered with the DAG's params as they are; writes nothing.

        :raises RequestError: it would be rejected
        """
        dag = self._dags.get(definition.webhook.dag_id, transaction)
        return decide(
            definition,
            request,
            params=None if dag is None else dag.params,
            max_body_bytes=self.settings.max_body_bytes,
        )

    def note_rejection(self, admission: Admission, error: RequestError) -> None:
        """Keep a rejection of a request whose token was right; our own faults are none."""
        if isinstance(error, Unavailable):
            return
        self.rejections.add(
            Rejection(
                webhook_id=admission.webhook.id,
                rejected_at=self._now(),
                source_ip=admission.head.source_ip[:MAX_IP_CHARS],
                method=admission.head.method[:20],
                status=answers.status_of(error),
                reason=error.message,
            )
        )

    def _authenticate(self, head: RequestHead) -> Admission:
        with reading() as connection:
            found = queries.find_with_tokens(connection, head.webhook_id)
        webhook, tokens = found or (None, [])
        token = self._matching_token(tokens, head.token)
        if webhook is None or token is None:
            raise UnknownWebhook
        return Admission(head, self._definitions.get(webhook), token)

    def _matching_token(self, tokens: list[Token], presented: str) -> Token | None:
        """Compare with every token, and with a made-up one where there is none."""
        now, unreadable, match = self._now(), False, None
        for token in tokens:
            if _has_ended(token, now):
                continue
            try:
                if _same(decrypt(token.encrypted), presented):
                    match = token
            except TokenUnreadable:
                unreadable = True
        if not tokens:
            _same(_NO_TOKEN, presented)
        if match is None and unreadable:
            raise TokenUnreadable
        return match

    def _verify(self, admission: Admission, request: InboundRequest) -> Answer:
        self._note_use(admission.token)
        sources = sources_of(admission.webhook, request, content=b"", delivery_id="")
        return answers.verified(admission.definition, sources)

    def _accept(self, admission: Admission, request: InboundRequest) -> Answer:
        for _ in range(MAX_CHANGES_SEEN):
            decision = self.decide(admission.definition, request)
            if self.inbox.commit(decision.delivery, admission.webhook.version):
                self._note_use(admission.token)
                return decision.answer
            admission = self._authenticate(admission.head)
            _check_method_and_state(admission)
        raise TooBusy("The webhook is being changed.")

    def _note_use(self, token: Token) -> None:
        now = self._now()
        if token.last_used_at is not None and now - token.last_used_at < LAST_USED_EVERY:
            return
        try:
            with transaction() as connection:
                queries.touch_token(connection, token.id, now)
        except DatabaseUnavailable:
            return  # logged there; the request itself is done, and its answer must say so


def _has_ended(token: Token, now: datetime) -> bool:
    return token.expires_at is not None and token.expires_at <= now


def _check_method_and_state(admission: Admission) -> None:
    if admission.head.method not in METHODS:
        raise MethodNotAllowed
    if not admission.webhook.enabled:
        raise WebhookDisabled(admission.webhook.disabled_status)


def log_fault(error: Exception) -> None:
    """Log where an unforeseen error happened; its message may quote what the sender sent."""
    places = "".join(traceback.format_tb(error.__traceback__))
    log.error("receiver fault action=receiver_fault kind=%s\n%s", type(error).__name__, places)


def _same(expected: str, presented: str) -> bool:
    return hmac.compare_digest(expected.encode(), presented.encode("utf-8", "surrogateescape"))
