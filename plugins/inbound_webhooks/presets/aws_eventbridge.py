"""Amazon EventBridge API destinations."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
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
    sample=SampleEvent(
        body={
            "version": "0",
            "id": "17793124-05d4-b198-2fde-7ededc63b103",
            "detail-type": "Object Created",
            "source": "aws.s3",
            "account": "111122223333",
            "time": "2026-01-31T12:00:00Z",
            "region": "eu-west-1",
            "resources": ["arn:aws:s3:::amzn-s3-demo-bucket1"],
            "detail": {
                "version": "0",
                "bucket": {"name": "amzn-s3-demo-bucket1"},
                "object": {
                    "key": "reports/2026-01.csv",
                    "size": 5,
                    "etag": "b1946ac92492d2347c6235b4d2611184",
                    "sequencer": "617f08299329d189",
                },
                "request-id": "N4N7GDK58NMKJ12R",
                "requester": "123456789012",
                "source-ip-address": "192.0.2.4",
                "reason": "PutObject",
            },
        },
        headers={"User-Agent": "Amazon/EventBridge/ApiDestinations"},
        content_type="application/json; charset=utf-8",
    ),
    notes=(
        "EventBridge does not sign requests: it sends the key in clear with each one.",
        "EventBridge retries for up to 24 hours after 429 and 5xx, and not after other errors.",
    ),
)
