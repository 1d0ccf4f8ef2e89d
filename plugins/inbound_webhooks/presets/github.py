"""GitHub repository, organization and app webhooks."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
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
    sample=SampleEvent(
        body={
            "ref": "refs/heads/main",
            "before": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
            "after": "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c",
            "repository": {
                "id": 186853002,
                "name": "Hello-World",
                "full_name": "Codertocat/Hello-World",
                "private": False,
                "owner": {"name": "Codertocat", "login": "Codertocat", "id": 21031067},
                "html_url": "https://github.com/Codertocat/Hello-World",
                "clone_url": "https://github.com/Codertocat/Hello-World.git",
                "default_branch": "main",
            },
            "pusher": {"name": "Codertocat", "email": "codertocat@example.com"},
            "sender": {"login": "Codertocat", "id": 21031067, "type": "User"},
            "created": False,
            "deleted": False,
            "forced": False,
            "base_ref": None,
            "compare": "https://github.com/Codertocat/Hello-World/compare/6113728f27ae...0d1a26e67d8f",
            "commits": [
                {
                    "id": "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c",
                    "message": "Update README.md",
                    "timestamp": "2026-01-31T12:00:00+00:00",
                    "url": "https://github.com/Codertocat/Hello-World/commit/0d1a26e67d8f",
                    "author": {
                        "name": "Codertocat",
                        "email": "codertocat@example.com",
                        "username": "Codertocat",
                    },
                    "added": [],
                    "removed": [],
                    "modified": ["README.md"],
                }
            ],
            "head_commit": {
                "id": "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c",
                "message": "Update README.md",
                "timestamp": "2026-01-31T12:00:00+00:00",
                "author": {"name": "Codertocat", "email": "codertocat@example.com"},
            },
        },
        headers={
            "User-Agent": "GitHub-Hookshot/044aadd",
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
            "X-GitHub-Hook-ID": "292430182",
            "X-GitHub-Hook-Installation-Target-Type": "repository",
        },
    ),
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
