"""Converts a request to the columns of its delivery, and back."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

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
from inbound_webhooks.records.delivery import Delivery, State
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


def new_delivery(compiled: CompiledWebhook, request: InboundRequest, verdict: Verdict) -> Delivery:
    """The delivery for an accepted, filtered or refused request; its credentials are masked and encrypted."""
    webhook, rules = compiled.webhook, compiled.rules
    if rules.body_keys:
        request = replace(request, body=rules.redacted(request.body))
    state = first_state(rules, verdict)
    return Delivery(
        id=verdict.delivery_id,
        webhook_id=webhook.id,
        webhook_name=webhook.name,
        dag_id=webhook.dag_id,
        state=state,
        response_status=verdict.response.status,
        custom_response=_is_custom(rules, verdict),
        accepted_at=utc_now(),
        conf=verdict.conf,
        checked_dag_hash=verdict.params_version,
        error=None if verdict.error is None else verdict.error.message,
        event_type=verdict.event_type,
        dedup_key=verdict.deduplication_key,
        next_attempt_at=request.received_at if state == State.ACCEPTED else None,
        group_key=verdict.group_key,
        **columns(request, rules.credential_names),
    )


def first_state(rules: Rules, verdict: Verdict) -> str:
    """The state in which a delivery is stored: an accepted one may have to wait for others of its group."""
    if verdict.outcome == Outcome.ACCEPTED and rules.grouping is not None:
        return rules.grouping.state
    return verdict.outcome


def _is_custom(rules: Rules, verdict: Verdict) -> bool:
    """Whether the response is more than :func:`inbound_webhooks.event.responses.standard` can tell again."""
    if verdict.error is not None:
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
