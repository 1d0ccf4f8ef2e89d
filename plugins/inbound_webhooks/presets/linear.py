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
        "Choose the resources, create it, and enter its signing secret in this webhook.",
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
        Secret(
            purpose="signing", label="Signing secret", help="It is shown on the webhook's page in Linear."
        ),
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
        "The signed time may differ by 60 s, as Linear recommends: this server's clock has to be right.",
        "Linear-Delivery is not signed: within that minute, a captured request can be sent again under a new "
        "id.",
        "Linear retries three times within six hours, and may switch off a webhook that keeps failing.",
    ),
)
