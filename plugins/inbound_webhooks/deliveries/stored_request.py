"""A request as it is stored with its delivery, and back."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from inbound_webhooks.event import json_text
from inbound_webhooks.event.redaction import mask_headers, mask_query
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.storage.encryption import decrypt, encrypt

MAX_IP_CHARS = 45


def columns(request: InboundRequest, credential_names: Collection[str] = ()) -> dict[str, Any]:
    """The columns of a delivery that hold its request; credentials stand in one that is encrypted.

    :param credential_names: headers and query fields that are some, whatever they are called
    """
    query_string = mask_query(request.query_string, credential_names)
    headers, secret = mask_headers(request.headers, credential_names)
    sealed = None
    if secret or query_string != request.query_string:
        sealed = encrypt(json_text.dump({"headers": secret, "query": request.query_string}))
    return {
        "received_at": request.received_at,
        "source_ip": request.source_ip[:MAX_IP_CHARS],
        "query_string": query_string,
        "headers": json_text.dump(headers),
        "credentials": sealed,
        "body": request.body,
    }


def restore(delivery: Delivery) -> InboundRequest:
    """The request of a stored delivery, credentials put back.

    :raises TokenUnreadable: they cannot be decrypted
    """
    headers = [(name, value) for name, value in json.loads(delivery.headers)]
    query_string = delivery.query_string
    if delivery.credentials is not None:
        sealed = json.loads(decrypt(delivery.credentials))
        query_string = sealed["query"]
        for position, value in sealed["headers"]:
            headers[position] = (headers[position][0], value)
    return InboundRequest(
        method="POST",
        query_string=query_string,
        headers=tuple(headers),
        body=delivery.body,
        source_ip=delivery.source_ip,
        received_at=delivery.received_at,
    )
