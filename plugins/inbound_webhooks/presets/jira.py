"""Jira Cloud webhooks."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
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
    sample=SampleEvent(
        body={
            "timestamp": 1769860800000,
            "webhookEvent": "jira:issue_updated",
            "issue_event_type_name": "issue_generic",
            "user": {"accountId": "5b10a2844c20165700ede21g", "displayName": "Ada Lovelace", "active": True},
            "issue": {
                "id": "10002",
                "key": "OPS-1",
                "self": "https://example.atlassian.net/rest/api/2/10002",
                "fields": {
                    "summary": "Load the January orders again",
                    "status": {"id": "10001", "name": "Done"},
                    "issuetype": {"name": "Task"},
                    "project": {"id": "10000", "key": "OPS", "name": "Operations"},
                    "priority": {"name": "Medium"},
                    "assignee": None,
                },
            },
            "changelog": {
                "id": "10124",
                "items": [
                    {
                        "field": "status",
                        "fieldtype": "jira",
                        "fieldId": "status",
                        "from": "3",
                        "fromString": "In Progress",
                        "to": "10001",
                        "toString": "Done",
                    }
                ],
            },
        },
        headers={
            "X-Atlassian-Webhook-Identifier": "a5a2e3ae-9f0c-4a3b-9d9e-2f6b1f0c7d11",
            "User-Agent": "Atlassian Webhook HTTP Client",
        },
    ),
    notes=(
        "Jira signs neither a time nor the delivery id, so a captured request can be sent again under a new "
        "id. Use the body's hash as deduplication key to prevent that.",
        "Jira retries only after 408, 409, 425, 429 and 5xx, five times within half an hour, so a disabled "
        "webhook responds with 503.",
    ),
)
