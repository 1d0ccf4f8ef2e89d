"""Okta event hooks."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="okta",
    title="Okta event hooks",
    documentation_url="https://developer.okta.com/docs/concepts/event-hooks/",
    steps=(
        "In the Admin Console open Workflow, Event Hooks, Create event hook.",
        "URL: {url}",
        "Authentication field: Authorization; authentication secret: {secret}",
        "Enable this webhook, choose the events, save, and verify.",
    ),
    verification=({"kind": "header-key", "header": "Authorization"},),
    secrets=(
        Secret(
            purpose="signing",
            label="Authentication secret",
            help="The field Authentication secret of the event hook.",
            chosen_here=True,
        ),
    ),
    signs_body=False,
    handshake="okta",
    dedup="${Webhook::Body.eventId}",
    event_type="${Webhook::Body.data.events[0].eventType}",
    events=(
        "user.lifecycle.create",
        "user.lifecycle.deactivate",
        "user.session.start",
    ),
    filter_example='body.data.events[0].eventType == "user.lifecycle.create"',
    mapping_example={"events": "${Webhook::Body.data.events}"},
    response_status=200,
    disabled_status=503,
    sample=SampleEvent(
        body={
            "eventType": "com.okta.event_hook",
            "eventTypeVersion": "1.0",
            "cloudEventsVersion": "0.1",
            "source": "https://example.okta.com/api/v1/eventHooks/who8vt36qfNpCGz9H1e6",
            "eventId": "b5a188b9-5ece-4636-b041-482ffda96311",
            "eventTime": "2026-01-31T12:00:00.000Z",
            "contentType": "application/json",
            "data": {
                "events": [
                    {
                        "uuid": "f790999f-fe87-467a-9880-6982a583986c",
                        "published": "2026-01-31T12:00:00.000Z",
                        "eventType": "user.lifecycle.create",
                        "version": "0",
                        "displayMessage": "Create Okta user",
                        "severity": "INFO",
                        "actor": {
                            "id": "00uq8tMo3zV0OfJON0g3",
                            "type": "User",
                            "alternateId": "admin@example.com",
                            "displayName": "Administrator",
                        },
                        "outcome": {"result": "SUCCESS"},
                        "target": [
                            {
                                "id": "00uq8tMo3zV0OfJON0g4",
                                "type": "User",
                                "alternateId": "ada@example.com",
                                "displayName": "Ada Lovelace",
                            }
                        ],
                    }
                ]
            },
        },
    ),
    notes=(
        "Okta does not sign requests: it sends the secret in clear with each one.",
        "One request may contain several events, which start one run.",
        "Okta retries once after a 5xx or no response, never after a 4xx.",
    ),
)
