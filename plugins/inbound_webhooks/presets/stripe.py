"""Stripe webhook endpoints."""

from __future__ import annotations

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
    notes=(
        "The signed time may differ by 300 s in either direction; a shorter window loses events if clocks "
        "differ.",
        "Stripe does not guarantee the order of events, and retries for up to three days.",
        "During a rotation Stripe signs with the old and the new secret; one of them is sufficient.",
    ),
)
