"""Decides the outcome of a request: for endpoint, preview, back-test and replay alike.

Two steps, because the limit per webhook lies between them: :func:`authenticate` verifies the sender,
:func:`decide` determines what the content starts. Both are pure: they use no clock, no database and no
network, and return the effects that the caller has to carry out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from inbound_webhooks.errors import (
    ContentRefused,
    KeyPending,
    KeyUnknown,
    PartitionKeyRefused,
    RequestError,
    VerificationFailed,
)
from inbound_webhooks.event import responses
from inbound_webhooks.event.conf.of_batch import of_one_event
from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.event.content_encoding import inflate
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.budget import charging
from inbound_webhooks.event.handshakes.exchange import Handshake, HandshakeRequest
from inbound_webhooks.event.multidict import MultiDict, parse_query_later
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import Response
from inbound_webhooks.event.responses import ItemCounts
from inbound_webhooks.event.rules import Rules
from inbound_webhooks.event.schedule import Schedule
from inbound_webhooks.event.sizes import EVENT_TYPE_CHARS, MAX_CONF_ITEMS, PARTITION_KEY_CHARS
from inbound_webhooks.event.values import to_text
from inbound_webhooks.event.verification.registry import verify
from inbound_webhooks.event.verification.scheme import SignedRequest, to_bytes
from inbound_webhooks.event.waiting import NO_WAIT, Preference

Secrets = Mapping[str, Sequence[str]]
"""Purpose -> valid secrets in plain text, newest first."""


class Outcome:
    """The outcome of a request; the last four are also states of a delivery."""

    VERIFIED = "verified"
    HANDSHAKE = "handshake"
    REJECTED = "rejected"
    FILTERED = "filtered"
    REFUSED = "refused"
    ACCEPTED = "accepted"
    SPLIT = "split"


class Verified(msgspec.Struct, frozen=True):
    """The sender is verified; ``used`` maps each purpose to the index of the secret that matched."""

    used: Mapping[str, int] = {}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a request, and its response.

    ``error`` is set for rejected and refused requests. ``used`` and ``confirm_url`` are effects of a
    handshake: the secrets that it used, and a link of the sender's that a user has to open.
    ``params_version`` is that of the params that have accepted ``conf``. Where ``wait_seconds`` is not 0,
    the response waits so long for the run's result; ``response`` is sent if there is none by then.
    ``preference_applied`` is the sender's preference that says so (RFC 7240), or "". ``schedule`` is set
    where the webhook has fields for it. ``group_key`` is set where the event waits for others. Where
    ``cancels`` is true, it starts nothing: it cancels what its key runs or waits for.

    Of a request that is several events (event/fan_out.py), ``children`` are the events, ``items`` counts
    those of a list, and ``routes`` says what each webhook made of it. ``reason`` says why it is filtered.
    """

    outcome: str
    response: Response
    error: RequestError | None = None
    delivery_id: str = ""
    conf: str | None = None
    params_version: str | None = None
    deduplication_key: str | None = None
    partition_key: str | None = None
    event_type: str | None = None
    wait_seconds: int = 0
    preference_applied: str = ""
    schedule: Schedule | None = None
    used: Mapping[str, int] = {}
    confirm_url: str | None = None
    group_key: str | None = None
    cancels: bool = False
    reason: str = ""
    children: tuple[Child, ...] = ()
    items: ItemCounts | None = None
    routes: tuple[RouteResult, ...] = ()


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one webhook; its verdict's response is that of the request.

    ``target`` is the webhook's place among those that may take the event, ``index`` the child's among all of
    the request, ``item_index`` its place in a list.
    """

    target: int
    index: int
    item_index: int | None
    verdict: Verdict


class RouteResult(msgspec.Struct, frozen=True):
    """What a webhook made of an event that it gets from another one: an outcome, or why it got none."""

    webhook_id: str
    name: str
    state: str
    reason: str = ""
    items: ItemCounts | None = None


EXAMINED_TYPE_CHARS = 10 * EVENT_TYPE_CHARS
"""Of an event type, as a sender may send a body of them."""

RETRY_AFTER_SECONDS = 5
"""When a sender asks again for a result that was not there in time."""

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

    Returns a verdict if the request ends here: a handshake that needs no verified sender, or a rejection.

    :param url: the URL that the sender called, query string included
    :param fetched_from: the URLs from which public keys have been fetched; a request that names another one
        is rejected with :class:`KeyPending`, so that the sender retries once the key has been fetched
    """
    try:
        handshake, is_post = rules.handshake, request.method == "POST"
        if handshake is not None and (not is_post or handshake.before_verification):
            verdict = handshake_verdict(handshake, request, b"", secrets)
            if verdict is not None:
                return verdict
        if not is_post or not (rules.verification or handshake):
            return NOTHING_TO_VERIFY
        used = verify(rules.verification, _signed(request, url), secrets, now) if rules.verification else {}
        if handshake is not None and handshake.is_signing_oracle(request.body):
            raise VerificationFailed("The handshake would sign this body for any caller who knows the URL.")
        return Verified(used)
    except KeyUnknown as error:
        return _rejected(rules, error if error.key_url in fetched_from else KeyPending(error.key_url))
    except RequestError as error:
        return _rejected(rules, error)


