"""Fivetran webhooks."""

from __future__ import annotations

from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="fivetran",
    title="Fivetran",
    documentation_url="https://fivetran.com/docs/rest-api/webhooks",
    steps=(
        "POST to https://api.fivetran.com/v1/webhooks/account with url: {url}",
        "In the same request: the events (sync_end is the one with a result), active true, secret: {secret}",
        "Fivetran sends a test at once; this webhook has to be enabled to take it.",
    ),
    # Upper-case hex on the wire, lower-case in Fivetran's examples.
    verification=({"kind": "hmac", "header": "X-Fivetran-Signature-256", "encoding": "hex-any-case"},),
    secrets=(
        Secret(
            purpose="signing",
            label="Secret",
            help="The secret of the request that creates the webhook.",
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
    notes=(
        "Fivetran switches a webhook off after 24 hours of failures; do not leave this one disabled for "
        "longer.",
        "Fivetran signs no time: who captured a request can send it again; the body's hash as deduplication "
        "key stops that for as long as deliveries are kept.",
    ),
)
