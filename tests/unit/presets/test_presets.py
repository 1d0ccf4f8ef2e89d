"""Presets as data: everything in them compiles, and says what the vendor's requests hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.engine import compile_condition, compile_expression
from inbound_webhooks.event.handshakes.registry import HANDSHAKES
from inbound_webhooks.event.response import compile_response
from inbound_webhooks.event.values import to_text
from inbound_webhooks.event.verification.registry import read_scheme
from inbound_webhooks.event.verification.scheme import SignedRequest
from inbound_webhooks.presets import PRESETS, Preset
from inbound_webhooks.presets.preset import BODY_HASH
from tests.unit.presets.signed_cases import Case, every, sources_of

PAYLOADS = Path(__file__).parents[2] / "payloads"

HANDSHAKE_PURPOSES = {"meta": {"verify"}, "twitter": {"signing"}, "zoom": {"signing"}}

ALIKE = {"dropbox", "generic-api-key", "generic-hmac", "sharepoint"}
"""The presets without a deduplication key: two events may look the same, or no document says."""

# Preset, payload of a real sender, its deduplication key, its type of event, what the example filter says.
REAL = (
    ("github", "github/push__new_branch", "72d3162e-cc78-11e3-81ab-4c9367dc0958", "push", False),
    ("gitlab", "gitlab/push__two_commits", "a5461c4d-9c7f-4af9-add6-cddebe3c426f", "Push Hook", False),
    ("stripe", "stripe/invoice.paid__manual", "evt_00000000000000", "invoice.paid", False),
    (
        "shopify",
        "shopify/orders_create__sample",
        "545ebdd4-b7be-4d3d-b14e-54aa78e0e0f9",
        "orders/create",
        None,
    ),
    ("twilio", "twilio/incoming_sms__text", "00000000-0000-4000-8000-000000000000", "received", None),
    (
        "dbt-cloud",
        "dbt_cloud/job.run.completed__success",
        "wev_2L6ZDoilyiWzKkSA59Gmc2d7FDD",
        "job.run.completed",
        True,
    ),
    (
        "dbt-cloud",
        "dbt_cloud/job.run.errored__errored",
        "wev_2L6m5BggBw9uPNuSmtg4MUiW4Re",
        "job.run.errored",
        False,
    ),
    ("slack", "slack/event_callback__message_file_share", "Ev03EGJQAVMM", "message", None),
    (
        "slack-command",
        "slack/slash_command__weather",
        "13345224609.738474920.8088930838d88f008e0",
        "/weather",
        None,
    ),
)

presets = pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))


def evaluated(source: str, sources: DataSources) -> str:
    return to_text(compile_expression(source).evaluate(sources))


def payload(name: str) -> SignedRequest:
    lines = (PAYLOADS / f"{name}.headers").read_text().splitlines()
    pairs = [line.split(": ", 1) for line in lines if line]
    return SignedRequest(
        method="POST",
        url="https://example.com/hook",
        query_string="",
        headers=tuple((header, value) for header, value in pairs),
        body=(PAYLOADS / f"{name}.body").read_bytes(),
    )


def test_the_registry_names_each_preset_as_it_names_itself() -> None:
    assert all(name == preset.name for name, preset in PRESETS.items())
    assert list(PRESETS) == sorted(PRESETS)


@pytest.mark.parametrize("field", ["name", "title", "documentation_url"])
def test_no_two_presets_share(field: str) -> None:
    values = [vars(preset)[field] for preset in PRESETS.values()]

    assert len(values) == len(set(values))


@presets
def test_the_documentation_is_the_vendors_and_over_https(preset: Preset) -> None:
    assert preset.documentation_url.startswith("https://")
    assert preset.documentation_url.isascii()


@presets
def test_every_expression_compiles(preset: Preset) -> None:
    optional = (preset.dedup, preset.dedup_alternative, preset.event_type)
    for source in (*optional, *preset.mapping_example.values()):
        if source is not None:
            compile_expression(source)
    assert preset.mapping_example
    assert preset.filter_example
    compile_condition(preset.filter_example)


@presets
def test_every_scheme_can_be_made_also_from_json(preset: Preset) -> None:
    for settings in json.loads(json.dumps(preset.verification)):
        read_scheme(settings)


@presets
def test_every_scheme_and_handshake_has_its_secret_and_every_secret_a_use(preset: Preset) -> None:
    used = {read_scheme(settings).purpose for settings in preset.verification}
    used |= HANDSHAKE_PURPOSES.get(preset.handshake or "", set())

    assert {secret.purpose for secret in preset.secrets} == used


@presets
def test_the_handshake_exists(preset: Preset) -> None:
    assert preset.handshake is None or preset.handshake in HANDSHAKES


def test_every_handshake_has_a_preset() -> None:
    assert set(HANDSHAKES) == {preset.handshake for preset in PRESETS.values()} - {None}


@presets
def test_an_optional_secret_leaves_its_scheme_out(preset: Preset) -> None:
    optional = {secret.purpose for secret in preset.secrets if secret.optional}

    assert preset.verification_with({secret.purpose for secret in preset.secrets}) == preset.verification
    assert bool(preset.verification_with(())) == (bool(preset.verification) and not optional)


@presets
def test_the_steps_give_the_url_and_the_secret_that_was_chosen_here(preset: Preset) -> None:
    steps = " ".join(preset.filled_steps(url="https://h/w", secret="c0ffee"))
    chosen = any(secret.chosen_here and secret.purpose == "signing" for secret in preset.secrets)

    assert "https://h/w" in steps
    assert ("c0ffee" in steps or "?code=" in steps) == chosen
    assert "{url}" not in steps
    assert "{secret}" not in steps


@presets
def test_the_answers_are_ones_that_a_webhook_may_give(preset: Preset) -> None:
    assert preset.response_status in (None, 200, 202, 204)
    assert preset.disabled_status in (403, 503)
    assert preset.invalid_status in (200, 202, 422)
    if preset.response_template is not None:
        compile_response(preset.response_content_type, preset.response_template)


@presets
def test_says_what_a_user_has_to_know(preset: Preset) -> None:
    assert preset.notes
    assert all(sentence.endswith((".", "}")) for sentence in preset.notes)


@presets
def test_a_request_without_an_id_has_no_deduplication_key(preset: Preset) -> None:
    for body, media_type in ((b"{}", "application/json"), (b"", "application/x-www-form-urlencoded")):
        request = SignedRequest(
            method="POST", url="", query_string="", headers=(("Content-Type", media_type),), body=body
        )
        if preset.dedup is not None and "sha256" not in preset.dedup and "fromjson" not in preset.dedup:
            assert evaluated(preset.dedup, sources_of(request)) == ""


def test_only_senders_whose_events_may_look_alike_have_no_deduplication_key() -> None:
    assert {preset.name for preset in PRESETS.values() if preset.dedup is None} == ALIKE


@pytest.mark.parametrize("case", every("accepted"), ids=str)
def test_finds_key_and_type_in_what_the_vendor_sends(case: Case) -> None:
    for name, expected in case.expressions.items():
        source = vars(case.preset)[name]
        assert (evaluated(source, case.sources()) if source else "") == expected


@presets
def test_some_request_of_the_vendors_shows_its_key(preset: Preset) -> None:
    shown = {case.preset.name for case in every("accepted") if "dedup" in case.expressions}

    assert preset.name in shown | {name for name, *_ in REAL} | ALIKE | {"bitbucket", "jira", "typeform"}


@pytest.mark.parametrize(("name", "path", "dedup", "event_type", "passes"), REAL)
def test_reads_whole_payloads_of_real_senders(
    name: str, path: str, dedup: str, event_type: str, passes: bool | None
) -> None:
    preset, request = PRESETS[name], payload(path)
    sources = sources_of(request)

    assert evaluated(preset.event_type or "", sources) == event_type
    assert evaluated(preset.dedup or "", sources) == dedup
    assert compile_condition(preset.filter_example or "")(sources) == passes or passes is None
    assert all(evaluated(source, sources) for source in preset.mapping_example.values())


def test_githubs_example_filter_leaves_the_ping_out() -> None:
    sources = sources_of(payload("github/ping__repository_hook"))

    assert not compile_condition(PRESETS["github"].filter_example or "")(sources)


@pytest.mark.parametrize("case", every("accepted"), ids=str)
def test_no_expression_fails_over_what_the_vendor_sends(case: Case) -> None:
    sources = case.sources()
    if case.name == "third-party vector, unicode body":
        return  # not JSON, though its type says so
    for source in (case.preset.dedup, case.preset.dedup_alternative, case.preset.event_type):
        if source is not None:
            evaluated(source, sources)


def test_the_same_body_has_the_same_hash_and_another_one_another() -> None:
    first, second = (
        evaluated(
            BODY_HASH, sources_of(SignedRequest(method="", url="", query_string="", headers=(), body=b))
        )
        for b in (b"1", b"2")
    )

    assert first != second


def test_a_slash_command_is_answered_to_its_user() -> None:
    preset = PRESETS["slack-command"]
    template = compile_response(preset.response_content_type, preset.response_template or "")

    response = template.rendered(200, sources_of(payload("slack/slash_command__weather")))

    assert response is not None
    assert json.loads(response.body) == {"response_type": "ephemeral", "text": "Started: /weather 94070"}


def test_twilio_is_answered_with_twiml_that_sends_nothing() -> None:
    preset = PRESETS["twilio"]
    template = compile_response(preset.response_content_type, preset.response_template or "")

    response = template.rendered(200, sources_of(payload("twilio/incoming_sms__text")))

    assert response is not None
    assert response.body == b'<?xml version="1.0" encoding="UTF-8"?><Response></Response>'
    assert response.content_type == "text/xml; charset=utf-8"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("mailgun", 200),
        ("azure-event-grid", 200),
        ("discord", 204),
        ("discord-interactions", 200),
        ("microsoft-graph", 202),
        ("sharepoint", 200),
        ("meta", 200),
        ("linear", 200),
        ("jira", 200),
        ("zoom", 200),
        ("pagerduty", 202),
        ("github", None),
    ],
)
def test_answers_the_status_that_the_vendor_counts_as_success(name: str, status: int | None) -> None:
    assert PRESETS[name].response_status == status


@pytest.mark.parametrize(
    "name",
    [
        "gitlab",
        "gitlab-signed",
        "pagerduty",
        "aws-sns",
        "aws-eventbridge",
        "hubspot",
        "okta",
        "bitbucket",
        "jira",
    ],
)
def test_is_not_switched_off_or_dropped_by_senders_that_give_up_on_4xx(name: str) -> None:
    assert PRESETS[name].disabled_status == 503


@pytest.mark.parametrize(
    "name", ["gitlab", "gitlab-signed", "pagerduty", "shopify", "fivetran", "slack", "stripe"]
)
def test_an_event_that_was_kept_does_not_count_as_a_failure_where_failures_switch_off(name: str) -> None:
    assert PRESETS[name].invalid_status == 202
