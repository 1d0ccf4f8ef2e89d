"""GitLab webhooks with a signing token: Standard Webhooks."""

from __future__ import annotations

from dataclasses import replace

from inbound_webhooks.presets.gitlab import PRESET as SECRET_TOKEN
from inbound_webhooks.presets.preset import Preset, Secret

PRESET = Preset(
    name="gitlab-signed",
    title="GitLab (signing token)",
    # https://gitlab.com/gitlab-org/gitlab/-/merge_requests/230944 and 231325
    documentation_url="https://docs.gitlab.com/user/project/integrations/webhooks/#validate-requests",
    steps=(
        "In the project or group open Settings, Webhooks, Add new webhook.",
        "URL: {url}",
        "Signing token: {secret}",
        "Choose the triggers, leave SSL verification on, and save.",
    ),
    verification=({"kind": "standard-webhooks"},),
    secrets=(
        Secret(
            purpose="signing",
            label="Signing token",
            help="whsec_ and 32 bytes in Base64, as in the field Signing token of GitLab's webhook form.",
            chosen_here=True,
        ),
    ),
    dedup="${Webhook::Headers.webhook-id}",
    event_type="${Webhook::Headers.X-Gitlab-Event}",
    events=(
        "Push Hook",
        "Tag Push Hook",
        "Merge Request Hook",
        "Pipeline Hook",
        "Release Hook",
    ),
    filter_example='body.object_kind == "push" and body.ref == "refs/heads/main"',
    mapping_example={
        "project": "${Webhook::Body.project.path_with_namespace}",
        "ref": "${Webhook::Body.ref}",
        "commit": "${Webhook::Body.checkout_sha}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    sample=replace(
        SECRET_TOKEN.sample,
        headers={
            "User-Agent": "GitLab/18.0",
            "X-Gitlab-Event": "Push Hook",
            "X-Gitlab-Instance": "https://gitlab.example.com",
        },
    ),
    notes=(
        "New in 2026 and, on GitLab Self-Managed, behind the feature flag webhook_signing_token.",
        "GitLab switches a webhook off permanently after four 4xx responses in a row, so a disabled webhook "
        "responds with 503, after which GitLab waits and tries again.",
    ),
)
