"""Shopify webhooks of apps and shops."""

from __future__ import annotations

from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="shopify",
    title="Shopify",
    documentation_url="https://shopify.dev/docs/apps/build/webhooks/verify-deliveries",
    steps=(
        "For a shop: Settings, Notifications, Webhooks, Create webhook, format JSON, URL: {url}",
        "For an app: subscribe in shopify.app.toml (uri) or through the Admin API with the same URL.",
        "Enter the secret in this webhook: a shop shows it below its list of webhooks; for an app it is the "
        "client secret.",
    ),
    verification=({"kind": "hmac", "header": "X-Shopify-Hmac-SHA256", "encoding": "base64"},),
    secrets=(
        Secret(
            purpose="signing",
            label="Client secret",
            help="The app's client secret, or the shop's webhook secret.",
        ),
    ),
    dedup="${Webhook::Headers.X-Shopify-Webhook-Id}",
    dedup_alternative=BODY_HASH,
    event_type="${Webhook::Headers.X-Shopify-Topic}",
    events=(
        "orders/create",
        "orders/paid",
        "orders/updated",
        "products/update",
        "customers/create",
        "refunds/create",
    ),
    filter_example='headers["X-Shopify-Topic"] == "orders/create" and not body.test',
    mapping_example={
        "shop": "${Webhook::Headers.X-Shopify-Shop-Domain}",
        "topic": "${Webhook::Headers.X-Shopify-Topic}",
        "object_id": "${Webhook::Body.id}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    notes=(
        "Shopify signs neither a time nor the delivery id, so a captured request can be sent again under a"
        " new id. Use the body's hash as deduplication key to prevent that.",
        "Shopify deletes an app's subscription after eight failures in a row over about four hours; do not "
        "keep this webhook disabled for longer.",
        "For an hour after a rotation of the client secret, Shopify may sign with the old one: keep both.",
        "Shopify has newer headers that begin with shopify- instead of X-Shopify-; if your shop sends those, "
        "change the header in the verification and in the expressions.",
        "An event that reaches several subscriptions has the same X-Shopify-Event-Id in each.",
    ),
)
