"""Senders that use Svix: Clerk, Resend, and many more."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="svix",
    title="Svix",
    documentation_url="https://docs.svix.com/receiving/verifying-payloads/how",
    steps=(
        "In the sender's webhook portal choose Add Endpoint, URL: {url}",
        "Choose the events and create it.",
        "Enter the endpoint's signing secret (whsec_…) in this webhook.",
    ),
    verification=({"kind": "standard-webhooks", "header_prefix": "svix-"},),
    secrets=(
        Secret(
            purpose="signing",
            label="Signing secret",
            help="The endpoint's signing secret: whsec_ and Base64.",
        ),
    ),
    dedup="${Webhook::Headers.svix-id}",
    event_type="${Webhook::Body.type}",
    filter_example='body.type == "user.created"',
    mapping_example={"type": "${Webhook::Body.type}", "data": "${Webhook::Body.data}"},
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body={
            "type": "user.created",
            "timestamp": 1769860800000,
            "object": "event",
            "data": {
                "id": "user_29w83sxmDNGwOuEthce5gg56FcC",
                "object": "user",
                "first_name": "Ada",
                "last_name": "Lovelace",
                "email_addresses": [
                    {"id": "idn_29w83yL7CwVlJXylYLxcslromF1", "email_address": "ada@example.com"}
                ],
                "created_at": 1769860800000,
            },
        },
    ),
    notes=(
        "Svix switches an endpoint off after five days of failures.",
        "Some senders use the headers webhook-… instead of svix-…: use the preset standard-webhooks for "
        "them.",
    ),
)
