"""SharePoint list webhooks."""

from __future__ import annotations

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
    notes=(
        "SharePoint says that a list has changed, not how: the DAG has to call GetChanges with its last "
        "change token.",
        "All notifications of a list are equal, so there is no deduplication key: a repetition starts "
        "another run.",
        "SharePoint does not sign requests: it sends clientState in clear with each one.",
    ),
)
