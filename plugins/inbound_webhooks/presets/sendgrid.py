"""SendGrid's Event Webhook."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="sendgrid",
    title="SendGrid events",
    documentation_url="https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features",
    steps=(
        "In SendGrid open Settings, Mail Settings, Event Webhooks, Create new webhook.",
        "Post URL: {url}",
        "Choose the actions, switch on Signed Event Webhook, and save.",
        "Open it again and enter its verification key in this webhook.",
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
    sample=SampleEvent(
        body=[
            {
                "email": "ada@example.com",
                "timestamp": 1769860800,
                "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
                "event": "bounce",
                "category": ["orders"],
                "sg_event_id": "6g4ZI7SA-xmRDv57GoPIPw==",
                "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
                "reason": "500 unknown recipient",
                "status": "5.0.0",
                "type": "bounce",
            }
        ],
    ),
    notes=(
        "One request contains many events, each with its sg_event_id; together they start one run.",
        "Retries may batch events differently; the body's hash does not recognise them then.",
    ),
)
