"""HubSpot app webhooks, signature version 3."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="hubspot",
    title="HubSpot",
    documentation_url="https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests",
    steps=(
        "In the developer account open the app, Auth, and enter its client secret in this webhook.",
        "Open Webhooks, Target URL: {url}",
        "Create the subscriptions and activate them.",
    ),
    verification=(
        {
            "kind": "hmac",
            "header": "X-HubSpot-Signature-v3",
            "encoding": "base64",
            "signed": "{method}{url}{body}{timestamp}",
            "timestamp_from": "X-HubSpot-Request-Timestamp",
            "timestamp_milliseconds": True,
            "tolerance_seconds": 300,
        },
    ),
    secrets=(Secret(purpose="signing", label="Client secret", help="The app's Auth, Client secret."),),
    # attemptNumber differs between attempts, so a repeated batch has another hash.
    dedup="{{ body[0].eventId ~ '-' ~ body[0].subscriptionId if body | length == 1 else body | sha256 }}",
    event_type="${Webhook::Body[0].subscriptionType}",
    events=(
        "contact.creation",
        "contact.propertyChange",
        "deal.creation",
        "deal.propertyChange",
    ),
    filter_example='body[0].subscriptionType == "contact.creation"',
    mapping_example={"events": "${Webhook::Body}"},
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body=[
            {
                "objectId": 1246965,
                "propertyName": "lifecyclestage",
                "propertyValue": "subscriber",
                "changeSource": "ACADEMY",
                "eventId": 3816279340,
                "subscriptionId": 25,
                "portalId": 33,
                "appId": 1160452,
                "occurredAt": 1769860800000,
                "subscriptionType": "contact.creation",
                "attemptNumber": 0,
            }
        ],
    ),
    notes=(
        "One request contains up to 100 events, which start one run. A repeated batch of several events "
        "starts another run, because it contains the number of the attempt. With the list of events `body`, "
        "each event starts a run of its own; its deduplication key is then "
        '`{{ item.eventId ~ "-" ~ item.subscriptionId }}`.',
        "HubSpot signs the URL that it calls: behind a proxy, set the public URL, so that this server knows "
        "the same host and path.",
        "HubSpot does not retry after 400, 401, 403, 404 and 405, so a disabled webhook responds with 503.",
        "The older versions 1 and 2 are plain digests: use kind digest with the header X-HubSpot-Signature.",
    ),
)
