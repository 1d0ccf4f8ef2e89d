"""What a request would become: conf, answer and errors, without writing or running anything."""

from __future__ import annotations

import json
from typing import Any

from inbound_webhooks.errors import RequestError
from inbound_webhooks.event import responses
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.response import Response
from inbound_webhooks.receiver.decision import sources_of
from inbound_webhooks.receiver.pipeline import Receiver, utc_now
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.webhooks.compiled import compile_webhook


def preview_request(
    receiver: Receiver,
    webhook: Webhook,
    *,
    method: str,
    query_string: str,
    headers: list[tuple[str, str]],
    body: bytes,
) -> dict[str, Any]:
    """Judge a request as the door would, its token taken for granted.

    Without a Content-Type the body counts as JSON. Returns ``state`` (of the delivery that would be
    stored, or "rejected" or "verified"), ``conf``, ``error``, and of the answer ``status``,
    ``content_type`` and ``body`` (text).
    """
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers = [*headers, ("Content-Type", "application/json")]
    request = InboundRequest(
        method=method,
        query_string=query_string,
        headers=tuple(headers),
        body=body,
        source_ip="127.0.0.1",
        received_at=utc_now(),
    )
    definition = compile_webhook(webhook)
    if method != "POST":
        sources = sources_of(definition, request, content=b"", delivery_id="")
        return _shown("verified", None, responses.verified(definition, sources))
    try:
        decision = receiver.decide(definition, request)
    except RequestError as error:
        return _shown("rejected", error.message, responses.rejected(error))
    return _shown(decision.delivery.state, decision.delivery.error, decision.response, decision.delivery)


def _shown(
    state: str, error: str | None, response: Response, delivery: Delivery | None = None
) -> dict[str, Any]:
    conf = delivery.conf if delivery else None
    return {
        "state": state,
        "conf": None if conf is None else json.loads(conf),
        "error": error,
        "status": response.status,
        "content_type": response.content_type,
        "body": response.body.decode("utf-8", "replace"),
    }
