"""Meta: Facebook, Instagram, Messenger and WhatsApp Business."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="meta",
    title="Meta (Facebook, Instagram, WhatsApp)",
    documentation_url="https://developers.facebook.com/docs/graph-api/webhooks/getting-started",
    steps=(
        "At developers.facebook.com open the app, Settings, Basic, and enter its app secret in this webhook.",
        "Choose a verify token, enter it in this webhook too, and enable the webhook.",
        "Open Webhooks (for WhatsApp: WhatsApp, Configuration), choose the object, Callback URL: {url}",
        "Verify token: the same as in this webhook.",
        "Subscribe to the fields.",
    ),
    verification=({"kind": "hmac", "header": "X-Hub-Signature-256", "prefix": "sha256="},),
    secrets=(
        Secret(purpose="signing", label="App secret", help="The app's settings, Basic, App secret."),
        Secret(
            purpose="verify",
            label="Verify token",
            help="The field Verify token next to the callback URL.",
            chosen_here=True,
        ),
    ),
    handshake="meta",
    dedup=BODY_HASH,
    event_type="${Webhook::Body.object}",
    events=(
        "page",
        "instagram",
        "whatsapp_business_account",
    ),
    filter_example='body.object == "whatsapp_business_account"'
    ' and body.entry[0].changes[0].field == "messages"',
    mapping_example={
        "object": "${Webhook::Body.object}",
        "field": "${Webhook::Body.entry[0].changes[0].field}",
        "value": "${Webhook::Body.entry[0].changes[0].value}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=200,
    sample=SampleEvent(
        body={
            "object": "whatsapp_business_account",
            "entry": [
                {
                    "id": "102290129340398",
                    "changes": [
                        {
                            "field": "messages",
                            "value": {
                                "messaging_product": "whatsapp",
                                "metadata": {
                                    "display_phone_number": "15550783881",
                                    "phone_number_id": "106540352242922",
                                },
                                "contacts": [{"profile": {"name": "Ada Lovelace"}, "wa_id": "16505551234"}],
                                "messages": [
                                    {
                                        "from": "16505551234",
                                        "id": "wamid.HBgLMTY1MDM4Nzk0MzkVAgA=",
                                        "timestamp": "1769860800",
                                        "type": "text",
                                        "text": {"body": "Where is my order?"},
                                    }
                                ],
                            },
                        }
                    ],
                }
            ],
        },
    ),
    notes=(
        "Meta does not sign a time, so a captured request can be sent again. The body's hash as "
        "deduplication key prevents that for as long as deliveries are kept.",
        "One request may contain up to 1,000 changes, which start one run.",
        "Meta retries for 36 hours, WhatsApp for 7 days.",
    ),
)
