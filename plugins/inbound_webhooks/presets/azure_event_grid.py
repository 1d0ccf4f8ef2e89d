"""Azure Event Grid, and Blob Storage through it."""

from __future__ import annotations

from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="azure-event-grid",
    title="Azure Event Grid (Blob Storage)",
    documentation_url="https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema",
    steps=(
        "At the topic or the storage account open Events, Event Subscription.",
        "Event schema: Event Grid Schema; endpoint type: Web Hook; endpoint: {url}",
        "To have a second key: append ?code= and the secret to the endpoint.",
        "Create it; Event Grid asks for a validation code at once, so this webhook has to be enabled.",
    ),
    verification=({"kind": "query-key", "field": "code"},),
    secrets=(
        Secret(
            purpose="signing",
            label="Query key",
            help="The value of code in the endpoint's query; without one only the URL's token protects it.",
            chosen_here=True,
            optional=True,
        ),
    ),
    signs_body=False,
    handshake="event-grid",
    # Several events come only where output batching is on.
    dedup="{{ body[0].id if body | length == 1 else body | sha256 }}",
    event_type="${Webhook::Body[0].eventType}",
    events=(
        "Microsoft.Storage.BlobCreated",
        "Microsoft.Storage.BlobDeleted",
    ),
    filter_example='body[0].eventType == "Microsoft.Storage.BlobCreated"',
    mapping_example={
        "url": "${Webhook::Body[0].data.url}",
        "subject": "${Webhook::Body[0].subject}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    notes=(
        "Event Grid signs nothing: who knows the URL can send events.",
        "The link in a validation event is never fetched; the answer is enough.",
        "Events in the CloudEvents schema need the preset cloudevents.",
        "Event Grid repeats for 24 hours; 400 and 413 go to the dead letters at once.",
    ),
)
