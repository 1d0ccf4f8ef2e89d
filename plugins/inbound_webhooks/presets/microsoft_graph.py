"""Microsoft Graph change notifications."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="microsoft-graph",
    title="Microsoft Graph change notifications",
    documentation_url="https://learn.microsoft.com/graph/change-notifications-delivery-webhooks",
    steps=(
        "Enable this webhook: Graph requests a validation token immediately.",
        "POST to https://graph.microsoft.com/v1.0/subscriptions with notificationUrl: {url}",
        "In the same request, clientState: {secret}",
        "Renew the subscription before its expirationDateTime; this webhook does not do that.",
    ),
    verification=({"kind": "body-key", "items": "value", "field": "clientState"},),
    secrets=(
        Secret(
            purpose="signing",
            label="clientState",
            help="The clientState of the subscription, at most 128 characters.",
            chosen_here=True,
        ),
    ),
    signs_body=False,
    handshake="graph",
    # A notification's id is optional, and several items together only have the hash of the body.
    dedup="{{ '' if body.value[0].id is undefined else body.value[0].id if body.value | length == 1"
    " else body | sha256 }}",
    event_type="${Webhook::Body.value[0].changeType}",
    events=(
        "created",
        "updated",
        "deleted",
    ),
    filter_example='body.value[0].changeType == "created"',
    mapping_example={
        "notifications": "${Webhook::Body.value}",
        "resource": "${Webhook::Body.value[0].resource}",
    },
    response_status=202,
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body={
            "value": [
                {
                    "id": "lsgTZMr9KwAAA",
                    "subscriptionId": "7f105c7d-2dc5-4530-97cd-4e7ae6534c07",
                    "subscriptionExpirationDateTime": "2026-02-03T12:00:00.0000000+00:00",
                    "changeType": "created",
                    "resource": "users/5522bd62-7c96-4530-85b0-00b916f6151a/messages/AAMkADEwMT",
                    "tenantId": "84bd8158-6d4d-4958-8b9f-9d6445542f95",
                    "resourceData": {
                        "@odata.type": "#Microsoft.Graph.Message",
                        "@odata.id": "Users/5522bd62-7c96-4530-85b0-00b916f6151a/Messages/AAMkADEwMT",
                        "id": "AAMkADEwMT",
                    },
                }
            ]
        },
    ),
    notes=(
        "Graph does not sign requests: it sends clientState in clear with each one. A request with one item "
        "that has another clientState is rejected as a whole.",
        "One request may contain notifications of several subscriptions, which start one run.",
        "Notifications without an id are not deduplicated, because two changes of one file are equal.",
        "The tokens and the encrypted content of rich notifications are passed on unchecked.",
        "Graph drops notifications for a while if more than 15 % of the responses take longer than 3 s.",
    ),
)
