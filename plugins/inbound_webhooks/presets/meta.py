"""Meta: Facebook, Instagram, Messenger and WhatsApp Business."""

from __future__ import annotations

from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="meta",
    title="Meta (Facebook, Instagram, WhatsApp)",
    documentation_url="https://developers.facebook.com/docs/graph-api/webhooks/getting-started",
    steps=(
        "At developers.facebook.com open the app, Settings, Basic, and give its app secret to this webhook.",
        "Give this webhook a verify token too; it is yours to choose.",
        "Open Webhooks (for WhatsApp: WhatsApp, Configuration), choose the object, Callback URL: {url}",
        "Verify token: the one of this webhook; it has to be enabled to answer.",
        "Subscribe to the fields.",
    ),
    verification=({"kind": "hmac", "header": "X-Hub-Signature-256", "prefix": "sha256="},),
    secrets=(
        Secret(purpose="signing", label="App secret", help="The app's settings, Basic, App secret."),
        Secret(
            purpose="verify",
            label="Verify token",
            help="The field Verify token beside the callback URL.",
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
    notes=(
        "Meta signs no time: who captured a request can send it again; the body's hash as deduplication key "
        "stops that for as long as deliveries are kept.",
        "One request may carry up to 1,000 changes; it is one run.",
        "Meta repeats for 36 hours, WhatsApp for 7 days.",
    ),
)
