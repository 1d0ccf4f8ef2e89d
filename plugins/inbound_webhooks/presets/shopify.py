"""Shopify webhooks of apps and shops."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
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
    sample=SampleEvent(
        body={
            "id": 820982911946154508,
            "admin_graphql_api_id": "gid://shopify/Order/820982911946154508",
            "name": "#9999",
            "order_number": 1234,
            "created_at": "2026-01-31T12:00:00-05:00",
            "currency": "USD",
            "email": "jon@example.com",
            "financial_status": "voided",
            "fulfillment_status": None,
            "test": False,
            "total_price": "388.00",
            "subtotal_price": "388.00",
            "total_tax": "0.00",
            "customer": {
                "id": 115310627314723954,
                "email": "john@example.com",
                "first_name": "John",
                "last_name": "Smith",
                "currency": "USD",
            },
            "line_items": [
                {
                    "id": 487817672276298554,
                    "product_id": 788032119674292922,
                    "title": "Example T-Shirt",
                    "sku": "example-shirt-s",
                    "quantity": 1,
                    "price": "19.99",
                    "vendor": "Acme",
                }
            ],
            "shipping_address": {
                "first_name": "Steve",
                "last_name": "Shipper",
                "address1": "123 Shipping Street",
                "city": "Shippington",
                "zip": "40003",
                "country_code": "US",
            },
        },
        headers={
            "X-Shopify-Topic": "orders/create",
            "X-Shopify-Shop-Domain": "example.myshopify.com",
            "X-Shopify-API-Version": "2026-01",
            "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
            "X-Shopify-Triggered-At": "2026-01-31T12:00:00.123456789Z",
        },
    ),
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
