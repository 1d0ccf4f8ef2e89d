"""Zoom event subscriptions."""

from __future__ import annotations

from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="zoom",
    title="Zoom",
    documentation_url="https://developers.zoom.us/docs/api/webhooks/",
    steps=(
        "At marketplace.zoom.us open the app, Features, Access, and enter its secret token in this webhook.",
        "Enable this webhook, and add an event subscription with the event notification endpoint URL: {url}",
        "Validate the URL.",
        "Add the events and save.",
    ),
    verification=(
        {
            "kind": "hmac",
            "header": "x-zm-signature",
            "prefix": "v0=",
            "signed": "v0:{timestamp}:{body}",
            "timestamp_from": "x-zm-request-timestamp",
            "tolerance_seconds": 300,
        },
    ),
    secrets=(
        Secret(purpose="signing", label="Secret token", help="The app's Features, Access, Secret token."),
    ),
    handshake="zoom",
    dedup=BODY_HASH,
    event_type="${Webhook::Body.event}",
    events=(
        "meeting.started",
        "meeting.ended",
        "recording.completed",
    ),
    filter_example='body.event == "recording.completed"',
    mapping_example={
        "event": "${Webhook::Body.event}",
        "account": "${Webhook::Body.payload.account_id}",
        "object": "${Webhook::Body.payload.object}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=200,
    notes=(
        "Zoom validates the URL again every 72 hours, so a webhook that stays disabled loses its "
        "subscription.",
        "The response to that is signed with the secret that signs events. It is given only to a signed "
        "request, and only for a short token, so that no forged event can be signed that way.",
    ),
)
