"""Google Cloud Pub/Sub push subscriptions, also for Cloud Storage."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="google-pubsub",
    title="Google Cloud Pub/Sub (Cloud Storage)",
    documentation_url="https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions",
    steps=(
        "Create a subscription: delivery type Push, endpoint URL: {url}",
        "To verify the sender: enable authentication, choose a service account, and enter audience and email "
        "in the verification.",
        "Let the dispatcher fetch Google's key set (--refresh-keys), or enter the content of "
        "https://www.googleapis.com/oauth2/v3/certs as the secret and renew it every week.",
        "For Cloud Storage: gcloud storage buckets notifications create gs://BUCKET --topic=TOPIC.",
    ),
    verification=({"kind": "jwt", "algorithms": ["RS256"], "issuer": "https://accounts.google.com"},),
    secrets=(
        Secret(
            purpose="signing",
            label="Google's key set",
            help="The JSON at https://www.googleapis.com/oauth2/v3/certs. Google changes it about every "
            "week. Without it, only the token in the URL protects this webhook.",
            optional=True,
        ),
    ),
    signs_body=False,
    dedup="${Webhook::Body.message.messageId}",
    event_type="${Webhook::Body.message.attributes.eventType}",
    events=(
        "OBJECT_FINALIZE",
        "OBJECT_DELETE",
        "OBJECT_METADATA_UPDATE",
        "OBJECT_ARCHIVE",
    ),
    filter_example='body.message.attributes.eventType == "OBJECT_FINALIZE"',
    mapping_example={
        "bucket": "${Webhook::Body.message.attributes.bucketId}",
        "object": "${Webhook::Body.message.attributes.objectId}",
        "data": "{{ body.message.data | b64decode }}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body={
            "message": {
                "attributes": {
                    "bucketId": "uploads",
                    "eventTime": "2026-01-31T12:00:00.000000Z",
                    "eventType": "OBJECT_FINALIZE",
                    "notificationConfig": "projects/_/buckets/uploads/notificationConfigs/1",
                    "objectGeneration": "1700000000000000",
                    "objectId": "reports/2026-01.csv",
                    "payloadFormat": "JSON_API_V1",
                },
                "data": "eyJuYW1lIjogInJlcG9ydHMvMjAyNi0wMS5jc3YifQ==",
                "messageId": "2070443601311540",
                "publishTime": "2026-01-31T12:00:00.917Z",
            },
            "subscription": "projects/myproject/subscriptions/mysubscription",
        },
    ),
    notes=(
        "Google's token identifies sender and audience; it does not cover the body.",
        "Without audience and email in the verification, every Google service account that knows the URL is "
        "accepted.",
        "Google's keys change about every week: have them fetched, or renew them yourself.",
        "Pub/Sub retries everything but a success until the message's retention ends, 7 days by default.",
    ),
)
