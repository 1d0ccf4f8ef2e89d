"""Shopify webhooks of apps and shops."""

from __future__ import annotations

from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="shopify",
    title="Shopify",
    documentation_url="https://shopify.dev/docs/apps/build/webhooks/verify-deliveries",
    steps=(
        "Of a shop: Settings, Notifications, Webhooks, Create webhook, format JSON, URL: {url}",
        "Of an app: subscribe in shopify.app.toml (uri) or through the Admin API with the same URL.",
        "Give this webhook the secret: of a shop, the one below its list of webhooks; of an app, the app's "
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
        "Shopify signs no time and no delivery id: who captured a request can send it again under a new id; "
        "the body's hash as deduplication key stops that.",
        "Shopify deletes a subscription of an app after eight failures in a row over about four hours; "
        "do not leave this webhook disabled for longer.",
        "After the client secret was rotated Shopify may sign with the old one for an hour: keep both.",
        "Shopify has a newer family of headers that begins with shopify- instead of X-Shopify-; where those "
        "come, change the header of the proof and the expressions.",
        "One event that reaches several subscriptions has the same X-Shopify-Event-Id.",
    ),
)
