"""GitHub repository, organization and app webhooks."""

from __future__ import annotations

from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="github",
    title="GitHub",
    documentation_url="https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
    steps=(
        "In the repository (or organization) open Settings, Webhooks, Add webhook.",
        "Payload URL: {url}",
        "Content type: application/json.",
        "Secret: the one that you gave this webhook.",
        "Choose the events, leave Active on, and save; GitHub sends a ping.",
    ),
    proofs=({"kind": "hmac", "header": "X-Hub-Signature-256", "prefix": "sha256="},),
    secrets=(Secret(purpose="signing", label="Secret", help="The field Secret of GitHub's webhook form"),),
    dedup="${Webhook::Headers.X-GitHub-Delivery}",
    dedup_alternative="{{ body | sha256 }}",
    event_type="${Webhook::Headers.X-GitHub-Event}",
    filter_example='headers["X-GitHub-Event"] == "push" and body.ref == "refs/heads/main"',
    mapping_example={
        "repository": "${Webhook::Body.repository.full_name}",
        "ref": "${Webhook::Body.ref}",
        "commit": "${Webhook::Body.after}",
    },
    notes=("GitHub signs no time and no delivery id: who captured a request can send it again under a new id.",),
)
