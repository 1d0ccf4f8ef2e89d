"""Jira Cloud webhooks."""

from __future__ import annotations

from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="jira",
    title="Jira Cloud",
    documentation_url="https://developer.atlassian.com/cloud/jira/platform/webhooks/",
    steps=(
        "In Jira open Settings, System, WebHooks, Create a WebHook.",
        "URL: {url}",
        "Secret: {secret}",
        "Choose the events, and a JQL filter if only some issues matter, and create it.",
    ),
    verification=({"kind": "hmac", "header": "X-Hub-Signature", "prefix": "sha256="},),
    secrets=(
        Secret(
            purpose="signing",
            label="Secret",
            help="The field Secret in Jira's webhook form.",
            chosen_here=True,
        ),
    ),
    dedup="${Webhook::Headers.X-Atlassian-Webhook-Identifier}",
    dedup_alternative=BODY_HASH,
    event_type="${Webhook::Body.webhookEvent}",
    events=(
        "jira:issue_created",
        "jira:issue_updated",
        "jira:issue_deleted",
        "comment_created",
    ),
    filter_example='body.webhookEvent == "jira:issue_updated" and body.issue.fields.project.key == "OPS"',
    mapping_example={
        "event": "${Webhook::Body.webhookEvent}",
        "issue": "${Webhook::Body.issue.key}",
        "status": "${Webhook::Body.issue.fields.status.name}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    notes=(
        "Jira signs neither a time nor the delivery id, so a captured request can be sent again under a new "
        "id. Use the body's hash as deduplication key to prevent that.",
        "Jira retries only after 408, 409, 425, 429 and 5xx, five times within half an hour, so a disabled "
        "webhook responds with 503.",
    ),
)
