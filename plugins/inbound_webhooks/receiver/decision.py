"""What becomes of a request whose sender is proved: the delivery to store and the answer to give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import uuid6

from inbound_webhooks.errors import ContentRefused
from inbound_webhooks.event.content_encoding import inflate
from inbound_webhooks.event.request import DataSources, Delivered, InboundRequest
from inbound_webhooks.event.response import Answer
from inbound_webhooks.event.run_conf import Parameter, dump_conf
from inbound_webhooks.receiver import answers, stored_request
from inbound_webhooks.receiver.definition import Definition
from inbound_webhooks.storage.queries import Delivery, State, Webhook


@dataclass(frozen=True)
class Decision:
    """A delivery that is not stored yet, and the answer that goes with it."""

    delivery: Delivery
    answer: Answer


def decide(
    definition: Definition,
    request: InboundRequest,
    *,
    params: Mapping[str, Parameter] | None,
    max_body_bytes: int,
) -> Decision:
    """Decide on a POST; writes nothing.

    :param params: the DAG's, None where Airflow does not know the DAG yet
    :raises BodyTooLarge: the body inflates past the limit
    :raises EncodingUnsupported: it has an encoding that we do not read
    """
    webhook, delivery_id = definition.webhook, uuid6.uuid7().hex
    try:
        content = inflate(
            request.body, request.combined_header("Content-Encoding"), limit_bytes=max_body_bytes
        )
        sources = sources_of(webhook, request, content, delivery_id)
        conf = dump_conf(definition.mapping.conf(sources, params))
    except ContentRefused as error:
        answer = answers.refused(error, webhook, delivery_id)
        return Decision(_delivery(webhook, request, delivery_id, answer, error=error.message), answer)
    answer = answers.accepted(definition, sources, delivery_id)
    return Decision(_delivery(webhook, request, delivery_id, answer, conf=conf), answer)


def sources_of(webhook: Webhook, request: InboundRequest, content: bytes, delivery_id: str) -> DataSources:
    """The data sources of a request; ``content`` is its body after decompression."""
    delivered = Delivered(
        id=delivery_id,
        received_at=request.received_at.isoformat(),
        webhook=webhook.name,
        source_ip=request.source_ip,
    )
    return DataSources.of(request, content, delivered=delivered)


def _delivery(
    webhook: Webhook,
    request: InboundRequest,
    delivery_id: str,
    answer: Answer,
    *,
    conf: str | None = None,
    error: str | None = None,
) -> Delivery:
    return Delivery(
        id=delivery_id,
        webhook_id=webhook.id,
        webhook_name=webhook.name,
        dag_id=webhook.dag_id,
        state=State.ACCEPTED if error is None else State.REFUSED,
        conf=conf,
        error=error,
        answer_status=answer.status,
        next_attempt_at=request.received_at if error is None else None,
        **stored_request.columns(request),
    )
