"""What is remembered of a right token is short-lived, bounded, and never of use to another token."""

from __future__ import annotations

import pytest

from inbound_webhooks.receiver.admissions import MAX_REMEMBERED, REMEMBERED_SECONDS, RememberedAdmissions


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def remembered(clock: Clock) -> RememberedAdmissions[str]:
    held: RememberedAdmissions[str] = RememberedAdmissions(clock)
    held.put("a", "right", "admitted")
    return held


def test_the_same_token_is_known_again(remembered):
    assert remembered.get("a", "right") == "admitted"


@pytest.mark.parametrize(("webhook_id", "token"), [("a", "wrong"), ("b", "right"), ("a", ""), ("b", "")])
def test_another_token_or_webhook_is_not(remembered, webhook_id, token):
    assert remembered.get(webhook_id, token) is None


def test_it_is_forgotten_after_a_moment(remembered, clock):
    clock.now = REMEMBERED_SECONDS
    assert remembered.get("a", "right") is None


def test_it_is_forgotten_when_somebody_says_so(remembered):
    remembered.forget("a")
    remembered.forget("never heard of")
    assert remembered.get("a", "right") is None


def test_there_are_never_too_many(remembered):
    for number in range(MAX_REMEMBERED):
        remembered.put(f"webhook {number}", "right", "admitted")
    assert remembered.get("a", "right") is None
    assert remembered.get("webhook 0", "right") == "admitted"
