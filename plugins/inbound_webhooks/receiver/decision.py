"""What becomes of an event whose sender is proved: the delivery to store and the answer to give."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
import uuid_utils
from msgspec.structs import replace

from inbound_webhooks.deliveries import stored_request
from inbound_webhooks.errors import ContentRefused
from inbound_webhooks.event import responses
from inbound_webhooks.event.conf.mapping import dump_conf
from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import Response
from inbound_webhooks.event.values import to_text
from inbound_webhooks.event.verification.registry import redact_keys
from inbound_webhooks.event.verification.scheme import to_bytes
from inbound_webhooks.records.delivery import Delivery, State
from inbound_webhooks.storage.tables import EVENT_TYPE_CHARS
from inbound_webhooks.webhooks.compiled import CompiledWebhook


class Decision(msgspec.Struct, frozen=True):
    """A delivery that is not stored yet, the answer that goes with it, and why its content is refused."""

    delivery: Delivery
    response: Response
    refusal: ContentRefused | None = None


def decide(
    definition: CompiledWebhook,
    request: InboundRequest,
    content: bytes,
    *,
    params: Mapping[str, Parameter] | None,
    delivery_id: str | None = None,
) -> Decision:
    """Filter and map an event; writes nothing.

    :param delivery_id: of one that is judged again; without it a new one
    :param content: the body after decompression
    :param params: the DAG's, None where Airflow does not know the DAG yet
    """
    delivery_id = delivery_id or uuid_utils.uuid7().hex
    content = redact_keys(definition.verification, content)
    sources = sources_of(definition, request, content, delivery_id)
    event_type = sources.event_type = _event_type(definition, sources)
    try:
        dedup_key = _dedup_key(definition, sources)
        if definition.filter is not None and not definition.filter(sources):
            response = responses.filtered(definition, sources, delivery_id)
            outcome = {"dedup_key": dedup_key, "event_type": event_type or None}
            return _decision(definition, request, delivery_id, response, State.FILTERED, **outcome)
        mapping = definition.mapping
        conf = dump_conf(mapping.conf(sources, params), most_chars=mapping.most_chars(sources))
    except ContentRefused as error:
        return refuse(definition, request, error, delivery_id=delivery_id, event_type=event_type)
    response = responses.accepted(definition, sources, delivery_id)
    return _decision(
        definition,
        request,
        delivery_id,
        response,
        State.ACCEPTED,
        dedup_key=dedup_key,
        event_type=event_type or None,
        conf=conf,
        next_attempt_at=request.received_at,
    )


def refuse(
    definition: CompiledWebhook,
    request: InboundRequest,
    error: ContentRefused,
    *,
    delivery_id: str | None = None,
    event_type: str = "",
) -> Decision:
    """Keep an event that cannot be used, for a replay; it holds no deduplication key."""
    delivery_id = delivery_id or uuid_utils.uuid7().hex
    response = responses.refused(error, definition.webhook, delivery_id)
    outcome = {"error": error.message, "event_type": event_type or None}
    decision = _decision(definition, request, delivery_id, response, State.REFUSED, **outcome)
    return replace(decision, refusal=error)


def sources_of(
    definition: CompiledWebhook, request: InboundRequest, content: bytes, delivery_id: str
) -> DataSources:
    """The data sources of a request; ``content`` is its body after decompression."""
    return DataSources(
        request,
        content,
        delivery_id=delivery_id,
        webhook=definition.webhook.name,
        credential_names=definition.credential_names,
    )


def _event_type(definition: CompiledWebhook, sources: DataSources) -> str:
    """What the sender calls this kind of event; "" where it does not say, which refuses nothing."""
    if definition.event_type is None:
        return ""
    try:
        named = to_text(definition.event_type.evaluate(sources))
    except ContentRefused:
        return ""
    # Not every text can be stored: no NUL, no half of a surrogate pair.
    if not named.isprintable():
        named = "".join(character for character in named if character.isprintable())
    return named[:EVENT_TYPE_CHARS]


def _dedup_key(definition: CompiledWebhook, sources: DataSources) -> str | None:
    """SHA-256 of what names the event, None where the webhook does not say or the event has no name."""
    if definition.dedup is None:
        return None
    named = to_text(definition.dedup.evaluate(sources))
    return hashlib.sha256(to_bytes(named)).hexdigest() if named else None


def _decision(
    definition: CompiledWebhook,
    request: InboundRequest,
    delivery_id: str,
    response: Response,
    state: str,
    **outcome: Any,
) -> Decision:
    webhook = definition.webhook
    body = redact_keys(definition.verification, request.body)
    kept = request if body is request.body else replace(request, body=body)
    delivery = Delivery(
        id=delivery_id,
        webhook_id=webhook.id,
        webhook_name=webhook.name,
        dag_id=webhook.dag_id,
        state=state,
        response_status=response.status,
        **{"conf": None, **outcome},
        **stored_request.columns(kept, definition.credential_names),
    )
    return Decision(delivery, response)
