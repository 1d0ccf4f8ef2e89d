"""Any sender that can add a header."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="generic-api-key",
    title="Any sender with an API key",
    documentation_url="https://www.rfc-editor.org/rfc/rfc6750",
    steps=(
        "Give the sender the URL {url}",
        "Have it add the header X-Api-Key: {secret}",
        "For Authorization: Bearer, set header and prefix of the verification to Authorization and Bearer.",
    ),
    verification=({"kind": "header-key", "header": "X-Api-Key", "prefix": ""},),
    secrets=(
        Secret(
            purpose="signing",
            label="API key",
            help="The key that the sender adds, 32 random characters or more.",
            chosen_here=True,
        ),
    ),
    signs_body=False,
    dedup_alternative=BODY_HASH,
    event_type="${Webhook::Body.type}",
    filter_example='body.type == "order.created"',
    mapping_example={"type": "${Webhook::Body.type}", "data": "${Webhook::Body.data}"},
    sample=SampleEvent(
        body={
            "type": "order.created",
            "id": "evt_1001",
            "created_at": "2026-01-31T12:00:00Z",
            "data": {"order_id": 1001, "customer": "Ada Lovelace", "total": 59.9, "currency": "EUR"},
        },
    ),
    notes=(
        "The key is sent in clear with every request and does not cover the body: anyone who sees one "
        "request can send any other. Use generic-hmac for a sender that can sign.",
    ),
)
