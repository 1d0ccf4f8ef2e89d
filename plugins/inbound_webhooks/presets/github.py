"""GitHub repository, organization and app webhooks."""

from __future__ import annotations

from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="github",
    title="GitHub",
    documentation_url="https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
    steps=(
        "In the repository (or organization) open Settings, Webhooks, Add webhook.",
        "Payload URL: {url}",
        "Content type: application/json.",
        "Secret: {secret}",
        "Choose the events, leave Active on, and save. GitHub sends a ping.",
    ),
    verification=({"kind": "hmac", "header": "X-Hub-Signature-256", "prefix": "sha256="},),
    secrets=(
        Secret(
            purpose="signing",
            label="Secret",
            help="The field Secret in GitHub's webhook form.",
            chosen_here=True,
        ),
    ),
    # A redelivery by hand keeps the id (https://docs.github.com/en/webhooks/webhook-events-and-payloads).
    dedup="${Webhook::Headers.X-GitHub-Delivery}",
    dedup_alternative=BODY_HASH,
    event_type="${Webhook::Headers.X-GitHub-Event}",
    events=(
        "push",
        "pull_request",
        "release",
        "workflow_run",
        "issues",
        "create",
        "deployment_status",
    ),
    filter_example='headers["X-GitHub-Event"] == "push" and body.ref == "refs/heads/main"',
    mapping_example={
        "repository": "${Webhook::Body.repository.full_name}",
        "ref": "${Webhook::Body.ref}",
        "commit": "${Webhook::Body.after}",
    },
    notes=(
        "GitHub signs neither a time nor the delivery id, so a captured request can be sent again under a "
        "new id. Use the body's hash as deduplication key to prevent that.",
        "GitHub does not retry; redeliver failed requests by hand or through its API.",
        "Form deliveries (application/x-www-form-urlencoded) contain the JSON in the field payload: "
        "{{ (body.payload | fromjson).ref }}.",
        "GitHub sends a ping, and every event of the subscription; exclude them with a filter on "
        "X-GitHub-Event.",
    ),
)
