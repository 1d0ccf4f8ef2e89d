"""What a preset asks for, in words."""

from __future__ import annotations

import dataclasses

import pytest

from inbound_webhooks.event.handshakes.registry import HANDSHAKES
from inbound_webhooks.event.verification.registry import SCHEMES
from inbound_webhooks.presets import PRESETS, Preset
from inbound_webhooks.presets.description import (
    HANDSHAKE_WORDS,
    SCHEME_WORDS,
    as_data,
    dedup_in_words,
    expression_in_words,
    handshake_in_words,
    scheme_in_words,
)


def test_every_kind_of_scheme_and_every_handshake_has_its_words() -> None:
    assert set(SCHEME_WORDS) == set(SCHEMES)
    assert set(HANDSHAKE_WORDS) == set(HANDSHAKES)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("github", "HMAC-SHA256 in X-Hub-Signature-256"),
        ("shopify", "HMAC-SHA256 (Base64) in X-Shopify-Hmac-SHA256"),
        ("stripe", "HMAC-SHA256 in Stripe-Signature, 300 s"),
        ("linear", "HMAC-SHA256 in Linear-Signature, 60 s"),
        ("cloudevents", "Bearer key in Authorization (optional)"),
        ("microsoft-graph", "key in value[].clientState of the body"),
        ("airbyte", "the URL alone"),
    ],
)
def test_a_scheme_says_where_it_stands_and_what_it_is(name: str, words: str) -> None:
    assert scheme_in_words(PRESETS[name]) == words


def test_several_verification_are_all_named() -> None:
    twice = dataclasses.replace(
        PRESETS["github"], verification=PRESETS["github"].verification + PRESETS["gitlab"].verification
    )

    assert scheme_in_words(twice) == "HMAC-SHA256 in X-Hub-Signature-256, key in X-Gitlab-Token"


def test_what_is_not_there_is_none() -> None:
    assert handshake_in_words(PRESETS["github"]) == dedup_in_words(PRESETS["dropbox"]) == "none"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("${Webhook::Headers.X-GitHub-Delivery}", "Headers.X-GitHub-Delivery"),
        ("{{ body | sha256 }}", "hash of the body"),
        ("{{ body.a ~ body.b }}", "{{ body.a ~ body.b }}"),
        ("${Webhook::Body.a}-${Webhook::Body.b}", "${Webhook::Body.a}-${Webhook::Body.b}"),
        (None, "none"),
    ],
)
def test_an_expression_stands_without_what_all_have(source: str | None, words: str) -> None:
    assert expression_in_words(source) == words


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_the_data_of_a_preset_is_all_of_it_and_none_of_it_is_shared(preset: Preset) -> None:
    data = as_data(preset)

    assert {*data} == {*vars(preset), "sender"} - {"title"}
    assert not [value for value in data.values() if isinstance(value, tuple)]
    data["steps"].append("one more")
    assert "one more" not in preset.steps
