"""Fivetran webhooks."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="fivetran",
    title="Fivetran",
    documentation_url="https://fivetran.com/docs/rest-api/webhooks",
    steps=(
        "Enable this webhook: Fivetran sends a test immediately.",
        "POST to https://api.fivetran.com/v1/webhooks/account with url: {url}",
        "In the same request: the events (sync_end is the one with a result), active true, secret: {secret}",
    ),
    # Upper-case hex in requests, lower-case in Fivetran's documentation.
    verification=({"kind": "hmac", "header": "X-Fivetran-Signature-256", "encoding": "hex-any-case"},),
    secrets=(
        Secret(
            purpose="signing",
            label="Secret",
            help="The secret in the request that creates the webhook.",
            chosen_here=True,
        ),
    ),
    dedup=BODY_HASH,
    event_type="${Webhook::Body.event}",
    events=(
        "sync_start",
        "sync_end",
        "transformation_run_succeeded",
        "transformation_run_failed",
    ),
    filter_example='body.event == "sync_end" and body.data.status == "SUCCESSFUL"',
    mapping_example={
        "connector": "${Webhook::Body.connector_id}",
        "sync": "${Webhook::Body.sync_id}",
        "status": "${Webhook::Body.data.status}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body={
            "event": "sync_end",
            "created": "2026-01-31T12:00:30.386Z",
            "connector_type": "postgres",
            "connector_id": "mystified_presence",
            "connector_name": "orders",
            "sync_id": "a1c0c8f3-7d1f-4a3b-9df1-1f2e3d4c5b6a",
            "destination_group_id": "deck_enjoy",
            "data": {"status": "SUCCESSFUL"},
        },
    ),
    notes=(
        "Fivetran switches a webhook off after 24 hours of failures; do not keep this one disabled for "
        "longer.",
        "Fivetran does not sign a time, so a captured request can be sent again. The body's hash as "
        "deduplication key prevents that for as long as deliveries are kept.",
    ),
)
