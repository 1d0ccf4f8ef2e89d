"""CloudEvents over HTTP webhooks, Azure Event Grid's CloudEvents schema included."""

from __future__ import annotations

from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="cloudevents",
    title="CloudEvents",
    documentation_url="https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md",
    steps=(
        "Give the sender the URL {url}",
        "Where it can send a token: Authorization: Bearer {secret}",
        "Azure Event Grid: event schema Cloud Event Schema v1.0, endpoint type Web Hook. It asks with "
        "OPTIONS "
        "at once, so this webhook has to be enabled.",
    ),
    verification=({"kind": "header-key", "header": "Authorization", "prefix": "Bearer "},),
    secrets=(
        Secret(
            purpose="signing",
            label="Access token",
            help="The Bearer token of the sender; without one only the URL's token protects it.",
            chosen_here=True,
            optional=True,
        ),
    ),
    signs_body=False,
    handshake="cloudevents",
    # source and id together are the event's identity, in headers (binary) or in the body (structured).
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
    notes=(
        "CloudEvents are not signed: who knows URL and token can send events.",
        "Every origin that asks with OPTIONS is let in: it knows the token of the URL.",
        "Batches (application/cloudevents-batch+json) are one run and have no deduplication key.",
        "410 makes a sender take the URL off; nothing here answers so.",
    ),
)
