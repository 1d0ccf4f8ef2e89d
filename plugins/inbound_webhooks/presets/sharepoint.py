"""SharePoint list webhooks."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="sharepoint",
    title="SharePoint lists",
    documentation_url="https://learn.microsoft.com/sharepoint/dev/apis/webhooks/overview-sharepoint-webhooks",
    steps=(
        "Enable this webhook: SharePoint requests a validation token immediately.",
        "POST to …/_api/web/lists('LIST-ID')/subscriptions with notificationUrl: {url}",
        "In the same request, clientState: {secret}",
        "Renew the subscription within 180 days; this webhook does not do that.",
    ),
    verification=({"kind": "body-key", "items": "value", "field": "clientState"},),
    secrets=(
        Secret(
            purpose="signing",
            label="clientState",
            help="The clientState of the subscription. Without it, only the token in the URL protects it.",
            chosen_here=True,
            optional=True,
        ),
    ),
    signs_body=False,
    handshake="sharepoint",
    event_type="${Webhook::Body.value[0].resource}",
    filter_example='body.value[0].siteUrl == "/sites/finance"',
    mapping_example={
        "list": "${Webhook::Body.value[0].resource}",
        "site": "${Webhook::Body.value[0].siteUrl}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=200,
    sample=SampleEvent(
        body={
            "value": [
                {
                    "subscriptionId": "91779246-afe9-4525-b122-6c199ae89211",
                    "expirationDateTime": "2026-04-30T17:27:00.0000000Z",
                    "resource": "b9f6f714-9df8-470b-b22e-653855e1c181",
                    "tenantId": "00000000-0000-0000-0000-000000000000",
                    "siteUrl": "/sites/finance",
                    "webId": "dbc5a806-e4d4-46e5-951c-6344d70b62fa",
                }
            ]
        },
    ),
    notes=(
        "SharePoint says that a list has changed, not how: the DAG has to call GetChanges with its last "
        "change token.",
        "All notifications of a list are equal, so there is no deduplication key: a repetition starts "
        "another run.",
        "SharePoint does not sign requests: it sends clientState in clear with each one.",
    ),
)
