"""Twilio messaging and voice webhooks."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="twilio",
    title="Twilio",
    documentation_url="https://www.twilio.com/docs/usage/webhooks/webhooks-security",
    steps=(
        "In the Console open the phone number (or messaging service), Configure.",
        "A message comes in: Webhook, HTTP POST, {url}",
        "Enter the account's primary auth token (Console, Account info) in this webhook.",
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
    sample=SampleEvent(
        body={
            "ToCountry": "US",
            "ToState": "",
            "SmsMessageSid": "SM1234567890abcdef1234567890abcdef",
            "NumMedia": "0",
            "ToCity": "",
            "FromZip": "94107",
            "SmsSid": "SM1234567890abcdef1234567890abcdef",
            "FromState": "CA",
            "SmsStatus": "received",
            "FromCity": "SAN FRANCISCO",
            "Body": "Where is my order?",
            "FromCountry": "US",
            "To": "+18005551212",
            "NumSegments": "1",
            "MessageSid": "SM1234567890abcdef1234567890abcdef",
            "AccountSid": "AC1234567890abcdef1234567890abcdef",
            "From": "+14158675309",
            "ApiVersion": "2010-04-01",
        },
        headers={
            "I-Twilio-Idempotency-Token": "b3f9c9e2-1111-4222-8333-444455556666",
            "User-Agent": "TwilioProxy/1.1",
        },
        content_type="application/x-www-form-urlencoded",
    ),
    notes=(
        "Twilio signs the URL that it calls: behind a proxy, set the public URL, so that this server knows"
        " the same host and path.",
        "Twilio signs neither a time nor the delivery id, so a captured request can be sent again under a "
        "new token. Use the body's hash as deduplication key to prevent that.",
        "The response is an empty TwiML document, so no message is sent back; use a template for other "
        "TwiML.",
        "Twilio retries a request only if its URL asks for that (#rc=…).",
    ),
)
