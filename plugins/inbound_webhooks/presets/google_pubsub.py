"""Google Cloud Pub/Sub push subscriptions, and Cloud Storage through them."""

from __future__ import annotations

from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="google-pubsub",
    title="Google Cloud Pub/Sub (Cloud Storage)",
    documentation_url="https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions",
    steps=(
        "Create a subscription: delivery type Push, endpoint URL: {url}",
        "To have the sender proved: enable authentication, choose a service account, and put audience and "
        "email into the proof.",
        "Let the dispatcher fetch Google's key set (--refresh-keys), or give "
        "https://www.googleapis.com/oauth2/v3/certs as the secret and renew it every week.",
        "For Cloud Storage: gcloud storage buckets notifications create gs://BUCKET --topic=TOPIC.",
    ),
    verification=({"kind": "jwt", "algorithms": ["RS256"], "issuer": "https://accounts.google.com"},),
    secrets=(
        Secret(
            purpose="signing",
            label="Google's key set",
            help="The JSON of https://www.googleapis.com/oauth2/v3/certs. Google changes it about every "
            "week; without one only the URL's token protects this webhook.",
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
    notes=(
        "Google's token says who sends and to whom; it does not cover the body.",
        "Without audience and email in the proof every service account of Google's gets in that knows the "
        "URL.",
        "Google's keys change about every week: have them fetched, or renew them yourself.",
        "Pub/Sub repeats everything that is not a success until the message's retention ends, 7 days by "
        "default.",
    ),
)