def decide(
    rules: Rules,
    request: InboundRequest,
    content: bytes,
    params: Mapping[str, Parameter] | None,
    *,
    delivery_id: str,
    secrets: Secrets,
    params_version: str | None = None,
    max_conf_items: int = MAX_CONF_ITEMS,
) -> Verdict:
    """Determine what the content of a verified request starts.

    :param content: the body after decompression
    :param params: the DAG's params; None if Airflow does not know the DAG yet
    :param delivery_id: the id for a new delivery, or that of the delivery that is judged again
    :param params_version: identifies the params; part of the verdict on what they accept
    """
    if request.method != "POST":
        return _verified_get(rules, request)
    event_type, wait, parts = "", NO_WAIT, NO_PARTS
    try:
        handshake = rules.handshake
        if handshake is not None and not handshake.before_verification:
            verdict = handshake_verdict(handshake, request, content, secrets)
            if verdict is not None:
                return verdict
        if rules.body_keys:
            content = rules.redacted(content)
        sources = rules.sources(request, content, delivery_id)
        if rules.event_type is not None:
            event_type = sources.event_type = event_type_of(rules, sources)
        key = None if rules.deduplication_key is None else deduplication_key_of(rules, sources)
        if rules.filter is not None and not rules.filter(sources):
            outcome = Outcome.FILTERED
            response = responses.filtered(rules, sources, delivery_id)
        else:
            parts = parts_of(rules, sources, params, request.received_at, max_items=max_conf_items)
            outcome = Outcome.ACCEPTED
            # A response that waits needs a run of its own.
            if rules.wait is not None and rules.grouping is None:
                wait = rules.wait.preference(request)
            response = _accepted_response(rules, sources, delivery_id, wait)
    except ContentRefused as error:
        return refused(rules, error, delivery_id, event_type)
    except RequestError as error:
        return rejected(error)
    return Verdict(
        outcome=outcome,
        response=response,
        delivery_id=delivery_id,
        params_version=None if parts.conf is None else params_version,
        deduplication_key=key,
        event_type=event_type or None,
        wait_seconds=wait.seconds,
        preference_applied=wait.applied,
        **msgspec.structs.asdict(parts),
    )


