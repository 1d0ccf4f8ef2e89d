"""Handshakes among the events themselves: Discord, Amazon SNS, CloudEvents."""

from __future__ import annotations

import re

from inbound_webhooks.errors import MediaTypeUnsupported, VerificationFailed
from inbound_webhooks.event.handshakes.exchange import HandshakeRequest, HandshakeResponse, json_document
from inbound_webhooks.event.response import Response
from inbound_webhooks.event.verification.sns import is_confirmation_url, sns_message

# Host names, and the longer values of Azure and others; nothing that could end a header.
_ORIGIN = re.compile(r"[A-Za-z0-9._:/\-]{1,253}")
_STRUCTURED = re.compile(r"application/cloudevents(-batch)?\+[a-z0-9]+", re.IGNORECASE)


def discord(request: HandshakeRequest) -> HandshakeResponse | None:
    """Answer the PING of interactions (type 1) and of webhook events (type 0).

    Among webhook events, type 1 is an event
    (https://docs.discord.com/developers/events/webhook-events#preparing-for-events,
    https://docs.discord.com/developers/interactions/overview#setting-up-an-endpoint).
    """
    document = request.document()
    kind = document.get("type") if isinstance(document, dict) else None
    # bool is an int in Python, so isinstance would take true for 1.
    if type(kind) is not int or "event" in document:
        return None
    if kind == 1:
        return json_document({"type": 1})
    # Discord expects a Content-Type although the response is empty.
    return HandshakeResponse(Response(204)) if kind == 0 else None


def sns(request: HandshakeRequest) -> HandshakeResponse | None:
    """Pass on the link that confirms a subscription
    (https://docs.aws.amazon.com/sns/latest/dg/http-subscription-confirmation-json.html).

    Messages about the end of a subscription are acknowledged and start nothing; their link would subscribe
    again.

    :raises VerificationFailed: the link does not belong to Amazon SNS
    """
    message = sns_message(request.body)
    # Acknowledged with an empty object, which SNS does not look at.
    if message.get("Type") == "UnsubscribeConfirmation":
        return HandshakeResponse(Response(200, b"{}"))
    if message.get("Type") != "SubscriptionConfirmation":
        return None
    url = message.get("SubscribeURL", "")
    if not is_confirmation_url(url):
        raise VerificationFailed("SubscribeURL is not an Amazon SNS URL that confirms a subscription.")
    return HandshakeResponse(Response(200, b"{}"), confirm_url=url)


def cloudevents(request: HandshakeRequest) -> HandshakeResponse | None:
    """Grant an origin that asks with OPTIONS, and refuse requests that are not CloudEvents
    (https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md#4-abuse-protection).

    The origin is granted without a check, since the caller knows the token in the URL.
    ``WebHook-Request-Callback`` is never fetched.

    :raises MediaTypeUnsupported: a POST does not contain a CloudEvent
    """
    if request.method == "POST":
        media_type = (request.header_value("Content-Type") or "").partition(";")[0].strip()
        if "Ce-Id" not in request.headers and not _STRUCTURED.fullmatch(media_type):
            message = f"Content-Type {media_type[:100]!r} without ce- headers is not a CloudEvent."
            raise MediaTypeUnsupported(message)
        return None
    origin = request.header_value("WebHook-Request-Origin")
    if origin is None or not _ORIGIN.fullmatch(origin):
        return None
    granted = [("Allow", "GET, HEAD, OPTIONS, POST"), ("WebHook-Allowed-Origin", origin)]
    if request.header_value("WebHook-Request-Rate") is not None:
        # No rate to promise: beyond the webhook's own limit the response is 429 with Retry-After.
        granted.append(("WebHook-Allowed-Rate", "*"))
    return HandshakeResponse(Response(200, headers=tuple(granted)))
