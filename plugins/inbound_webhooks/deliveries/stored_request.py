"""Converts a request to the columns of its delivery, and back."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from inbound_webhooks.event import json_text
from inbound_webhooks.event.charsets import of_typed_text
from inbound_webhooks.event.content_encoding import inflate
from inbound_webhooks.event.judge import Outcome, Verdict
from inbound_webhooks.event.redaction import mask_headers, mask_query
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.responses import WITHOUT_BODY
from inbound_webhooks.event.rules import Rules
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.storage.encryption import decrypt, encrypt
from inbound_webhooks.webhooks.compiled import CompiledWebhook

MAX_IP_CHARS = 45


def columns(request: InboundRequest, credential_names: Collection[str] = ()) -> dict[str, Any]:
    """The columns of a delivery that store its request; credentials go into an encrypted one.

    :param credential_names: headers and query fields that the webhook's verification uses
    """
    query_string = mask_query(request.query_string, credential_names) if request.query_string else ""
    headers, secret = mask_headers(request.headers, credential_names)
    encrypted = None
    if secret or query_string != request.query_string:
        encrypted = encrypt(json_text.dump({"headers": secret, "query": request.query_string}))
    return {
        "received_at": request.received_at,
        "source_ip": request.source_ip[:MAX_IP_CHARS],
        "query_string": query_string,
        "headers": json_text.dump(headers),
        "credentials": encrypted,
        "body": request.body,
    }


def new_delivery(
    compiled: CompiledWebhook,
    request: InboundRequest,
    verdict: Verdict,
    *,
    shared: Mapping[str, Any] | None = None,
) -> Delivery:
    """The delivery for an accepted, split, filtered or refused request.

    Its credentials are masked and encrypted.

    :param shared: the request's columns where another delivery has the request
    """
    webhook, rules = compiled.webhook, compiled.rules
    is_accepted = verdict.outcome == Outcome.ACCEPTED
    if shared is not None:
        shared = {"received_at": request.received_at, **shared}
    elif rules.body_keys:
        request = replace(request, body=rules.redacted(request.body))
    return Delivery(
        id=verdict.delivery_id,
        webhook_id=webhook.id,
        webhook_name=webhook.name,
        dag_id=webhook.dag_id,
        asset=webhook.asset,
        partition_key=verdict.partition_key,
        state=compiled.first_state if is_accepted else verdict.outcome,
        response_status=verdict.response.status,
        custom_response=_is_custom(rules, verdict),
        accepted_at=utc_now(),
        conf=verdict.conf,
        checked_dag_hash=verdict.params_version,
        error=(verdict.reason or None) if verdict.error is None else verdict.error.message,
        event_type=verdict.event_type,
        dedup_key=verdict.deduplication_key,
        next_attempt_at=request.received_at if is_accepted and compiled.is_due_at_once else None,
        group_key=verdict.group_key,
        routes=routes_text(verdict) if verdict.routes else None,
        **({} if verdict.schedule is None else msgspec.structs.asdict(verdict.schedule)),
        **(columns(request, rules.credential_names) if shared is None else shared),
    )


def new_children(
    targets: Sequence[CompiledWebhook], request: InboundRequest, verdict: Verdict, parent: Delivery
) -> tuple[Delivery, ...]:
    """The children of a delivery that is split; they share its request and its response.

    :param targets: the webhooks that the children's ``target`` counts
    """
    return tuple(
        replace(
            new_delivery(targets[child.target], request, child.verdict, shared=SHARED),
            source_ip=parent.source_ip,
            response_status=parent.response_status,
            custom_response=parent.custom_response,
            body_stored=parent.body_stored,
            parent_id=parent.id,
            child_index=child.index,
            item_index=child.item_index,
        )
        for child in verdict.children
    )


def routes_text(verdict: Verdict) -> str | None:
    """What each route made of an event, as its delivery's column stores it."""
    if not verdict.routes:
        return None
    return msgspec.json.encode(verdict.routes).decode()


SHARED: Mapping[str, Any] = {
    "source_ip": "",
    "query_string": "",
    "headers": "[]",
    "credentials": None,
    "body": b"",
}
"""The request's columns of a child, whose parent has them."""


def _is_custom(rules: Rules, verdict: Verdict) -> bool:
    """Whether the response is more than :func:`inbound_webhooks.event.responses.standard` can tell again."""
    if verdict.error is not None or verdict.items is not None:
        return True
    if verdict.wait_seconds or verdict.preference_applied or rules.response_headers:
        return True
    if rules.response is None:
        return False
    return verdict.outcome == Outcome.FILTERED or verdict.response.status not in WITHOUT_BODY


def headers_of(delivery: Delivery) -> list[tuple[str, str]]:
    """The stored headers in order of arrival, with credentials masked."""
    return [(name, value) for name, value in json.loads(delivery.headers)]


def content_of(delivery: Delivery, limit_bytes: int) -> bytes:
    """The stored body after decompression.

    :raises RequestError: it is too large, or does not match its encoding
    """
    encoding = ", ".join(value for name, value in headers_of(delivery) if name.lower() == "content-encoding")
    return inflate(delivery.body, encoding, limit_bytes=limit_bytes)


def text_of(delivery: Delivery, limit_bytes: int) -> str | None:
    """The stored body as text; None if it is not text.

    :raises RequestError: it cannot be decompressed
    """
    try:
        content_type = next(
            (value for name, value in headers_of(delivery) if name.lower() == "content-type"), ""
        )
        return content_of(delivery, limit_bytes).decode(of_typed_text(content_type))
    except UnicodeDecodeError:
        return None


def restore(delivery: Delivery) -> InboundRequest:
    """The request of a stored delivery, with its credentials.

    :raises TokenUnreadable: the credentials cannot be decrypted
    """
    headers = headers_of(delivery)
    query_string = delivery.query_string
    if delivery.credentials is not None:
        credentials = json.loads(decrypt(delivery.credentials))
        query_string = credentials["query"]
        for position, value in credentials["headers"]:
            headers[position] = (headers[position][0], value)
    return InboundRequest(
        method="POST",
        query_string=query_string,
        headers=tuple(headers),
        body=delivery.body,
        source_ip=delivery.source_ip,
        received_at=delivery.received_at,
    )
