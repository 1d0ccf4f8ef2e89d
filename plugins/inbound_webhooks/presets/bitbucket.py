"""Bitbucket Cloud and Data Center webhooks."""

from __future__ import annotations

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
    notes=(
        "Bitbucket signs neither a time nor the delivery id, so a captured request can be sent again under a "
        "new id. Use the body's hash as deduplication key to prevent that.",
        "Bitbucket Cloud retries only after a 5xx, twice. Data Center pauses after five failures in a row. A "
        "disabled webhook therefore responds with 503.",
        "Bitbucket Data Center sends X-Request-Id instead of X-Request-UUID, and other fields in the body.",
    ),
)
