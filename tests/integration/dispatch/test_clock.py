"""The machine's clock is set on or back: outcomes, mails and retention go on as if it had been right."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import (
    Hook,
    change_run,
    delivery,
    listed,
    now,
    rows,
    store_delivery,
    store_webhook,
)
from tests.integration.dispatch.conftest import AT
from tests.integration.dispatch.test_notifications import make_mailer, store_mail
from tests.integration.dispatch.test_retention import make_cleaner
from tests.integration.dispatch.test_run_tracker import (
    BOTH,
    dispatched,
    end_run,
    fail_and_send,
    make_tracker,
)
from tests.promises.test_many_dispatchers import dispatcher as make_dispatcher
from tests.promises.test_many_dispatchers import running, wait_until

HOUR = timedelta(hours=1)
YEAR = timedelta(days=365)
WINDOW = timedelta(seconds=60)
JUMPS = pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["an hour on", "an hour back"])


@pytest.fixture
def hook(database) -> Hook:
    store_dag("orders")
    return store_webhook(**BOTH)


@pytest.fixture
def dispatcher(clock):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    return Dispatcher(Settings(), now=clock)


# --- outcomes -------------------------------------------------------------------------------


@JUMPS
def test_a_run_that_ends_after_a_jump_is_recorded_and_mailed_once(dispatcher, hook, clock, jump):
    tracker = make_tracker(clock)
    (stored,) = dispatched(dispatcher, hook)
    clock.at = AT + jump
    end_run(stored, "success")
    assert [tracker.follow() for _ in range(2)] == [1, 0]
    assert (delivery(stored).state, len(rows("mail"))) == ("succeeded", 1)


@JUMPS
def test_a_run_that_is_cleared_after_a_jump_is_followed_to_its_new_end(dispatcher, hook, clock, jump):
    tracker = make_tracker(clock)
    (stored,) = dispatched(dispatcher, hook)
    end_run(stored, "success")
    tracker.follow()
    clock.at = AT + jump
    change_run(f"webhook__{stored}", state="running", end_date=None)
    tracker.follow()
    assert delivery(stored).state == "dispatched"
    end_run(stored, "failed")
    tracker.follow()
    assert delivery(stored).state == "failed"


# --- mails ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [HOUR, YEAR], ids=["an hour", "a year"])
def test_failures_after_one_of_a_clock_that_was_ahead_are_mailed_as_if_it_had_not_been(
    dispatcher, hook, clock, ahead
):
    tracker = make_tracker(clock, digest_window_seconds=WINDOW.total_seconds())
    ids = dispatched(dispatcher, hook, 4)
    clock.at = AT + ahead
    fail_and_send(tracker, ids[0])
    clock.at = AT
    fail_and_send(tracker, ids[1])
    for stored in ids[2:]:
        end_run(stored, "failed")
        tracker.follow()
    assert [mail.due_at - AT for mail in rows("mail")] == [ahead, timedelta(0), WINDOW]
    assert sorted(listed(rows("mail")[2].id)) == sorted(ids[2:])


@pytest.mark.parametrize("ahead", [2 * HOUR, YEAR], ids=["two hours", "a year"])
def test_a_mail_that_waits_for_a_clock_that_was_ahead_is_sent_soon(database, mail_server, ahead):
    store_mail("team@example.com", at=now() + ahead)
    with running(make_dispatcher(dispatcher_poll_seconds=0.05)):
        wait_until(make_mailer(now).send_due)
    assert len(mail_server.messages) == 1


def test_a_mail_that_may_have_to_wait_so_long_is_left_waiting(database):
    from inbound_webhooks.storage.clock_skew import reschedule_future_mails
    from inbound_webhooks.storage.database import transaction

    store_mail("team@example.com", at=AT + HOUR)
    with transaction() as connection:
        assert reschedule_future_mails(connection, AT, WINDOW) == 0
        assert reschedule_future_mails(connection, AT - HOUR, 2 * HOUR) == 0
        assert reschedule_future_mails(connection, AT - HOUR, WINDOW) == 1


def test_after_a_jump_on_a_digest_is_sent_early_and_the_next_failure_opens_a_window(dispatcher, hook, clock):
    tracker = make_tracker(clock, digest_window_seconds=WINDOW.total_seconds())
    ids = dispatched(dispatcher, hook, 3)
    fail_and_send(tracker, ids[0])
    fail_and_send(tracker, ids[1])
    clock.at = AT + HOUR
    fail_and_send(tracker, ids[2])
    assert [mail.due_at - AT for mail in rows("mail")] == [timedelta(0), WINDOW, HOUR]


# --- retention ------------------------------------------------------------------------------


@JUMPS
def test_a_jump_of_an_hour_takes_nothing_away_that_is_a_day_from_its_end(database, clock, jump):
    hook = store_webhook()
    old = store_delivery(hook, state="succeeded", received_at=AT - timedelta(days=31))
    young = store_delivery(hook, state="succeeded", received_at=AT - timedelta(days=29))
    clock.at = AT + jump
    make_cleaner(clock).clean()
    assert old not in (kept := [row.id for row in rows("delivery")])
    assert kept == [young]


def test_what_a_clock_that_was_ahead_has_stored_stays_and_goes_when_it_is_old(database, clock):
    store_delivery(store_webhook(), state="succeeded", received_at=AT + HOUR)
    make_cleaner(clock).clean()
    assert len(rows("delivery")) == 1
    clock.at = AT + HOUR + timedelta(days=30, seconds=1)
    make_cleaner(clock).clean()
    assert rows("delivery") == []
