"""Amazon EventBridge API destinations."""

from __future__ import annotations

from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="aws-eventbridge",
    title="Amazon EventBridge (API destination)",
    documentation_url="https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html",
    steps=(
        "In EventBridge open API destinations, Connections, Create connection: custom, API key.",
        "API key name: X-Api-Key; value: {secret}",
        "Create an API destination with this connection, method POST, endpoint: {url}",
        "Make it the target of a rule, with a dead-letter queue.",
    ),
    verification=({"kind": "header-key", "header": "X-Api-Key"},),
    secrets=(
        Secret(
            purpose="signing",
            label="API key",
            help="The value of the connection's API key.",
            chosen_here=True,
        ),
    ),
    signs_body=False,
    dedup="${Webhook::Body.id}",
    event_type="${Webhook::Body.detail-type}",
    events=(
        "Object Created",
        "Object Deleted",
        "Scheduled Event",
    ),
    filter_example='body.source == "aws.s3" and body["detail-type"] == "Object Created"',
    mapping_example={
        "bucket": "${Webhook::Body.detail.bucket.name}",
        "key": "${Webhook::Body.detail.object.key}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    notes=(
        "EventBridge does not sign requests: it sends the key in clear with each one.",
        "EventBridge retries for up to 24 hours after 429 and 5xx, and not after other errors.",
    ),
)
