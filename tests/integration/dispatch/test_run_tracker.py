"""How runs ended, recorded on their deliveries with their mails, and true afterwards."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import (
    change_run,
    change_tasks,
    change_webhook,
    delete_run,
    delivery,
    listed,
    rows,
    states,
    store_deliveries,
    store_delivery,
    store_webhook,
)
from tests.integration.dispatch.conftest import AT

BEGUN, ENDED = AT - timedelta(minutes=2), AT - timedelta(minutes=1)
FAR = AT + timedelta(days=1000)
BOTH = {"notify_success": ["good@example.com"], "notify_failure": ["bad@example.com"]}


@pytest.fixture
def dispatcher(clock):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    return Dispatcher(Settings(dispatcher_batch_size=100), now=clock)


@pytest.fixture
def tracker(clock):
    return make_tracker(clock)


@pytest.fixture
def hook(database):
    store_dag("orders")
    return store_webhook(**BOTH)


def make_tracker(clock, *, page_size: int = 500, **settings):
    from inbound_webhooks.dispatch.run_tracker import RunTracker
    from inbound_webhooks.settings import Settings

    return RunTracker(Settings(**settings), now=clock, page_size=page_size)


def dispatched(dispatcher, hook, count: int = 1) -> list[str]:
    ids = store_deliveries(hook, count, next_attempt_at=AT)
    dispatcher.dispatch_due()
    return ids


def end_run(delivery_id: str, state: str, ended_at=ENDED) -> None:
    change_run(f"webhook__{delivery_id}", state=state, start_date=BEGUN, end_date=ended_at)


def mails() -> list[tuple[str, str]]:
    return sorted((mail.kind, mail.recipient) for mail in rows("mail"))


# --- outcomes -------------------------------------------------------------------------------


def test_a_run_that_succeeds_is_recorded_with_its_times(dispatcher, tracker, hook):
    (stored,) = dispatched(dispatcher, hook)
    end_run(stored, "success")
    assert tracker.follow() == 1
    after = delivery(stored)
    assert (after.state, after.run_started_at, after.finished_at) == ("succeeded", BEGUN, ENDED)
    assert (after.failed_tasks, after.error) == (None, None)


def test_a_run_that_fails_is_recorded_with_the_tasks_that_did(dispatcher, tracker, hook):
    (stored,) = dispatched(dispatcher, hook)
    change_tasks(f"webhook__{stored}", state="failed", try_number=3)
    end_run(stored, "failed")
    tracker.follow()
    after = delivery(stored)
    assert (after.state, after.finished_at, after.error) == ("failed", ENDED, None)
    assert json.loads(after.failed_tasks) == [{"task_id": "work", "map_index": -1, "try_number": 3}]


def test_a_run_that_fails_without_a_failed_task_says_so(dispatcher, tracker, hook):
    """It timed out, or a user marked it."""
    (stored,) = dispatched(dispatcher, hook)
    end_run(stored, "failed")
    tracker.follow()
    assert "timed out or was marked" in delivery(stored).error


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_run_that_has_not_ended_changes_nothing(dispatcher, tracker, hook, state):
    (stored,) = dispatched(dispatcher, hook)
    change_run(f"webhook__{stored}", state=state)
    assert (tracker.follow(), delivery(stored).state, rows("mail")) == (0, "dispatched", [])


def test_a_run_that_is_deleted_before_its_end_is_a_failure_that_says_so(dispatcher, tracker, hook):
    (stored,) = dispatched(dispatcher, hook)
    delete_run(f"webhook__{stored}")
    assert [tracker.follow(), tracker.follow()] == [1, 0]
    after = delivery(stored)
    assert (after.state, after.finished_at) == ("failed", AT)
    assert "deleted" in after.error
    assert mails() == [("failure", "bad@example.com")]


def test_a_run_that_is_deleted_after_its_end_leaves_the_outcome_as_it_was(dispatcher, tracker, hook):
    (stored,) = dispatched(dispatcher, hook)
    end_run(stored, "success")
    tracker.follow()
    delete_run(f"webhook__{stored}")
    assert (tracker.follow(), delivery(stored).state) == (0, "succeeded")


def test_a_cleared_run_is_dispatched_again_and_then_ends_as_it_does(dispatcher, tracker, hook):
    (stored,) = dispatched(dispatcher, hook)
    end_run(stored, "failed")
    tracker.follow()
    change_run(f"webhook__{stored}", state="queued", end_date=None)
    tracker.follow()
    again = delivery(stored)
    assert (again.state, again.finished_at, again.failed_tasks, again.error) == (
        "dispatched",
        None,
        None,
        None,
    )
    end_run(stored, "success", AT)
    tracker.follow()
    assert (delivery(stored).state, delivery(stored).finished_at) == ("succeeded", AT)
    assert mails() == [("failure", "bad@example.com"), ("success", "good@example.com")]


def test_a_run_that_is_marked_otherwise_by_hand_ends_up_true(dispatcher, tracker, hook):
    (stored,) = dispatched(dispatcher, hook)
    end_run(stored, "failed")
    tracker.follow()
    end_run(stored, "success", AT)
    assert [tracker.follow(), tracker.follow()] == [1, 0]
    assert delivery(stored).state == "succeeded"


def test_a_run_that_failed_twice_between_two_looks_has_its_last_end(dispatcher, clock, hook):
    (stored,) = dispatched(dispatcher, hook)
    end_run(stored, "failed")
    one = make_tracker(clock, digest_window_seconds=0)
    one.follow()
    end_run(stored, "failed", AT)
    assert [one.follow(), one.follow()] == [1, 0]
    assert (delivery(stored).finished_at, len(rows("mail"))) == (AT, 2)


def test_after_some_days_a_run_is_not_looked_at_again(dispatcher, tracker, hook, clock):
    from inbound_webhooks.dispatch.run_tracker import RECHECKED

    (stored,) = dispatched(dispatcher, hook)
    end_run(stored, "failed")
    tracker.follow()
    clock.at = ENDED + RECHECKED + timedelta(seconds=1)
    end_run(stored, "success", AT)
    assert (tracker.follow(), delivery(stored).state) == (0, "failed")


def test_every_page_has_its_turn(dispatcher, hook, clock):
    """Runs that never end do not keep the others from being seen."""
    ids = sorted(dispatched(dispatcher, hook, 30))
    for stored in (ids[0], ids[17], ids[29]):
        end_run(stored, "success")
    tracker = make_tracker(clock, page_size=2)
    for _ in range(2):
        tracker.follow()
    assert states() == ["dispatched"] * 27 + ["succeeded"] * 3


def test_every_page_of_what_has_ended_has_its_turn(dispatcher, hook, clock):
    ids = sorted(dispatched(dispatcher, hook, 11))
    for number, stored in enumerate(ids):
        end_run(stored, "success", ENDED - timedelta(minutes=number // 3))
    tracker = make_tracker(clock, page_size=4)
    tracker.follow()
    for stored in ids:
        end_run(stored, "failed", AT)
    for _ in range(4):
        tracker.follow()
    assert states() == ["failed"] * 11


def test_two_followers_record_an_outcome_once(dispatcher, hook, clock):
    """The one that looked first and came second finds the delivery changed."""
    from inbound_webhooks.storage import outcomes

    (stored,) = dispatched(dispatcher, hook)
    end_run(stored, "failed")
    late, early = make_tracker(clock), make_tracker(clock)
    changes = late._check_unfinished()
    early.follow()
    assert (late._settle(changes), len(rows("mail"))) == (0, 1)
    assert outcomes.load_tasks(delivery(stored).failed_tasks) == ()


def test_an_outcome_that_another_dispatcher_is_writing_is_left_to_it(postgres_database, dispatcher, clock):
    from inbound_webhooks.storage.database import transaction

    store_dag("orders")
    hook = store_webhook(**BOTH)
    first, second = dispatched(dispatcher, hook, 2)
    end_run(first, "success")
    end_run(second, "success")
    with transaction() as connection:
        connection.exec_driver_sql(
            "SELECT 1 FROM inbound_webhook_delivery WHERE id = %s FOR UPDATE", (first,)
        )
        assert make_tracker(clock).follow() == 1
    assert (delivery(first).state, delivery(second).state) == ("dispatched", "succeeded")


def test_an_outcome_and_its_mail_are_one_transaction(dispatcher, tracker, hook, database):
    """The database refuses the mail, which comes after the outcome."""
    from tests.integration.dispatch.test_dispatcher import execute

    (stored,) = dispatched(dispatcher, hook)
    end_run(stored, "failed")
    execute("ALTER TABLE inbound_webhook_mail_delivery RENAME TO away")
    try:
        with pytest.raises(Exception, match="airflow db migrate"):
            tracker.follow()
    finally:
        execute("ALTER TABLE away RENAME TO inbound_webhook_mail_delivery")
    assert (delivery(stored).state, rows("mail")) == ("dispatched", [])
    tracker.follow()
    assert (delivery(stored).state, len(rows("mail"))) == ("failed", 1)


def test_an_outcome_that_cannot_be_recorded_does_not_hold_up_the_others(dispatcher, tracker, hook):
    from tests.integration.dispatch.test_dispatcher import execute

    broken = store_webhook("another")
    stored, fine = dispatched(dispatcher, broken)[0], dispatched(dispatcher, hook)[0]
    execute(f"UPDATE inbound_webhook SET notify_failure = 'no JSON' WHERE id = '{broken.id}'")
    for each in (stored, fine):
        end_run(each, "failed")
    tracker.follow()
    assert (delivery(stored).state, delivery(fine).state) == ("dispatched", "failed")


# --- mails ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "expected"),
    [("success", [("success", "good@example.com")]), ("failed", [("failure", "bad@example.com")])],
)
def test_the_recipients_of_an_outcome_get_a_mail(dispatcher, tracker, hook, state, expected):
    (stored,) = dispatched(dispatcher, hook)
    end_run(stored, state)
    tracker.follow()
    (mail,) = rows("mail")
    assert (mails(), listed(mail.id)) == (expected, [stored])
    assert (mail.state, mail.attempts, mail.next_attempt_at) == ("waiting", 0, AT)


def test_a_webhook_without_recipients_sends_no_mail(dispatcher, tracker, database):
    store_dag("orders")
    (stored,) = dispatched(dispatcher, store_webhook())
    end_run(stored, "failed")
    tracker.follow()
    assert (states(), rows("mail")) == (["failed"], [])


def test_a_webhook_that_is_deleted_meanwhile_sends_no_mail(dispatcher, tracker, hook):
    from inbound_webhooks.webhooks import service
    from tests.infrastructure.webhooks_builder import ACTOR

    (stored,) = dispatched(dispatcher, hook)
    end_run(stored, "failed")
    service.delete(hook.id, actor=ACTOR)
    tracker.follow()
    assert (states(), rows("mail")) == (["failed"], [])


def test_each_address_gets_a_mail_of_its_own(dispatcher, tracker, hook):
    change_webhook(hook.id, notify_success=("a@example.com", "b@example.com"))
    (stored,) = dispatched(dispatcher, hook)
    end_run(stored, "success")
    tracker.follow()
    assert mails() == [("success", "a@example.com"), ("success", "b@example.com")]


def test_what_cannot_be_delivered_is_mailed_like_a_failure(dispatcher, hook):
    from tests.infrastructure.dags_builder import change_dag

    change_dag("orders", allowed_run_types=["scheduled"])
    stored = store_delivery(hook, next_attempt_at=AT)
    dispatcher.dispatch_due()
    after = delivery(stored)
    (mail,) = rows("mail")
    assert (after.state, after.finished_at, mail.kind) == ("undeliverable", AT, "failure")
    assert listed(mail.id) == [stored]


def test_what_is_tried_again_is_not_mailed_yet(dispatcher, database):
    store_delivery(store_webhook(**BOTH), next_attempt_at=AT)
    dispatcher.dispatch_due()
    assert (states(), rows("mail")) == (["accepted"], [])


# --- digests --------------------------------------------------------------------------------


def test_failures_that_are_seen_together_make_one_mail_with_the_list(dispatcher, tracker, hook):
    ids = dispatched(dispatcher, hook, 20)
    for stored in ids:
        end_run(stored, "failed")
    tracker.follow()
    (mail,) = rows("mail")
    assert sorted(listed(mail.id)) == sorted(ids)


def test_failures_after_a_mail_was_sent_are_collected_until_the_windows_end(dispatcher, hook, clock):
    tracker = make_tracker(clock, digest_window_seconds=60)
    ids = dispatched(dispatcher, hook, 21)
    fail_and_send(tracker, ids[0])
    for stored in ids[1:]:
        clock.at += timedelta(seconds=1)
        end_run(stored, "failed")
        tracker.follow()
    first, digest = rows("mail")
    assert (listed(first.id), listed(digest.id)) == ([ids[0]], ids[1:])
    assert (first.due_at, digest.next_attempt_at) == (AT, AT + timedelta(seconds=60))


def test_a_digest_opens_the_next_window(dispatcher, hook, clock):
    tracker = make_tracker(clock, digest_window_seconds=60)
    ids = dispatched(dispatcher, hook, 4)
    for stored, seconds in zip(ids, (0, 30, 90, 181), strict=True):
        clock.at = AT + timedelta(seconds=seconds)
        fail_and_send(tracker, stored)
    due = [(mail.due_at - AT).total_seconds() for mail in rows("mail")]
    assert due == [0, 60, 120, 181]


def test_failures_of_two_webhooks_are_two_mails(dispatcher, tracker, hook):
    both = [hook, store_webhook("another", **BOTH)]
    for each in both:
        end_run(dispatched(dispatcher, each)[0], "failed")
    tracker.follow()
    assert len(rows("mail")) == 2


def test_without_a_window_each_failure_has_a_mail(dispatcher, hook, clock):
    for stored in dispatched(dispatcher, hook, 3):
        end_run(stored, "failed")
    make_tracker(clock, digest_window_seconds=0).follow()
    assert len(rows("mail")) == 3


def test_each_success_has_a_mail(dispatcher, tracker, hook):
    for stored in dispatched(dispatcher, hook, 3):
        end_run(stored, "success")
    tracker.follow()
    assert len(rows("mail")) == 3


def test_two_transactions_about_a_webhook_at_once_collect_in_one_mail(postgres_cluster, postgres_database):
    """The second one waits for the first one's mail instead of writing another."""
    from concurrent.futures import ThreadPoolExecutor

    from inbound_webhooks.storage.database import transaction

    hook = store_webhook(**BOTH)
    with ThreadPoolExecutor(1) as pool:
        with transaction() as connection:
            write_a_mail(connection, hook, "1" * 32)
            second = pool.submit(write_a_mail_alone, hook, "2" * 32)
            postgres_cluster.wait_until_blocked()
        second.result(10)
    (mail,) = rows("mail")
    assert listed(mail.id) == ["1" * 32, "2" * 32]


def write_a_mail_alone(hook, delivery_id: str) -> None:
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        write_a_mail(connection, hook, delivery_id)


def write_a_mail(connection, hook, delivery_id: str) -> None:
    from inbound_webhooks.storage.mails import write_mails
    from inbound_webhooks.storage.outcomes import Outcome

    outcome = Outcome(
        delivery_id=delivery_id,
        webhook_id=hook.id,
        webhook_name=hook.name,
        dag_id="orders",
        run_id=None,
        state="failed",
        received_at=AT,
        started_at=None,
        finished_at=AT,
    )
    write_mails(connection, [outcome], at=AT, digest_window_seconds=60)


def fail_and_send(tracker, delivery_id: str) -> None:
    """A run fails, and the mail about it is taken by whoever sends mails."""
    from inbound_webhooks.storage import mails
    from inbound_webhooks.storage.database import transaction

    end_run(delivery_id, "failed")
    tracker.follow()
    with transaction() as connection:
        claimed = mails.claim_mail(connection, FAR, until=FAR + timedelta(days=1), after="")
        mails.mark_mail(connection, claimed, state="sent", next_attempt_at=None, sent_at=AT)
