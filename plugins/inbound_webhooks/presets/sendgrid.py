"""SendGrid's Event Webhook."""

from __future__ import annotations

from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="sendgrid",
    title="SendGrid events",
    documentation_url="https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features",
    steps=(
        "In SendGrid open Settings, Mail Settings, Event Webhooks, Create new webhook.",
        "Post URL: {url}",
        "Choose the actions, switch on Signed Event Webhook, and save.",
        "Open it again and give its verification key to this webhook.",
    ),
    verification=({"kind": "ecdsa"},),
    secrets=(
        Secret(
            purpose="signing",
            label="Verification key",
            help="The webhook's public key, as SendGrid shows it (MFkwEwYHKoZIzj0C…).",
        ),
    ),
    dedup=BODY_HASH,
    event_type="${Webhook::Body[0].event}",
    events=(
        "delivered",
        "bounce",
        "open",
        "click",
        "dropped",
        "spamreport",
    ),
    filter_example='body[0].event == "bounce"',
    mapping_example={"events": "${Webhook::Body}"},
    disabled_status=503,
    invalid_status=202,
    notes=(
        "One request carries many events; sg_event_id tells them apart. The whole request is one run.",
        "Repeated batches may be put together anew; then the body's hash does not find them.",
    ),
)
