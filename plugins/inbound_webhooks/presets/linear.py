"""Linear webhooks."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
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
    sample=SampleEvent(
        body={
            "action": "create",
            "type": "Issue",
            "createdAt": "2026-01-31T12:00:00.814Z",
            "actor": {"id": "b5ea5f1f-8adc-4f52-b4bd-ab4e84cf51ba", "type": "user", "name": "Ada Lovelace"},
            "data": {
                "id": "539068e2-ae88-4d09-bd75-22eb4a59612f",
                "identifier": "OPS-1",
                "title": "Load the January orders again",
                "priority": 2,
                "teamId": "72b2a2dc-6f4f-4423-9d34-24b5bd10634a",
                "state": {"id": "c1d2e3f4", "name": "Todo", "type": "unstarted"},
            },
            "url": "https://linear.app/example/issue/OPS-1",
            "organizationId": "d9c1f4a6-1f6d-4e0c-8f3b-2a5b6c7d8e9f",
            "webhookId": "000042e3-d123-4980-b49f-8e140eef9329",
        },
        headers={
            "Linear-Delivery": "234d1a4e-b617-4388-90fe-adc3633d6b72",
            "Linear-Event": "Issue",
            "User-Agent": "Linear-Webhook",
        },
        content_type="application/json; charset=utf-8",
    ),
    notes=(
        "The signed time may differ by 60 s, as Linear recommends: this server's clock has to be right.",
        "Linear-Delivery is not signed: within that minute, a captured request can be sent again under a new "
        "id.",
        "Linear retries three times within six hours, and may switch off a webhook that keeps failing.",
    ),
)
