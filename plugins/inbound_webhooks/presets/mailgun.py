"""Mailgun webhooks and routes."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="mailgun",
    title="Mailgun",
    documentation_url="https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks",
    steps=(
        "In Mailgun open Send, Sending, Webhooks, choose the domain, Add webhook.",
        "Choose the event type, URL: {url}",
        "Enter the HTTP webhook signing key (Settings, API Security) in this webhook.",
    ),
    verification=({"kind": "mailgun", "tolerance_seconds": 300},),
    secrets=(
        Secret(
            purpose="signing",
            label="HTTP webhook signing key",
            help="Settings, API Security; the account has one.",
        ),
    ),
    signs_body=False,
    # The only signed value in the body that differs between requests.
    dedup="{{ body.signature.token | default(body.token) }}",
    dedup_alternative='${Webhook::Body["event-data"].id}',
    event_type='${Webhook::Body["event-data"].event}',
    events=(
        "delivered",
        "opened",
        "clicked",
        "failed",
        "complained",
        "unsubscribed",
    ),
    filter_example='body["event-data"].event == "failed" and body["event-data"].severity == "permanent"',
    mapping_example={
        "event": '${Webhook::Body["event-data"].event}',
        "recipient": '${Webhook::Body["event-data"].recipient}',
    },
    response_status=200,
    disabled_status=503,
    # Mailgun retries after everything but 200.
    invalid_status=200,
    sample=SampleEvent(
        body={
            "event-data": {
                "event": "failed",
                "id": "G9Bn5sl1TC6nu79C8C0bwg",
                "timestamp": 1769860800.48,
                "log-level": "error",
                "severity": "permanent",
                "reason": "bounce",
                "recipient": "ada@example.com",
                "recipient-domain": "example.com",
                "message": {
                    "headers": {
                        "to": "Ada <ada@example.com>",
                        "message-id": "20260131120000.1.AAAA@mg.example.com",
                        "from": "Shop <shop@mg.example.com>",
                        "subject": "Your order",
                    },
                    "size": 111,
                },
                "delivery-status": {
                    "code": 605,
                    "message": "",
                    "description": "Not delivering to previously bounced address",
                },
                "tags": ["orders"],
                "user-variables": {"order": "1001"},
            }
        },
    ),
    notes=(
        "Mailgun signs a time and a token, never the event: anyone who has seen one request can send any "
        "event with its signature for five minutes. With the token as deduplication key it works once; "
        "restrict the source addresses too.",
        "If Mailgun signs a retry anew, its token differs; the event's id is the better key then.",
        "Only 200 counts as success. 406 stops retries, everything else is retried for about eight hours.",
        "Routes that forward mail with attachments send multipart/form-data, which expressions cannot read.",
    ),
)
