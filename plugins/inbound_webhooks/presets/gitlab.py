"""GitLab project and group webhooks with a secret token, which GitLab sends in clear."""

from __future__ import annotations

from inbound_webhooks.event.sampling.events import SampleEvent
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
    sample=SampleEvent(
        body={
            "object_kind": "push",
            "event_name": "push",
            "before": "95790bf891e76fee5e1747ab589903a6a1f80f22",
            "after": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
            "ref": "refs/heads/main",
            "ref_protected": True,
            "checkout_sha": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
            "user_id": 4,
            "user_name": "John Smith",
            "user_username": "jsmith",
            "project_id": 15,
            "project": {
                "id": 15,
                "name": "Diaspora",
                "web_url": "https://gitlab.example.com/mike/diaspora",
                "namespace": "Mike",
                "path_with_namespace": "mike/diaspora",
                "default_branch": "main",
            },
            "commits": [
                {
                    "id": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
                    "message": "fixed readme",
                    "title": "fixed readme",
                    "timestamp": "2026-01-31T12:00:00+00:00",
                    "author": {"name": "GitLab dev user", "email": "gitlabdev@example.com"},
                    "added": ["CHANGELOG"],
                    "modified": ["app/controller/application.rb"],
                    "removed": [],
                }
            ],
            "total_commits_count": 1,
        },
        headers={
            "User-Agent": "GitLab/17.0",
            "X-Gitlab-Event": "Push Hook",
            "X-Gitlab-Instance": "https://gitlab.example.com",
            "X-Gitlab-Webhook-UUID": "13792a34-cac6-4fda-95a8-c58e00a3954e",
            "Idempotency-Key": "f5e5f430-f57b-4e6e-9fac-d9128cd7232f",
        },
    ),
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
