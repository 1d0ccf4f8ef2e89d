"""Linear webhooks."""

from __future__ import annotations

from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="linear",
    title="Linear",
    documentation_url="https://linear.app/developers/webhooks",
    steps=(
        "In Linear open Settings, API, Webhooks, New webhook.",
        "URL: {url}",
        "Choose the resources, create it, and give its signing secret to this webhook.",
    ),
    verification=(
        {
            "kind": "hmac",
            "header": "Linear-Signature",
            "body_timestamp": "webhookTimestamp",
            "tolerance_seconds": 60,
        },
    ),
    secrets=(
        Secret(purpose="signing", label="Signing secret", help="Shown on the webhook's page in Linear."),
    ),
    dedup="${Webhook::Headers.Linear-Delivery}",
    dedup_alternative=BODY_HASH,
    event_type="${Webhook::Body.type}",
    events=(
        "Issue",
        "Comment",
        "Project",
        "Cycle",
    ),
    filter_example='body.type == "Issue" and body.action == "create"',
    mapping_example={
        "type": "${Webhook::Body.type}",
        "action": "${Webhook::Body.action}",
        "data": "${Webhook::Body.data}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    notes=(
        "The signed time may be 60 s off, as Linear asks for: this server's clock has to be right.",
        "Linear-Delivery stands outside the signature: within that minute who captured a request can send it "
        "again under a new one.",
        "Linear tries three times more, within six hours, and may switch off a webhook that keeps failing.",
    ),
)
