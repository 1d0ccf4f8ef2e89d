"""Asset events as the target of deliveries: one each, recorded with the delivery, on both databases."""

from __future__ import annotations

import pytest

from tests.infrastructure.assets_builder import (
    NAME,
    URI,
    events,
    forget_assets,
    queued,
    store_due,
    store_subscriber,
)
from tests.infrastructure.dags_builder import change_dag, store_dag
from tests.infrastructure.webhooks_builder import (
    change_delivery,
    change_webhook,
    delivery,
    now,
    rows,
    runs,
    store_delivery,
    store_webhook,
)


@pytest.fixture
def hook(database):
    """A webhook of an asset on which two DAGs are scheduled."""
    store_subscriber("one")
    store_subscriber("two")
    return store_webhook(dag_id="", asset=URI)


def dispatch() -> None:
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    Dispatcher(Settings()).dispatch_due()


def test_a_delivery_becomes_an_event_with_its_data_and_where_it_comes_from(hook):
    stored = store_due(hook)
    dispatch()
    [event] = events()
    assert event["extra"] == {"order": 7, "from_webhook": hook.name, "delivery_id": stored}
    assert queued() == ["one", "two"]
    assert runs() == []  # Airflow's scheduler creates them


def test_it_has_succeeded_once_the_event_is_recorded(hook):
    stored = store_due(hook)
    dispatch()
    row, [event] = delivery(stored), events()
    assert (row.state, row.attempts, row.run_id, row.next_attempt_at) == ("succeeded", 1, None, None)
    assert (row.asset_event_id, row.error) == (event["id"], None)
    assert row.dispatched_at == row.finished_at is not None


@pytest.mark.parametrize("named", [URI, NAME])
def test_an_asset_is_named_by_its_name_or_its_uri(hook, named):
    store_due(hook, asset=named)
    dispatch()
    assert len(events()) == 1


def test_runs_and_events_are_created_together(hook):
    store_dag("orders")
    other = store_webhook("of a dag")
    stored = [store_due(hook), store_delivery(other), store_due(hook)]
    dispatch()
    assert [delivery(each).state for each in stored] == ["succeeded", "dispatched", "succeeded"]
    assert (len(events()), len(runs())) == (2, 1)


def test_an_unknown_asset_is_waited_for_and_stops_no_other_delivery(hook):
    waiting, stored = store_due(hook, asset="s3://unknown"), store_due(hook)
    dispatch()
    row = delivery(waiting)
    assert (row.state, row.attempts) == ("accepted", 1)
    assert row.error == "No DAG file names the asset s3://unknown."
    assert delivery(stored).state == "succeeded"
    assert [event["extra"]["delivery_id"] for event in events()] == [stored]


def test_an_asset_that_no_dag_file_names_any_more_is_waited_for(hook):
    forget_assets()
    stored = store_due(hook)
    dispatch()
    assert (delivery(stored).state, events()) == ("accepted", [])


def test_a_paused_dag_gets_no_event(hook):
    change_dag("two", is_paused=True)
    store_due(hook)
    dispatch()
    assert queued() == ["one"]


def test_an_event_is_about_the_partition_that_the_endpoint_computed(hook):
    store_due(hook, partition_key="2026-12-01")
    dispatch()
    assert [event["partition_key"] for event in events()] == ["2026-12-01"]


def test_recipients_hear_of_the_success_and_of_a_failure(database):
    store_subscriber("one")
    hook = store_webhook(
        dag_id="", asset=URI, notify_success=["good@example.com"], notify_failure=["bad@example.com"]
    )
    store_due(hook)
    store_due(hook, asset="s3://unknown", attempts=100)
    dispatch()
    assert sorted(mail.recipient for mail in rows("mail")) == ["bad@example.com", "good@example.com"]


def test_listeners_hear_of_an_event_after_the_commit_alone(hook):
    from airflow.listeners.listener import get_listener_manager

    class Listener:
        """As a plugin's: it sees the event in the database, from another connection."""

        def __init__(self) -> None:
            self.seen: list[int] = []

        from airflow.listeners import hookimpl

        @hookimpl
        def on_asset_changed(self, asset) -> None:
            self.seen.append(len(events()))

    listener = Listener()
    manager = get_listener_manager()
    manager.add_listener(listener)
    try:
        store_due(hook)
        dispatch()
    finally:
        manager.pm.unregister(listener)
    assert listener.seen == [1]


def test_a_failed_transaction_leaves_neither_event_nor_record(hook, monkeypatch):
    """Airflow fails after it has recorded the event."""
    from airflow.assets.manager import AssetManager

    stored, register = store_due(hook), AssetManager.register_asset_change

    def fail(**options):
        register(**options)
        raise RuntimeError

    monkeypatch.setattr(AssetManager, "register_asset_change", staticmethod(fail))
    dispatch()
    assert (events(), queued()) == ([], [])
    row = delivery(stored)
    assert (row.state, row.error) == ("accepted", "The asset event could not be created (RuntimeError).")
    monkeypatch.undo()
    change_delivery(stored, next_attempt_at=now())
    dispatch()
    assert (len(events()), delivery(stored).state) == (1, "succeeded")


def test_a_delivery_keeps_its_asset_when_the_webhook_gets_another_target(hook):
    stored = store_due(hook)
    change_webhook(hook.id, dag_id="one", asset=None)
    dispatch()
    assert delivery(stored).state == "succeeded"


def test_the_tracker_of_runs_leaves_it_alone(hook):
    from inbound_webhooks.dispatch.run_tracker import RunTracker
    from inbound_webhooks.settings import Settings

    stored = store_due(hook)
    dispatch()
    assert RunTracker(Settings()).follow() == 0
    assert delivery(stored).state == "succeeded"


def test_a_mail_names_the_asset(database):
    from inbound_webhooks.notifications.rendering import MailTemplates
    from inbound_webhooks.settings import Settings
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.mails import Mail, listed_outcomes

    store_subscriber("one")
    hook = store_webhook(dag_id="", asset=URI, notify_success=["good@example.com"])
    store_due(hook)
    dispatch()
    [row] = rows("mail")
    with transaction() as connection:
        total, outcomes = listed_outcomes(connection, row.id, 10)
    mail = MailTemplates(Settings()).render(Mail(**row._mapping), outcomes, total=total, base_url="http://a")
    assert mail.subject == f"[Airflow] {hook.name}: {URI} succeeded"
    assert URI in mail.text
    assert URI in mail.html
