"""Typeform webhooks."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="typeform",
    title="Typeform",
    documentation_url="https://www.typeform.com/developers/webhooks/secure-your-webhooks/",
    steps=(
        "Open the form, Connect, Webhooks, Add a webhook.",
        "Endpoint: {url}",
        "Edit it, Secret: {secret}",
        "Switch the webhook on.",
    ),
    verification=(
        {"kind": "hmac", "header": "Typeform-Signature", "prefix": "sha256=", "encoding": "base64"},
    ),
    secrets=(
        Secret(
            purpose="signing",
            label="Secret",
            help="The field Secret in the form's webhook.",
            chosen_here=True,
        ),
    ),
    dedup="${Webhook::Body.event_id}",
    event_type="${Webhook::Body.event_type}",
    events=("form_response",),
    filter_example='body.form_response.form_id == "aBcDefGhIj"',
    mapping_example={
        "form": "${Webhook::Body.form_response.form_id}",
        "answers": "${Webhook::Body.form_response.answers}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body={
            "event_id": "01HZX3K9T5Q2V7W8Y9Z0A1B2C3",
            "event_type": "form_response",
            "form_response": {
                "form_id": "aBcDefGhIj",
                "token": "a3a12ec67a1365927098a606107fac15",
                "submitted_at": "2026-01-31T12:00:00Z",
                "landed_at": "2026-01-31T11:58:00Z",
                "hidden": {"order_id": "1001"},
                "calculated": {"score": 9},
                "definition": {
                    "id": "aBcDefGhIj",
                    "title": "How was your order?",
                    "fields": [
                        {
                            "id": "DlXFaesGBpoF",
                            "title": "What was good?",
                            "type": "long_text",
                            "ref": "what_was_good",
                        }
                    ],
                },
                "answers": [
                    {
                        "type": "text",
                        "text": "It arrived early.",
                        "field": {"id": "DlXFaesGBpoF", "type": "long_text", "ref": "what_was_good"},
                    },
                    {
                        "type": "number",
                        "number": 5,
                        "field": {"id": "SMEUb7VJz92Q", "type": "rating", "ref": "stars"},
                    },
                ],
            },
        },
    ),
    notes=(
        "Typeform does not sign a time, so a captured request can be sent again. The event's id is signed "
        "and prevents that for as long as deliveries are kept.",
        "404 and 410 can make Typeform switch the webhook off.",
    ),
)
