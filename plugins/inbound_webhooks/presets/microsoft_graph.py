"""Microsoft Graph change notifications."""

from __future__ import annotations

from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="microsoft-graph",
    title="Microsoft Graph change notifications",
    documentation_url="https://learn.microsoft.com/graph/change-notifications-delivery-webhooks",
    steps=(
        "POST to https://graph.microsoft.com/v1.0/subscriptions with notificationUrl: {url}",
        "In the same request, clientState: {secret}",
        "Graph asks for a validation token at once; this webhook has to be enabled to answer it.",
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
    # The id of a notification is optional, and of several items only the whole is one key.
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
    notes=(
        "Graph signs nothing: clientState comes with every request as it is. A request with one item that "
        "has another clientState is refused as a whole.",
        "One request may carry notifications of several subscriptions; it is one run.",
        "Notifications without an id are not deduplicated: two changes of one file look the same.",
        "The tokens and the encrypted content of rich notifications are passed on as they are, unchecked.",
        "Graph drops notifications for a while when more than 15 % of the answers take longer than 3 s.",
    ),
)
