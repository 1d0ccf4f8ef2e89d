"""When a delivery is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from inbound_webhooks.errors import DagBroken, DagUnavailable, DispatchError, RunRefused
from inbound_webhooks.event.retry import RETRY_DELAYS_SECONDS, next_attempt_at

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [
        (1, 2),
        (2, 5),
        (3, 15),
        (4, 30),
        (5, 60),
        (6, 300),  # 5 minutes
        (7, 900),  # 15 minutes
        (8, 1800),  # half an hour
        (9, 3600),  # then every hour
        (19, 3600),
    ],
)
def test_the_delay_grows_with_the_attempts(attempts, seconds):
    assert next_attempt_at(NOW, attempts, DagBroken()) == NOW + timedelta(seconds=seconds)


def test_after_the_last_attempt_there_is_none():
    assert next_attempt_at(NOW, len(RETRY_DELAYS_SECONDS), DagUnavailable()) is not None
    assert next_attempt_at(NOW, len(RETRY_DELAYS_SECONDS) + 1, DagUnavailable()) is None
    assert next_attempt_at(NOW, 1000, DagUnavailable()) is None


@pytest.mark.parametrize("attempts", [1, 5, 19])
def test_what_cannot_heal_is_never_tried_again(attempts):
    assert next_attempt_at(NOW, attempts, RunRefused()) is None


@pytest.mark.parametrize("error", [DagUnavailable(), DagBroken(), DispatchError()])
def test_what_can_heal_is_tried_for_about_half_a_day(error):
    # 2 + 5 + 15 + 30 + 60 + 300 + 900 + 1800 = 3112 s, and 11 hours
    attempts = range(1, len(RETRY_DELAYS_SECONDS) + 1)
    whole = sum((next_attempt_at(NOW, n, error) - NOW for n in attempts), timedelta())
    assert whole == timedelta(hours=11, seconds=3112)


def test_a_mail_is_tried_for_about_a_day():
    from inbound_webhooks.event.retry import MAIL_DELAYS_SECONDS, next_mail_at

    assert 23 * 3600 < sum(MAIL_DELAYS_SECONDS) < 25 * 3600
    now = datetime(2030, 1, 1, tzinfo=timezone.utc)
    assert next_mail_at(now, 1) == now + timedelta(seconds=30)
    assert next_mail_at(now, len(MAIL_DELAYS_SECONDS)) == now + timedelta(hours=1)
    assert next_mail_at(now, len(MAIL_DELAYS_SECONDS) + 1) is None
