"""Mailgun webhooks and routes."""

from __future__ import annotations

from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="mailgun",
    title="Mailgun",
    documentation_url="https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks",
    steps=(
        "In Mailgun open Send, Sending, Webhooks, choose the domain, Add webhook.",
        "Choose the event type, URL: {url}",
        "Give this webhook the HTTP webhook signing key (Settings, API Security).",
    ),
    verification=({"kind": "mailgun", "tolerance_seconds": 300},),
    secrets=(
        Secret(
            purpose="signing",
            label="HTTP webhook signing key",
            help="Settings, API Security; it is one for the account.",
        ),
    ),
    signs_body=False,
    # The only thing in the body that the signature covers and that differs between requests.
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
    # Mailgun repeats whatever is not 200.
    invalid_status=200,
    notes=(
        "Mailgun signs a time and a token, never the event: who has seen one request can put any event "
        "behind "
        "its signature for five minutes. With the token as deduplication key it works once; limit the "
        "addresses too.",
        "Where Mailgun signs a repetition anew, its token is another one; then the event's id is the "
        "better key.",
        "Only 200 counts as success; 406 stops repetitions, anything else is repeated for about eight hours.",
        "Routes that forward mail with attachments send multipart/form-data, which is not read here.",
    ),
)
