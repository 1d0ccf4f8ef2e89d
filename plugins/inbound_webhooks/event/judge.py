"""Decides what becomes of a request: the only place that does, for endpoint, preview, back-test and replay.

Two steps, because the limit per webhook lies between them: :func:`authenticate` finds out whether the request
comes from the sender, :func:`decide` what its content starts. Both are pure: they read no clock, no database
and no network, and return what the caller has to carry out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from inbound_webhooks.errors import ContentRefused, KeyPending, KeyUnknown, RequestError, VerificationFailed
from inbound_webhooks.event import responses
from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.event.content_encoding import inflate
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.handshakes.exchange import Handshake, HandshakeRequest
from inbound_webhooks.event.multidict import MultiDict
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import Response
from inbound_webhooks.event.rules import Rules
from inbound_webhooks.event.sizes import EVENT_TYPE_CHARS
from inbound_webhooks.event.values import to_text
from inbound_webhooks.event.verification.registry import verify
from inbound_webhooks.event.verification.scheme import SignedRequest, to_bytes

Secrets = Mapping[str, Sequence[str]]
"""Valid secrets in plain text by purpose, the newest first."""


class Outcome:
    """What becomes of a request; the last three are also states of a delivery."""

    VERIFIED = "verified"
    HANDSHAKE = "handshake"
    REJECTED = "rejected"
    FILTERED = "filtered"
    REFUSED = "refused"
    ACCEPTED = "accepted"


class Verified(msgspec.Struct, frozen=True):
    """The sender is verified; ``used`` says which secret fitted, as its place by purpose."""

    used: Mapping[str, int] = {}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a request, and the response that says so.

    ``error`` is set where it is rejected or refused. ``used`` and ``confirm_url`` are effects of a handshake:
    secrets that were needed, and a link of the vendor's that a user has to open.
    """

    outcome: str
    response: Response
    error: RequestError | None = None
    delivery_id: str = ""
    conf: str | None = None
    deduplication_key: str | None = None
    event_type: str | None = None
    used: Mapping[str, int] = {}
    confirm_url: str | None = None


NOTHING_TO_VERIFY = Verified()


def authenticate(
    rules: Rules,
    request: InboundRequest,
    secrets: Secrets,
    now: datetime,
    *,
    url: str,
    fetched_from: Collection[str] = (),
) -> Verified | Verdict:
    """Verify the sender over the bytes as received; a GET has nothing to verify.

    Returns a verdict where the request ends here: a handshake that needs no verified sender, or a rejection.

    :param url: the one that the sender called, query string included
    :param fetched_from: where the public keys among the secrets were fetched; a request that names another
        one is rejected with :class:`KeyPending`, so that the sender tries again once the key is there
    """
    try:
        handshake, is_post = rules.handshake, request.method == "POST"
        if handshake is not None and (not is_post or handshake.before_verification):
            verdict = _handshake_verdict(handshake, request, b"", secrets)
            if verdict is not None:
                return verdict
        if not is_post or not (rules.verification or handshake):
            return NOTHING_TO_VERIFY
        used = verify(rules.verification, _signed(request, url), secrets, now) if rules.verification else {}
        if handshake is not None and handshake.is_signing_oracle(request.body):
            raise VerificationFailed(
                "The body is a text that the handshake signs for everyone who knows the URL."
            )
        return Verified(used)
    except KeyUnknown as error:
        return rejected(error if error.key_url in fetched_from else KeyPending(error.key_url))
    except RequestError as error:
        return rejected(error)


def decide(
    rules: Rules,
    request: InboundRequest,
    content: bytes,
    params: Mapping[str, Parameter] | None,
    *,
    delivery_id: str,
    secrets: Secrets,
) -> Verdict:
    """Decide what the content of a verified request starts.

    :param content: the body after decompression
    :param params: the DAG's; None where Airflow does not know the DAG yet
    :param delivery_id: of the delivery that is stored, or that is judged again
    """
    if request.method != "POST":
        return _verified_get(rules, request)
    event_type = ""
    try:
        handshake = rules.handshake
        if handshake is not None and not handshake.before_verification:
            verdict = _handshake_verdict(handshake, request, content, secrets)
            if verdict is not None:
                return verdict
        if rules.body_keys:
            content = rules.redacted(content)
        sources = rules.sources(request, content, delivery_id)
        if rules.event_type is not None:
            event_type = sources.event_type = _event_type(rules, sources)
        key = None if rules.deduplication_key is None else _deduplication_key(rules, sources)
        if rules.filter is not None and not rules.filter(sources):
            outcome, conf = Outcome.FILTERED, None
            response = responses.filtered(rules, sources, delivery_id)
        else:
            conf = rules.mapping.conf_text(sources, params)
            outcome = Outcome.ACCEPTED
            response = responses.accepted(rules, sources, delivery_id)
    except ContentRefused as error:
        return refused(rules, error, delivery_id, event_type)
    except RequestError as error:
        return rejected(error)
    return Verdict(
        outcome=outcome,
        response=response,
        delivery_id=delivery_id,
        conf=conf,
        deduplication_key=key,
        event_type=event_type or None,
    )


