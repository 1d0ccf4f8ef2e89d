"""Okta event hooks."""

from __future__ import annotations

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
    notes=(
        "Okta does not sign requests: it sends the secret in clear with each one.",
        "One request may contain several events, which start one run.",
        "Okta retries once after a 5xx or no response, never after a 4xx.",
    ),
)
