"""Deliveries and mails that do not wait for their next attempt."""

from __future__ import annotations

from datetime import timedelta

import pytest

from inbound_webhooks.errors import NotReplayable
from tests.infrastructure.assets_builder import URI, forget_assets, store_subscriber
from tests.infrastructure.dags_builder import change_dag, store_dag
from tests.infrastructure.webhooks_builder import (
    ACTOR,
    audit_rows,
    delivery,
    now,
    rows,
    store_deliveries,
    store_delivery,
    store_webhook,
)

LATER = timedelta(hours=1)


@pytest.fixture
def hook(database):
    return store_webhook(notify_failure=["a@example.com"])


def retry(delivery_id: str):
    from inbound_webhooks.deliveries.retry_now import retry_now

    return retry_now(delivery_id, actor=ACTOR)


def failed(hook, number: int = 1, **columns) -> list[str]:
    """Deliveries that wait an hour for their next attempt."""
    waits = {"attempts": 9, "error": "It failed.", "next_attempt_at": now() + LATER}
    return store_deliveries(hook, number, **waits | columns)


def test_a_delivery_is_due_at_once(hook):
    [stored] = failed(hook)
    done = retry(stored)
    assert (done.delivery, done.mails, done.sentence) == (True, 0, "Trying the delivery again now.")
    assert delivery(stored).next_attempt_at <= now()
    assert (audit_rows()[-1].event, audit_rows()[-1].owner) == ("webhook.retry", ACTOR)


def test_a_mail_is_due_at_once_unless_it_may_be_on_its_way(hook):
    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.database import transaction

    stored = store_delivery(hook, state="failed", next_attempt_at=None)
    base = {"webhook_id": hook.id, "webhook_name": hook.name, "kind": "failure", "recipient": "a@example.com"}
    base |= {"state": "waiting", "created_at": now(), "due_at": now(), "error": "The server is away."}
    with transaction() as connection:
        for number, wait in enumerate((LATER, timedelta(minutes=4))):
            mail = base | {"id": f"{number:032}", "attempts": 8, "next_attempt_at": now() + wait}
            connection.execute(tables.mail.insert(), mail)
            listed = {"mail_id": mail["id"], "position": 0, "delivery_id": stored, "outcome": "{}"}
            connection.execute(tables.mail_delivery.insert(), listed)
    assert retry(stored).mails == 1
    assert [row.next_attempt_at <= now() for row in rows("mail")] == [True, False]


@pytest.mark.parametrize("columns", [{}, {"state": "held", "next_attempt_at": None}, {"state": "dispatched"}])
def test_what_waits_for_no_attempt_is_refused(hook, columns):
    with pytest.raises(NotReplayable):
        retry(store_delivery(hook, **columns))
    assert [row.event for row in audit_rows()] == ["webhook.create"]


# --- DAGs and assets ----------------------------------------------------------------------------


def watcher():
    """A watcher that has looked once."""
    from inbound_webhooks.dispatch.dag_watcher import DagWatcher

    made = DagWatcher()
    made.look()
    return made


def test_a_dag_that_appears_wakes_its_deliveries(hook):
    ids, others = failed(hook, 3), failed(hook, 1, dag_id="missing")
    watching = watcher()
    assert watching.look() == 0
    store_dag("orders")
    assert watching.look() == 3
    assert all(delivery(each).next_attempt_at <= now() for each in ids)
    assert delivery(others[0]).next_attempt_at > now()


@pytest.mark.parametrize("broken", ["is_stale", "has_import_errors"])
def test_a_dag_that_is_repaired_wakes_its_deliveries(hook, broken):
    store_dag("orders")
    change_dag("orders", **{broken: True})
    failed(hook)
    watching = watcher()
    change_dag("orders", **{broken: False})
    assert watching.look() == 1


def test_what_failed_for_another_reason_keeps_its_pause(hook):
    store_dag("orders")
    watching = watcher()
    failed(hook)
    assert [watching.look(), watching.look()] == [0, 0]


def test_a_dispatcher_that_starts_wakes_what_can_be_dispatched_once(hook):
    from inbound_webhooks.dispatch.dag_watcher import DagWatcher

    store_dag("orders")
    failed(hook, 2)
    watching = DagWatcher()
    assert watching.look() == 2
    failed(hook, 2)
    assert watching.look() == 0


def test_an_asset_that_appears_wakes_its_deliveries(database):
    hook = store_webhook(dag_id="", asset=URI)
    ids = failed(hook, 3, dag_id="", asset=URI)
    [other] = failed(hook, dag_id="", asset="s3://missing")
    watching = watcher()
    assert watching.look() == 0
    store_subscriber("one")
    assert watching.look() == 3
    assert all(delivery(each).next_attempt_at <= now() for each in ids)
    assert delivery(other).next_attempt_at > now()


def test_an_asset_that_a_dag_file_names_again_wakes_its_deliveries(database):
    hook = store_webhook(dag_id="", asset=URI)
    store_subscriber("one")
    forget_assets()
    failed(hook, dag_id="", asset=URI)
    watching = watcher()
    assert watching.look() == 0
    store_subscriber("one")
    assert watching.look() == 1


def test_a_webhook_that_got_an_asset_instead_of_a_dag_has_both_watched(hook):
    failed(hook)
    failed(hook, dag_id="", asset=URI, next_attempt_at=now() + 2 * LATER)
    watching = watcher()
    store_subscriber("one")
    assert watching.look() == 1
    store_dag("orders")
    assert watching.look() == 1


def test_an_event_that_failed_for_another_reason_keeps_its_pause(database):
    hook = store_webhook(dag_id="", asset=URI)
    store_subscriber("one")
    watching = watcher()
    failed(hook, dag_id="", asset=URI)
    assert [watching.look(), watching.look()] == [0, 0]
