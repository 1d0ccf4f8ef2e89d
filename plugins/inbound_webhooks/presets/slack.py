"""Slack's Events API."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

SLACK_SCHEME = {
    "kind": "hmac",
    "header": "X-Slack-Signature",
    "prefix": "v0=",
    "signed": "v0:{timestamp}:{body}",
    "timestamp_from": "X-Slack-Request-Timestamp",
    "tolerance_seconds": 300,
}
"""https://docs.slack.dev/authentication/verifying-requests-from-slack"""

SLACK_SECRET = Secret(
    purpose="signing",
    label="Signing secret",
    help="In the app's settings: Basic Information, App Credentials, Signing Secret.",
)

PRESET = Preset(
    name="slack",
    title="Slack events",
    documentation_url="https://docs.slack.dev/apis/events-api/using-http-request-urls",
    steps=(
        "At api.slack.com/apps open the app, Basic Information, and enter its signing secret in this "
        "webhook.",
        "Enable this webhook: Slack sends a challenge immediately.",
        "Open Event Subscriptions, switch it on, Request URL: {url}",
        "Subscribe to the events, save, and reinstall the app if Slack asks for it.",
    ),
    verification=(SLACK_SCHEME,),
    secrets=(SLACK_SECRET,),
    handshake="slack",
    dedup="${Webhook::Body.event_id}",
    event_type="${Webhook::Body.event.type}",
    events=(
        "message",
        "app_mention",
        "file_shared",
        "channel_created",
    ),
    filter_example='body.event.type == "message" and body.event.channel == "C024BE91L"',
    mapping_example={
        "type": "${Webhook::Body.event.type}",
        "user": "${Webhook::Body.event.user}",
        "text": "${Webhook::Body.event.text}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body={
            "token": "Jhj5dZrVaK7ZwHHjRyZWjbDl",
            "team_id": "T061EG9RZ",
            "api_app_id": "A0FFV41KK",
            "type": "event_callback",
            "event_id": "Ev9UQ52YNA",
            "event_time": 1769860800,
            "event_context": "EC12345",
            "event": {
                "type": "message",
                "channel": "C024BE91L",
                "channel_type": "channel",
                "user": "U2147483697",
                "text": "deploy orders",
                "ts": "1769860800.000200",
                "event_ts": "1769860800.000200",
                "team": "T061EG9RZ",
            },
            "authorizations": [
                {"enterprise_id": None, "team_id": "T061EG9RZ", "user_id": "U061F7AUR", "is_bot": True}
            ],
        },
    ),
    notes=(
        "Slack waits 3 seconds, then retries, up to three times; the event id stays the same.",
        "Slack switches an app's events off if nearly all of them fail within an hour.",
        "A regenerated signing secret takes effect immediately, without an overlap.",
        "Interactivity is sent as a form with the JSON in the field payload: "
        "{{ (body.payload | fromjson).type }}.",
    ),
)
