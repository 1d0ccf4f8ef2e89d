"""CloudEvents over HTTP webhooks, Azure Event Grid's CloudEvents schema included."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="cloudevents",
    title="CloudEvents",
    documentation_url="https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md",
    steps=(
        "Give the sender the URL {url}",
        "If it can send a token: Authorization: Bearer {secret}",
        "Azure Event Grid: enable this webhook first, since Event Grid sends OPTIONS immediately. Event "
        "schema Cloud Event Schema v1.0, endpoint type Web Hook.",
    ),
    verification=({"kind": "header-key", "header": "Authorization", "prefix": "Bearer "},),
    secrets=(
        Secret(
            purpose="signing",
            label="Access token",
            help="The sender's Bearer token. Without it, only the token in the URL protects this webhook.",
            chosen_here=True,
            optional=True,
        ),
    ),
    signs_body=False,
    handshake="cloudevents",
    # source and id together identify an event, in headers (binary mode) or in the body (structured mode).
    dedup="{{ headers['Ce-Source'] ~ ' ' ~ headers['Ce-Id'] if headers['Ce-Id'] is defined"
    " else body.source ~ ' ' ~ body.id if body.id is defined else '' }}",
    event_type="{{ headers['Ce-Type'] | default(body.type) }}",
    filter_example='(headers["Ce-Type"] | default(body.type)) == "Microsoft.Storage.BlobCreated"',
    mapping_example={
        "type": "{{ headers['Ce-Type'] | default(body.type) }}",
        "source": "{{ headers['Ce-Source'] | default(body.source) }}",
        "data": "{{ body if headers['Ce-Id'] is defined else body.data }}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body={
            "specversion": "1.0",
            "type": "Microsoft.Storage.BlobCreated",
            "source": "/subscriptions/0000/storageAccounts/uploads",
            "subject": "blobs/new-file.txt",
            "id": "A234-1234-1234",
            "time": "2026-01-31T12:00:00Z",
            "datacontenttype": "application/json",
            "data": {"url": "https://uploads.example.com/new-file.txt", "contentLength": 524288},
        },
        content_type="application/cloudevents+json; charset=utf-8",
    ),
    notes=(
        "CloudEvents are not signed: anyone who knows URL and token can send events.",
        "Every origin that asks with OPTIONS is allowed, since it knows the token in the URL.",
        "A batch (application/cloudevents-batch+json) starts one run and has no deduplication key.",
        "410 would make a sender remove the URL; this webhook never responds with it.",
    ),
)