def decide_as_received(
    rules: Rules,
    request: InboundRequest,
    params: Mapping[str, Parameter] | None,
    *,
    delivery_id: str,
    max_content_bytes: int,
    encoding: str,
    secrets: Secrets,
) -> Verdict:
    """Decompress the body, then :func:`decide`.

    :param encoding: the request's Content-Encoding, "" without one
    """
    content = request.body
    if encoding:
        try:
            content = inflate(content, encoding, limit_bytes=max_content_bytes)
        except ContentRefused as error:
            return refused(rules, error, delivery_id)
        except RequestError as error:
            return rejected(error)
    return decide(rules, request, content, params, delivery_id=delivery_id, secrets=secrets)


def duplicate(
    rules: Rules, request: InboundRequest, verdict: Verdict, first_id: str, *, max_content_bytes: int
) -> Response:
    """The response to an event that is stored already: the status of the verdict, the first delivery's id."""
    encoding = request.combined_header("Content-Encoding")
    content = inflate(request.body, encoding, limit_bytes=max_content_bytes) if encoding else request.body
    sources = rules.sources(request, content, first_id)
    sources.event_type = verdict.event_type or ""
    return responses.duplicate(rules, sources, verdict.response.status, first_id)


def rejected(error: RequestError) -> Verdict:
    """The verdict on a request that leaves no delivery."""
    return Verdict(outcome=Outcome.REJECTED, response=responses.rejected(error), error=error)


def refused(rules: Rules, error: ContentRefused, delivery_id: str, event_type: str = "") -> Verdict:
    """The verdict on content that cannot be used; it is kept for a replay, without a deduplication key."""
    return Verdict(
        outcome=Outcome.REFUSED,
        response=responses.refused(error, rules.invalid_status, delivery_id),
        error=error,
        delivery_id=delivery_id,
        event_type=event_type or None,
    )


def _verified_get(rules: Rules, request: InboundRequest) -> Verdict:
    if request.method == "OPTIONS":
        return Verdict(outcome=Outcome.VERIFIED, response=responses.options())
    sources = rules.sources(request, b"", "")
    return Verdict(outcome=Outcome.VERIFIED, response=responses.verified(rules, sources))


def _handshake_verdict(
    handshake: Handshake, request: InboundRequest, content: bytes, secrets: Secrets
) -> Verdict | None:
    """The handshake's response, None where the request is none; raises what the handshake raises."""
    if request.method not in handshake.methods:
        return None
    asked = HandshakeRequest(
        method=request.method,
        query=MultiDict(parse_qsl(request.query_string, keep_blank_values=True)),
        headers=MultiDict(request.headers, ignore_case=True),
        body=content,
        secrets=secrets,
    )
    reply = handshake.respond(asked)
    if reply is None:
        return None
    return Verdict(
        outcome=Outcome.HANDSHAKE,
        response=reply.response,
        used=dict([reply.used]) if reply.used else {},
        confirm_url=reply.confirm_url,
    )


def _signed(request: InboundRequest, url: str) -> SignedRequest:
    return SignedRequest(
        method=request.method,
        url=url,
        query_string=request.query_string,
        headers=request.headers,
        body=request.body,
    )


def _event_type(rules: Rules, sources: DataSources) -> str:
    """The sender's name for this kind of event; "" where it gives none, which refuses nothing."""
    expression: Any = rules.event_type
    try:
        named = to_text(expression.evaluate(sources))
    except ContentRefused:
        return ""
    # Not every text can be stored: no NUL, no half of a surrogate pair.
    if not named.isprintable():
        named = "".join(character for character in named if character.isprintable())
    return named[:EVENT_TYPE_CHARS]


def _deduplication_key(rules: Rules, sources: DataSources) -> str | None:
    """SHA-256 of the expression's value, None where this event has none."""
    expression: Any = rules.deduplication_key
    named = to_text(expression.evaluate(sources))
    return hashlib.sha256(to_bytes(named)).hexdigest() if named else None
