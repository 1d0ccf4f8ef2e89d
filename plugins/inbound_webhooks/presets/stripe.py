"""Stripe webhook endpoints."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="stripe",
    title="Stripe",
    documentation_url="https://docs.stripe.com/webhooks/signature",
    steps=(
        "In the Dashboard open Developers (Workbench), Webhooks, and add a destination.",
        "Choose the events, then Webhook endpoint.",
        "Endpoint URL: {url}",
        "Create it, reveal its signing secret (whsec_…) and enter it in this webhook.",
    ),
    verification=(
        {
            "kind": "hmac",
            "header": "Stripe-Signature",
            "layout": "pairs",
            "prefix": "v1",
            "timestamp_from": "t",
            "signed": "{timestamp}.{body}",
            "tolerance_seconds": 300,
        },
    ),
    secrets=(
        Secret(
            purpose="signing",
            label="Signing secret",
            help="The endpoint's complete signing secret, including whsec_.",
        ),
    ),
    dedup="${Webhook::Body.id}",
    event_type="${Webhook::Body.type}",
    events=(
        "checkout.session.completed",
        "invoice.paid",
        "invoice.payment_failed",
        "payment_intent.succeeded",
        "customer.subscription.updated",
    ),
    filter_example='body.type == "invoice.paid" and body.livemode',
    mapping_example={
        "event_id": "${Webhook::Body.id}",
        "type": "${Webhook::Body.type}",
        "object_id": "${Webhook::Body.data.object.id}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body={
            "id": "evt_1MqqbKLt4dXK03v5qaIbiNCC",
            "object": "event",
            "api_version": "2026-01-28",
            "created": 1769860800,
            "type": "invoice.paid",
            "livemode": True,
            "pending_webhooks": 1,
            "request": {
                "id": "req_UkYKvRCyQ8Q0Zl",
                "idempotency_key": "4a6a4f4c-9d6e-4f5e-9f0a-1c2d3e4f5a6b",
            },
            "data": {
                "object": {
                    "id": "in_1MqqbKLt4dXK03v5wQWlX9Yw",
                    "object": "invoice",
                    "amount_due": 1000,
                    "amount_paid": 1000,
                    "currency": "usd",
                    "customer": "cus_NeZwdNtLEOXuvB",
                    "customer_email": "ada@example.com",
                    "number": "C9CF52B-0001",
                    "paid": True,
                    "status": "paid",
                    "total": 1000,
                    "lines": {
                        "object": "list",
                        "data": [
                            {
                                "id": "il_1MqqbKLt4dXK03v5abc",
                                "object": "line_item",
                                "amount": 1000,
                                "currency": "usd",
                                "description": "T-shirt",
                                "quantity": 1,
                            }
                        ],
                        "has_more": False,
                        "total_count": 1,
                    },
                    "metadata": {"order_id": "1001"},
                }
            },
        },
        headers={"User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)"},
        content_type="application/json; charset=utf-8",
    ),
    notes=(
        "The signed time may differ by 300 s in either direction; a shorter window loses events if clocks "
        "differ.",
        "Stripe does not guarantee the order of events, and retries for up to three days.",
        "During a rotation Stripe signs with the old and the new secret; one of them is sufficient.",
    ),
)
