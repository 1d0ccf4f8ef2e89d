"""The table of states says how deliveries and calls behave: each column against what the code does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from inbound_webhooks.event.retry import RETRY_DELAYS_SECONDS
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.delivery_states import BEHAVIOUR, BEHAVIOUR_OF_CALLS, Behaviour
from tests.infrastructure.pages import page
from tests.infrastructure.webhooks_builder import Hook, now, rows, store_delivery, store_webhook

CALLS = Hook("wait", "", "training.work")
WAIT_ID = "0" * 32

Cases = dict[str, tuple[Behaviour, dict[str, Any]]]


@pytest.fixture
def hook(database) -> Hook:
    return store_webhook(notify_success=["a@example.com"], notify_failure=["a@example.com"])


@pytest.fixture
def stored(hook) -> Callable[..., Cases]:
    """A function that stores a delivery, and a call, of each state: id -> its row of the table, columns."""

    def store(**columns: Any) -> Cases:
        found = {}
        for owner, table, more in ((hook, BEHAVIOUR, {}), (CALLS, BEHAVIOUR_OF_CALLS, {"wait_id": WAIT_ID})):
            for state, behaviour in table.items():
                given = columns | more | {"state": state}
                found[store_delivery(owner, **given)] = (behaviour, given)
        return found

    return store


def those(cases: Cases, question: str) -> list[str]:
    return sorted(key for key, (behaviour, _) in cases.items() if getattr(behaviour, question))


def states_now() -> dict[str, str]:
    return {row.id: row.state for row in rows("delivery")}


def connected(work: Callable[[Any], Any]) -> Any:
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        return work(connection)


def test_each_state_has_a_row():
    assert set(BEHAVIOUR) == set(State.ALL)
    # What a webhook decides about, and what is dispatched as a run, no call can be.
    others = {State.REFUSED, State.FILTERED, State.DISPATCHED, State.UNDELIVERABLE, *State.NOT_DUE}
    others |= {State.SPLIT, State.SUPERSEDED, State.SKIPPED, State.UNMATCHED}
    assert set(BEHAVIOUR_OF_CALLS) == set(State.ALL) - others


def test_the_retention_deletes_what_is_final(stored):
    from inbound_webhooks.dispatch.retention import RetentionJob
    from inbound_webhooks.settings import Settings

    cases = stored(received_at=now() - timedelta(days=31))
    RetentionJob(Settings()).clean()
    assert sorted(cases.keys() - states_now().keys()) == those(cases, "is_final")


def test_the_correction_of_clock_skew_makes_due_what_is_rescheduled(stored):
    from inbound_webhooks.storage.clock_skew import reschedule_future_attempts

    tomorrow, at = now() + timedelta(days=1), now()
    cases = stored(next_attempt_at=tomorrow)
    connected(lambda connection: reschedule_future_attempts(connection, at))
    made_due = [row.id for row in rows("delivery") if row.next_attempt_at == at]
    assert made_due == those(cases, "is_rescheduled")


def test_the_limits_count_the_backlog(stored, hook):
    from inbound_webhooks.storage.deliveries import count_accepted, count_accepted_by_webhook

    expected = len(those(stored(), "in_backlog"))
    assert connected(lambda connection: count_accepted(connection, hook.id, 100)) == expected
    assert connected(lambda connection: count_accepted_by_webhook(connection, 100)) == {hook.id: expected}


def test_health_counts_what_waits_for_its_run(stored):
    from inbound_webhooks.storage.deliveries import read_backlog

    at = now()
    cases = stored(received_at=at)
    assert connected(read_backlog) == (len(those(cases, "in_health")), at)


def test_an_event_of_the_same_key_is_a_duplicate(hook, stored):
    for key, (behaviour, columns) in stored().items():
        owner = CALLS if columns.get("wait_id") else hook
        store_delivery(owner, **columns | {"dedup_key": key})
        assert behaviour.is_deduplicated
        with pytest.raises(IntegrityError):
            store_delivery(owner, **columns | {"dedup_key": key})


def test_the_retry_horizon_ends_what_is_retried(stored):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    cases = stored(attempts=len(RETRY_DELAYS_SECONDS), dag_id="a missing DAG")
    dispatcher = Dispatcher(Settings())
    while dispatcher.dispatch_due():
        pass
    expected = {key: row.retries_end_in or columns["state"] for key, (row, columns) in cases.items()}
    assert states_now() == expected


@pytest.mark.parametrize("state", [state for state, row in BEHAVIOUR.items() if row.mail])
def test_the_recipients_of_an_outcome_get_the_mail_of_its_kind(hook, state):
    from inbound_webhooks.storage.mails import write_mails
    from inbound_webhooks.storage.outcomes import Outcome

    outcome = Outcome(
        delivery_id=store_delivery(hook, state=state),
        webhook_id=hook.id,
        webhook_name=hook.name,
        dag_id="orders",
        run_id=None,
        state=state,
        received_at=now(),
        started_at=None,
        finished_at=now(),
    )
    connected(lambda connection: write_mails(connection, [outcome], at=now(), digest_window_seconds=0))
    assert [mail.kind for mail in rows("mail")] == [BEHAVIOUR[state].mail]


def test_the_deletion_of_the_webhook_cancels_what_waits(stored, hook):
    from inbound_webhooks.webhooks import service

    cases = stored()
    service.delete(hook.id, actor="a tester")
    expected = {key: row.deletion_leads_to or columns["state"] for key, (row, columns) in cases.items()}
    assert states_now() == expected


def test_each_metric_is_documented():
    metrics = {row.metric for table in (BEHAVIOUR, BEHAVIOUR_OF_CALLS) for row in table.values()}
    documented = page("docs/operating.md")
    assert [name for name in sorted(metrics - {""}) if f"| `{name}` | counter |" not in documented] == []
