"""PagerDuty V3 webhook subscriptions."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="pagerduty",
    title="PagerDuty",
    documentation_url="https://developer.pagerduty.com/docs/verifying-webhook-signatures",
    steps=(
        "In PagerDuty open Integrations, Generic Webhooks (v3), New Webhook.",
        "Webhook URL: {url}",
        "Choose scope and events, and add it.",
        "Copy the secret, which is shown once, and enter it in this webhook.",
    ),
    verification=({"kind": "hmac", "header": "X-PagerDuty-Signature", "prefix": "v1=", "layout": "list"},),
    secrets=(
        Secret(
            purpose="signing",
            label="Webhook secret",
            help="PagerDuty shows it once, when the subscription is created.",
        ),
    ),
    dedup="${Webhook::Headers.X-Webhook-Id}",
    dedup_alternative="${Webhook::Body.event.id}",
    event_type="${Webhook::Body.event.event_type}",
    events=(
        "incident.triggered",
        "incident.acknowledged",
        "incident.resolved",
        "incident.escalated",
    ),
    filter_example='body.event.event_type == "incident.triggered" and body.event.data.urgency == "high"',
    mapping_example={
        "type": "${Webhook::Body.event.event_type}",
        "incident": "${Webhook::Body.event.data.id}",
        "service": "${Webhook::Body.event.data.service.summary}",
    },
    response_status=202,
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body={
            "event": {
                "id": "01BBYA6PH3QPDFOYRBT8LMHMT2",
                "event_type": "incident.triggered",
                "resource_type": "incident",
                "occurred_at": "2026-01-31T12:00:00.000Z",
                "agent": None,
                "client": None,
                "data": {
                    "id": "PGR0VU2",
                    "type": "incident",
                    "self": "https://api.pagerduty.com/incidents/PGR0VU2",
                    "html_url": "https://example.pagerduty.com/incidents/PGR0VU2",
                    "number": 2,
                    "status": "triggered",
                    "title": "The warehouse is full",
                    "created_at": "2026-01-31T12:00:00Z",
                    "urgency": "high",
                    "service": {
                        "id": "PF9KMXH",
                        "type": "service_reference",
                        "summary": "Warehouse",
                        "html_url": "https://example.pagerduty.com/services/PF9KMXH",
                    },
                    "assignees": [{"id": "PTUXL6G", "type": "user_reference", "summary": "Ada Lovelace"}],
                    "priority": {"id": "PSO75BM", "type": "priority_reference", "summary": "P1"},
                },
            }
        },
        headers={
            "User-Agent": "PagerDuty-Webhook/V3.0",
            "X-Webhook-Id": "d6a2d3f4-0000-4000-8000-000000000001",
            "X-Webhook-Subscription": "PU9TXJD",
        },
    ),
    notes=(
        "PagerDuty signs neither a time nor X-Webhook-Id, so a captured request can be sent again under a "
        "new id. Use the event's id as deduplication key to prevent that.",
        "PagerDuty drops an event after a 4xx, and pauses for a day after three in a row, so a disabled "
        "webhook responds with 503.",
        "Events of an incident are sent in order: a slow response delays the next one.",
    ),
)
