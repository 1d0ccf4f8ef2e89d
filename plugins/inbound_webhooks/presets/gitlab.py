"""GitLab project and group webhooks with a secret token, which GitLab sends in clear."""

from __future__ import annotations

from inbound_webhooks.presets.preset import BODY_HASH, Preset, Secret

PRESET = Preset(
    name="gitlab",
    title="GitLab (secret token)",
    documentation_url="https://docs.gitlab.com/user/project/integrations/webhooks/",
    steps=(
        "In the project or group open Settings, Webhooks, Add new webhook.",
        "URL: {url}",
        "Secret token: {secret}",
        "Choose the triggers, leave SSL verification on, and save.",
        "Choose Test, Push events to send one.",
    ),
    verification=({"kind": "header-key", "header": "X-Gitlab-Token"},),
    secrets=(
        Secret(
            purpose="signing",
            label="Secret token",
            help="The field Secret token in GitLab's webhook form.",
            chosen_here=True,
        ),
    ),
    signs_body=False,
    # Hooks that a hook triggers share X-Gitlab-Event-UUID. Idempotency-Key (since 17.4) survives a resend.
    dedup="${Webhook::Headers.Idempotency-Key}",
    dedup_alternative=BODY_HASH,
    event_type="${Webhook::Headers.X-Gitlab-Event}",
    events=(
        "Push Hook",
        "Tag Push Hook",
        "Merge Request Hook",
        "Pipeline Hook",
        "Release Hook",
    ),
    filter_example='headers["X-Gitlab-Event"] == "Push Hook" and body.ref == "refs/heads/main"',
    mapping_example={
        "project": "${Webhook::Body.project.path_with_namespace}",
        "ref": "${Webhook::Body.ref}",
        "commit": "${Webhook::Body.checkout_sha}",
    },
    response_status=200,
    disabled_status=503,
    invalid_status=202,
    notes=(
        "The token is sent in clear with every request and does not cover the body: anyone who sees one "
        "request can send any other. GitLab's signing token (preset gitlab-signed) does not have this "
        "weakness.",
        "GitLab switches a webhook off permanently after four 4xx responses in a row, so a disabled webhook "
        "responds with 503, after which GitLab waits and tries again.",
        "An event can arrive twice, through a webhook of the project and one of its group.",
        "GitLab before 17.4 sends no Idempotency-Key, so nothing is deduplicated.",
    ),
)
