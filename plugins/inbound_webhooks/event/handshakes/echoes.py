"""Handshakes that send a token back: Slack, Meta, Microsoft, Dropbox, Okta, Event Grid."""

from __future__ import annotations

from dataclasses import replace

from inbound_webhooks.errors import HandshakeForged, HandshakeMalformed, SecretMissing
from inbound_webhooks.event.handshakes.exchange import (
    HandshakeRequest,
    HandshakeResponse,
    challenge,
    json_document,
    plain_text,
)
from inbound_webhooks.event.verification.scheme import first_match, to_bytes

MAX_VALIDATION_TOKEN_CHARS = 2_000
VALIDATION_EVENT = "Microsoft.EventGrid.SubscriptionValidationEvent"


def slack(request: HandshakeRequest) -> HandshakeResponse | None:
    """Answer ``url_verification`` (https://docs.slack.dev/reference/events/url_verification)."""
    document = request.document()
    if not isinstance(document, dict) or document.get("type") != "url_verification":
        return None
    return plain_text(challenge(document.get("challenge"), "challenge"))


def meta(request: HandshakeRequest) -> HandshakeResponse | None:
    """Answer ``hub.challenge`` if the request has the verify token
    (https://developers.facebook.com/docs/graph-api/webhooks/getting-started)."""
    values = [request.query_value(f"hub.{name}") for name in ("mode", "verify_token", "challenge")]
    if values == [None, None, None]:
        return None
    mode, token, text = values
    expected = [to_bytes(secret) for secret in request.secrets.get("verify", ()) if secret]
    if not expected:
        raise SecretMissing("verify")
    used = first_match(expected, [to_bytes(token or "")])
    if used is None:
        raise HandshakeForged("hub.verify_token is not this webhook's verify token.")
    # Checked after the token, so that the response tells nothing to a caller without it.
    if mode != "subscribe":
        raise HandshakeForged("hub.mode is not subscribe.")
    return replace(plain_text(challenge(text, "hub.challenge")), used=("verify", used))


def microsoft(request: HandshakeRequest) -> HandshakeResponse | None:
    """Answer Graph's ``validationToken`` and SharePoint's ``validationtoken``
    (https://learn.microsoft.com/graph/change-notifications-delivery-webhooks#notificationurl-validation).

    The token is opaque and may contain spaces. Markup, which Microsoft never sends, is escaped, because a
    browser might show the response.
    """
    names = [name for name in request.query.lists if name.lower() == "validationtoken"]
    if not names:
        return None
    if len(names) > 1:
        raise HandshakeMalformed("The query has validationToken in several spellings.")
    token = request.query_value(names[0]) or ""
    if not token or len(token) > MAX_VALIDATION_TOKEN_CHARS or not token.isprintable():
        raise HandshakeMalformed(
            f"validationToken is not 1 to {MAX_VALIDATION_TOKEN_CHARS} printable characters."
        )
    return plain_text(token.replace("<", "&lt;").replace(">", "&gt;"))


def dropbox(request: HandshakeRequest) -> HandshakeResponse | None:
    """Answer ``challenge`` (https://www.dropbox.com/developers/reference/webhooks)."""
    text = request.query_value("challenge")
    return None if text is None else plain_text(challenge(text, "challenge"))


def okta(request: HandshakeRequest) -> HandshakeResponse | None:
    """Answer the one-time verification
    (https://developer.okta.com/docs/concepts/event-hooks/#one-time-verification-request)."""
    text = request.header_value("X-Okta-Verification-Challenge")
    if text is None:
        return None
    return json_document({"verification": challenge(text, "X-Okta-Verification-Challenge")})


def event_grid(request: HandshakeRequest) -> HandshakeResponse | None:
    """Answer a subscription's validation code; its ``validationUrl`` is never fetched
    (https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema)."""
    events = request.document()
    # A validation event is always alone in its request.
    event = events[0] if isinstance(events, list) and len(events) == 1 else None
    if not isinstance(event, dict) or event.get("eventType") != VALIDATION_EVENT:
        return None
    data = event.get("data")
    code = data.get("validationCode") if isinstance(data, dict) else None
    return json_document({"validationResponse": challenge(code, "data.validationCode")})
