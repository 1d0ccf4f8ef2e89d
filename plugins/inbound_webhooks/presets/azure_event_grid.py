"""Azure Event Grid, also for Blob Storage."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="azure-event-grid",
    title="Azure Event Grid (Blob Storage)",
    documentation_url="https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema",
    steps=(
        "Open Events, Event Subscription of the topic or the storage account.",
        "Event schema: Event Grid Schema; endpoint type: Web Hook; endpoint: {url}",
        "To use a second key, append ?code= and the secret to the endpoint.",
        "Enable this webhook, then create the subscription: Event Grid requests a validation code "
        "immediately.",
    ),
    verification=({"kind": "query-key", "field": "code"},),
    secrets=(
        Secret(
            purpose="signing",
            label="Query key",
            help="The value of code in the endpoint's query. Without it, only the token in the URL "
            "protects it.",
            chosen_here=True,
            optional=True,
        ),
    ),
    signs_body=False,
    handshake="event-grid",
    # Several events in a request occur only with output batching.
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
    sample=SampleEvent(
        body=[
            {
                "topic": "/subscriptions/0000/resourceGroups/a/providers/Microsoft.Storage/storageAccounts/b",
                "subject": "/blobServices/default/containers/test-container/blobs/new-file.txt",
                "eventType": "Microsoft.Storage.BlobCreated",
                "eventTime": "2026-01-31T12:00:00.000Z",
                "id": "831e1650-001e-001b-66ab-eeb76e069631",
                "data": {
                    "api": "PutBlockList",
                    "clientRequestId": "6d79dbfb-0e37-4fc4-981f-442c9ca65760",
                    "requestId": "831e1650-001e-001b-66ab-eeb76e000000",
                    "eTag": '"0x8D4BCC2E4835CD0"',
                    "contentType": "text/plain",
                    "contentLength": 524288,
                    "blobType": "BlockBlob",
                    "url": "https://my-storage-account.blob.core.windows.net/test-container/new-file.txt",
                    "sequencer": "00000000000004420000000000028963",
                },
                "dataVersion": "",
                "metadataVersion": "1",
            }
        ],
        headers={"aeg-event-type": "Notification"},
        content_type="application/json; charset=utf-8",
    ),
    notes=(
        "Event Grid does not sign requests: anyone who knows the URL can send events.",
        "The link in a validation event is never fetched; the response is sufficient.",
        "For events in the CloudEvents schema use the preset cloudevents.",
        "Event Grid retries for 24 hours; after 400 and 413 it dead-letters the event immediately.",
    ),
)
