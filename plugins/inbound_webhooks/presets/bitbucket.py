"""Bitbucket Cloud and Data Center webhooks."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="bitbucket",
    title="Bitbucket",
    documentation_url="https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
    steps=(
        "In the repository open Repository settings, Webhooks, Add webhook.",
        "URL: {url}",
        "Secret: {secret}",
        "Choose the triggers, leave Active on, and save.",
    ),
    verification=({"kind": "hmac", "header": "X-Hub-Signature", "prefix": "sha256="},),
    secrets=(
        Secret(
            purpose="signing",
            label="Secret",
            help="The field Secret in Bitbucket's webhook form.",
            chosen_here=True,
        ),
    ),
    dedup="${Webhook::Headers.X-Request-UUID}",
    dedup_alternative=BODY_HASH,
    event_type="${Webhook::Headers.X-Event-Key}",
    events=(
        "repo:push",
        "pullrequest:created",
        "pullrequest:fulfilled",
        "repo:commit_status_updated",
    ),
    filter_example='headers["X-Event-Key"] == "repo:push" and body.push.changes[0].new.name == "main"',
    mapping_example={
        "repository": "${Webhook::Body.repository.full_name}",
        "branch": "${Webhook::Body.push.changes[0].new.name}",
        "commit": "${Webhook::Body.push.changes[0].new.target.hash}",
    },
    disabled_status=503,
    invalid_status=202,
    sample=SampleEvent(
        body={
            "actor": {
                "type": "user",
                "display_name": "Ada Lovelace",
                "nickname": "ada",
                "account_id": "557058:c0b72ad0-1cb5-4018-9cdc-0cde8492c443",
            },
            "repository": {
                "type": "repository",
                "name": "pipelines",
                "full_name": "example/pipelines",
                "uuid": "{673a6070-3421-46c9-9d48-90745f7bfe8e}",
                "is_private": True,
                "links": {"html": {"href": "https://bitbucket.org/example/pipelines"}},
            },
            "push": {
                "changes": [
                    {
                        "new": {
                            "type": "branch",
                            "name": "main",
                            "target": {
                                "type": "commit",
                                "hash": "709d658dc5b6d6afcd46049c2f332ee3f515a67d",
                                "message": "Add the orders pipeline\n",
                                "date": "2026-01-31T12:00:00+00:00",
                            },
                        },
                        "old": {
                            "type": "branch",
                            "name": "main",
                            "target": {"type": "commit", "hash": "1e65c05c1d5171631d92438a13901ca7dae9618c"},
                        },
                        "created": False,
                        "forced": False,
                        "closed": False,
                        "truncated": False,
                    }
                ]
            },
        },
        headers={
            "X-Event-Key": "repo:push",
            "X-Hook-UUID": "{f4f3ae54-8b8d-4b5e-9f0a-6f1f6f0f6d11}",
            "X-Request-UUID": "1f9b7f3c-0b1e-4c6f-9a57-4b1d4b0f2c55",
            "X-Attempt-Number": "1",
        },
    ),
    notes=(
        "Bitbucket signs neither a time nor the delivery id, so a captured request can be sent again under a "
        "new id. Use the body's hash as deduplication key to prevent that.",
        "Bitbucket Cloud retries only after a 5xx, twice. Data Center pauses after five failures in a row. A "
        "disabled webhook therefore responds with 503.",
        "Bitbucket Data Center sends X-Request-Id instead of X-Request-UUID, and other fields in the body.",
    ),
)