def _accepted_response(rules: Rules, sources: DataSources, delivery_id: str, wait: Preference) -> Response:
    """The response to an accepted event; of one that waits, what is sent if there is no result in time."""
    if wait.seconds:
        response = responses.unfinished(delivery_id, retry_after_seconds=RETRY_AFTER_SECONDS)
    else:
        response = responses.accepted(rules, sources, delivery_id)
    return responses.with_preference(response, wait.applied)


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What an accepted event starts its target with; fields as in :class:`Verdict`."""

    conf: str | None = None
    partition_key: str | None = None
    schedule: Schedule | None = None
    group_key: str | None = None
    cancels: bool = False


NO_PARTS = Parts()


def parts_of(
    rules: Rules,
    sources: DataSources,
    params: Mapping[str, Parameter] | None,
    received_at: datetime,
    *,
    max_items: int,
) -> Parts:
    """Compute what an event starts its target with.

    :raises ContentRefused: the content cannot be used for it
    """
    grouping, group_key = rules.grouping, None
    if grouping is not None:
        group_key = grouping.key_of(sources)
        if grouping.cancel_on is not None and grouping.cancel_on(sources):
            return Parts(group_key=group_key, cancels=True)
        # The DAG gets a list of confs, so it has a param for that and none for the parts of one.
        params = of_one_event(params) if grouping.is_batch else params
    return Parts(
        conf=rules.mapping.conf_text(sources, params, max_items=max_items),
        partition_key=None if rules.partition_key is None else partition_key_of(rules, sources),
        schedule=None if rules.schedule is None else rules.schedule.schedule(sources, received_at),
        group_key=group_key,
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
    params_version: str | None = None,
    max_conf_items: int = MAX_CONF_ITEMS,
) -> Verdict:
    """Decompress the body, then :func:`decide`.

    :param encoding: the request's Content-Encoding, or ""
    """
    content = request.body
    if encoding:
        try:
            content = inflate(content, encoding, limit_bytes=max_content_bytes)
        except ContentRefused as error:
            return refused(rules, error, delivery_id)
        except RequestError as error:
            return rejected(error)
    return decide(
        rules,
        request,
        content,
        params,
        delivery_id=delivery_id,
        secrets=secrets,
        params_version=params_version,
        max_conf_items=max_conf_items,
    )


def duplicate(
    rules: Rules, request: InboundRequest, verdict: Verdict, first_id: str, *, max_content_bytes: int
) -> Response:
    """The response to a repeated event: the verdict's status with the first delivery's id."""
    encoding = request.combined_header("Content-Encoding")
    content = inflate(request.body, encoding, limit_bytes=max_content_bytes) if encoding else request.body
    sources = rules.sources(request, content, first_id)
    sources.event_type = verdict.event_type or ""
    response = responses.duplicate(rules, sources, verdict.response.status, first_id)
    return responses.with_preference(response, verdict.preference_applied)


def rejected(error: RequestError) -> Verdict:
    """The verdict on a request that leaves no delivery."""
    return Verdict(outcome=Outcome.REJECTED, response=responses.rejected(error), error=error)


def refused(rules: Rules, error: ContentRefused, delivery_id: str, event_type: str = "") -> Verdict:
    """The verdict on content that cannot be used; the delivery is kept, without a deduplication key."""
    return Verdict(
        outcome=Outcome.REFUSED,
        response=responses.refused(error, rules.invalid_status, delivery_id),
        error=error,
        delivery_id=delivery_id,
        event_type=event_type or None,
    )


def _rejected(rules: Rules, error: RequestError) -> Verdict:
    error.challenges = rules.challenges
    return rejected(error)


def _verified_get(rules: Rules, request: InboundRequest) -> Verdict:
    if request.method == "OPTIONS":
        return Verdict(outcome=Outcome.VERIFIED, response=responses.options())
    sources = rules.sources(request, b"", "")
    return Verdict(outcome=Outcome.VERIFIED, response=responses.verified(rules, sources))


def handshake_verdict(
    handshake: Handshake, request: InboundRequest, content: bytes, secrets: Secrets
) -> Verdict | None:
    """The handshake's response; None if the request is not a handshake."""
    if request.method not in handshake.methods:
        return None
    asked = HandshakeRequest(
        method=request.method,
        query=MultiDict(parse_query_later(request.query_string)),
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


def event_type_of(rules: Rules, sources: DataSources) -> str:
    """The sender's name for this kind of event, or ""; a missing type is no reason to refuse the event."""
    expression: Any = rules.event_type
    try:
        with charging(sources.budget):
            named = to_text(expression.evaluate(sources))
    except ContentRefused:
        return ""
    # Some characters cannot be stored: NUL, lone surrogates.
    named = named[:EXAMINED_TYPE_CHARS]
    if not named.isprintable():
        named = "".join(character for character in named if character.isprintable())
    return named[:EVENT_TYPE_CHARS]


def deduplication_key_of(rules: Rules, sources: DataSources) -> str | None:
    """SHA-256 of the expression's value; None if the event has no key."""
    expression: Any = rules.deduplication_key
    with charging(sources.budget):
        named = to_text(expression.evaluate(sources))
    return hashlib.sha256(to_bytes(named)).hexdigest() if named else None


def partition_key_of(rules: Rules, sources: DataSources) -> str | None:
    """The value as text; None if the event is about no partition."""
    expression: Any = rules.partition_key
    with charging(sources.budget):
        named = to_text(expression.evaluate(sources))
    if len(named) > PARTITION_KEY_CHARS:
        raise PartitionKeyRefused(f"it is longer than {PARTITION_KEY_CHARS} characters")
    if not named.isprintable():
        raise PartitionKeyRefused("it contains characters that cannot be printed")
    return named or None
