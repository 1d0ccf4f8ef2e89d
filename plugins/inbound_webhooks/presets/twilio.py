"""Twilio messaging and voice webhooks."""

from __future__ import annotations

from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="twilio",
    title="Twilio",
    documentation_url="https://www.twilio.com/docs/usage/webhooks/webhooks-security",
    steps=(
        "In the Console open the phone number (or messaging service), Configure.",
        "A message comes in: Webhook, HTTP POST, {url}",
        "Give this webhook the account's primary auth token (Console, Account info).",
    ),
    verification=({"kind": "twilio"},),
    secrets=(
        Secret(
            purpose="signing",
            label="Auth token",
            help="The account's primary auth token; Twilio never signs with the secondary one.",
        ),
    ),
    dedup="${Webhook::Headers.I-Twilio-Idempotency-Token}",
    dedup_alternative=BODY_HASH,
    event_type="{{ body.MessageStatus | default(body.SmsStatus) | default(body.CallStatus) }}",
    events=(
        "sent",
        "delivered",
        "undelivered",
        "failed",
        "received",
    ),
    filter_example='body.To == "+18005551212" and body.NumMedia == "0"',
    mapping_example={
        "from": "${Webhook::Body.From}",
        "to": "${Webhook::Body.To}",
        "text": "${Webhook::Body.Body}",
    },
    response_status=200,
    response_content_type="text/xml",
    response_template='<?xml version="1.0" encoding="UTF-8"?><Response></Response>',
    disabled_status=503,
    notes=(
        "Twilio signs the URL that it calls: this server has to know it by the same host and path, so behind "
        "a proxy the public URL has to be set.",
        "Twilio signs no time and no delivery id: who captured a request can send it again under a new "
        "token; "
        "the body's hash as deduplication key stops that.",
        "The answer is an empty TwiML document, so no message goes back; a template may hold other TwiML.",
        "Twilio repeats a request only where its URL asks for that (#rc=…).",
    ),
)
