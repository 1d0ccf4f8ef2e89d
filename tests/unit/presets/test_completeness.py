"""What every preset owes its user: where to read on, what to do, and answers that keep the sender sending."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from inbound_webhooks.event.expressions.engine import compile_expression
from inbound_webhooks.event.values import to_text
from inbound_webhooks.event.verification.registry import read_scheme
from inbound_webhooks.presets import PRESETS, Preset
from tests.unit.presets.signed_cases import sources_of
from tests.unit.presets.test_presets import payload

FIRST = {
    "github", "gitlab", "stripe", "slack", "shopify", "twilio", "standard-webhooks", "svix",
    "microsoft-graph", "sharepoint", "meta", "aws-sns", "dbt-cloud", "generic-hmac", "generic-api-key",
}  # fmt: skip
ALL = FIRST | {
    "bitbucket", "slack-command", "sendgrid", "mailgun", "zoom", "dropbox", "okta", "hubspot", "discord",
    "google-pubsub", "azure-event-grid", "cloudevents", "pagerduty", "typeform", "linear", "jira",
    "airbyte", "fivetran", "aws-eventbridge",
}  # fmt: skip

GIVES_UP_ON_4XX = {
    "aws-eventbridge", "aws-sns", "bitbucket", "gitlab", "gitlab-signed", "hubspot", "jira", "okta",
    "pagerduty", "typeform",
}  # fmt: skip
"""Senders that drop an event, or switch the webhook off, after a 4xx."""

SWITCHED_OFF_BY_FAILURES = {
    "discord", "fivetran", "gitlab", "gitlab-signed", "linear", "pagerduty", "shopify", "slack", "stripe",
    "svix", "standard-webhooks", "zoom",
}  # fmt: skip
"""Senders that switch a webhook off that keeps failing, whatever the status."""

HEADER_IDS_OUTSIDE_THE_SIGNATURE = {
    "bitbucket", "github", "gitlab", "jira", "linear", "pagerduty", "shopify", "twilio",
}  # fmt: skip

presets = pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))


def test_there_is_a_preset_for_each_sender_that_people_connect() -> None:
    assert set(PRESETS) >= ALL


@presets
def test_names_documentation_and_steps_that_give_the_url(preset: Preset) -> None:
    assert preset.documentation_url.startswith("https://")
    assert len(preset.steps) >= 2
    assert sum("{url}" in step for step in preset.steps) == 1
    assert all(step.strip() == step and step for step in preset.steps)


@presets
def test_every_secret_says_where_it_stands(preset: Preset) -> None:
    assert all(secret.label and secret.help.endswith((".", ")")) for secret in preset.secrets)
    assert len({secret.purpose for secret in preset.secrets}) == len(preset.secrets)


@pytest.mark.parametrize("name", sorted(GIVES_UP_ON_4XX))
def test_a_sender_that_gives_up_on_4xx_never_hears_one_while_disabled_or_over_params(name: str) -> None:
    assert PRESETS[name].disabled_status == 503


@pytest.mark.parametrize("name", sorted((GIVES_UP_ON_4XX | SWITCHED_OFF_BY_FAILURES) - {"okta"}))
def test_an_event_that_was_kept_is_no_failure_for_a_sender_that_counts_them(name: str) -> None:
    assert PRESETS[name].invalid_status in (200, 202)


@presets
def test_a_deduplication_key_in_a_header_is_signed_or_has_an_alternative(preset: Preset) -> None:
    in_a_header = (preset.dedup or "").startswith("${Webhook::Headers.")
    signed_headers = [
        read_scheme(settings).scheme.header_prefix + "id"
        for settings in preset.verification
        if settings["kind"] == "standard-webhooks"
    ]
    is_signed = any(f"Headers.{name}}}" in (preset.dedup or "") for name in signed_headers)
    assert (in_a_header and not is_signed) == (preset.name in HEADER_IDS_OUTSIDE_THE_SIGNATURE)
    if in_a_header and not is_signed:
        assert preset.dedup_alternative is not None


@pytest.mark.parametrize(
    ("name", "path", "header"),
    [
        ("github", "github/push__new_branch", "X-GitHub-Delivery"),
        ("shopify", "shopify/orders_create__sample", "X-Shopify-Webhook-Id"),
        ("gitlab", "gitlab/push__two_commits", "Idempotency-Key"),
        ("twilio", "twilio/incoming_sms__text", "I-Twilio-Idempotency-Token"),
    ],
)
def test_a_replay_under_another_id_has_another_key_but_the_same_alternative(
    name: str, path: str, header: str
) -> None:
    preset, sent = PRESETS[name], payload(path)
    forged = [(key, "forged" if key.lower() == header.lower() else value) for key, value in sent.headers]
    both = (sources_of(sent), sources_of(replace(sent, headers=tuple(forged))))
    keys = [to_text(compile_expression(preset.dedup or "").evaluate(sources)) for sources in both]
    others = [
        to_text(compile_expression(preset.dedup_alternative or "").evaluate(sources)) for sources in both
    ]
    assert keys[0] != keys[1] == "forged"
    assert others[0] == others[1] != ""


def test_pagerdutys_alternative_is_an_id_that_is_signed() -> None:
    assert PRESETS["pagerduty"].dedup_alternative == "${Webhook::Body.event.id}"
