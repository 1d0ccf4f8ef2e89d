"""Any sender that follows Standard Webhooks."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="standard-webhooks",
    title="Standard Webhooks",
    documentation_url="https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
    steps=(
        "Add an endpoint at the sender's with the URL {url}",
        "Enter the endpoint's secret in this webhook: whsec_… is a shared secret, whpk_… a public key.",
    ),
    verification=({"kind": "standard-webhooks"},),
    secrets=(
        Secret(
            purpose="signing",
            label="Signing secret",
            help="whsec_ (shared secret) or whpk_ (Ed25519 public key) and Base64.",
        ),
    ),
    dedup="${Webhook::Headers.webhook-id}",
    event_type="${Webhook::Body.type}",
    filter_example='body.type == "contact.created"',
    mapping_example={"type": "${Webhook::Body.type}", "data": "${Webhook::Body.data}"},
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body={
            "type": "contact.created",
            "timestamp": "2026-01-31T12:00:00.000000Z",
            "data": {
                "id": "1f81eb52-5198-4599-803e-771906343485",
                "type": "contact",
                "first_name": "Ada",
                "last_name": "Lovelace",
                "email": "ada@example.com",
            },
        },
    ),
    notes=(
        "410 would make a sender that follows the specification switch the endpoint off; this webhook never "
        "responds with it.",
        "During a rotation, one header contains several signatures; one valid signature is sufficient.",
    ),
)
