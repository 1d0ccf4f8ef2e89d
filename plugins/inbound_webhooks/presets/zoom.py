"""Zoom event subscriptions."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="zoom",
    title="Zoom",
    documentation_url="https://developers.zoom.us/docs/api/webhooks/",
    steps=(
        "At marketplace.zoom.us open the app, Features, Access, and enter its secret token in this webhook.",
        "Enable this webhook, and add an event subscription with the event notification endpoint URL: {url}",
        "Validate the URL.",
        "Add the events and save.",
    ),
    verification=(
        {
            "kind": "hmac",
            "header": "x-zm-signature",
            "prefix": "v0=",
            "signed": "v0:{timestamp}:{body}",
            "timestamp_from": "x-zm-request-timestamp",
            "tolerance_seconds": 300,
        },
    ),
    secrets=(
        Secret(purpose="signing", label="Secret token", help="The app's Features, Access, Secret token."),
    ),
    handshake="zoom",
    dedup=BODY_HASH,
    event_type="${Webhook::Body.event}",
    events=(
        "meeting.started",
        "meeting.ended",
        "recording.completed",
    ),
    filter_example='body.event == "recording.completed"',
    mapping_example={
        "event": "${Webhook::Body.event}",
        "account": "${Webhook::Body.payload.account_id}",
        "object": "${Webhook::Body.payload.object}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=200,
    sample=SampleEvent(
        body={
            "event": "recording.completed",
            "event_ts": 1769860800000,
            "download_token": "abJhbGciOiJIUzUxMiJ9.yJhY2NvdW50SWQ",
            "payload": {
                "account_id": "AAAAAABBBB",
                "object": {
                    "id": 1234567890,
                    "uuid": "4444AAAiAAAAAiAiAiiAii==",
                    "host_id": "x1yCzABCDEfg23HiJKl4mN",
                    "topic": "Weekly review",
                    "type": 2,
                    "start_time": "2026-01-31T11:00:00Z",
                    "timezone": "Europe/Berlin",
                    "duration": 55,
                    "total_size": 529758,
                    "recording_count": 1,
                    "recording_files": [
                        {
                            "id": "ed6c2f27-2ae7-42f4-b3d0-835b493e4fa8",
                            "meeting_id": "4444AAAiAAAAAiAiAiiAii==",
                            "recording_start": "2026-01-31T11:00:00Z",
                            "recording_end": "2026-01-31T11:55:00Z",
                            "file_type": "MP4",
                            "file_size": 246560,
                            "recording_type": "shared_screen_with_speaker_view",
                            "status": "completed",
                        }
                    ],
                },
            },
        },
        headers={"User-Agent": "Zoom Marketplace/1.0a"},
        content_type="application/json; charset=utf-8",
    ),
    notes=(
        "Zoom validates the URL again every 72 hours, so a webhook that stays disabled loses its "
        "subscription.",
        "The response to that is signed with the secret that signs events. It is given only to a signed "
        "request, and only for a short token, so that no forged event can be signed that way.",
    ),
)
