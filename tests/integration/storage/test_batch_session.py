"""What a batch of runs asks once, and what it has to ask each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.infrastructure.assets_builder import URI, events, forget_queue, queued, store_subscriber
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import now, store_delivery, store_webhook


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    from airflow import settings
    from sqlalchemy import event

    sent: list[str] = []

    def note(_connection, _cursor, statement, *_more) -> None:
        sent.append(statement)

    event.listen(settings.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(settings.engine, "before_cursor_execute", note)


@pytest.fixture
def batch(database):
    from inbound_webhooks.airflow_bridge.sessions import BatchSession
    from inbound_webhooks.storage.database import session_transaction

    store_dag("orders")
    with session_transaction(BatchSession) as session:
        yield session


def version_of(dag_id: str):
    """Asked as Airflow asks, with a new statement each time."""
    from airflow.models.dag_version import DagVersion
    from sqlalchemy import select

    return select(DagVersion.id).where(DagVersion.dag_id == dag_id).limit(1)


def test_a_value_of_a_dag_is_asked_once(batch):
    with counted_statements() as sent:
        found = {batch.scalar(version_of("orders")) for _ in range(3)}
    assert (len(found), len(sent)) == (1, 1)
    assert found != {None}


def test_another_parameter_is_another_question(batch):
    assert batch.scalar(version_of("orders")) is not None
    assert batch.scalar(version_of("another")) is None


def test_what_a_batch_writes_is_asked_each_time(batch):
    from airflow.models.dagrun import DagRun
    from sqlalchemy import func, select

    with counted_statements() as sent:
        for _ in range(2):
            batch.scalar(select(func.count()).select_from(DagRun))
    assert len(sent) == 2


def test_the_next_batch_asks_again(batch):
    from inbound_webhooks.airflow_bridge.sessions import BatchSession
    from inbound_webhooks.storage.database import session_transaction

    assert batch.scalar(version_of("customers")) is None
    batch.commit()
    store_dag("customers")
    with session_transaction(BatchSession) as another:
        assert another.scalar(version_of("customers")) is not None


def test_each_run_of_a_batch_has_the_version_of_its_own_dag_and_costs_three_statements(database):
    from airflow.models.dag_version import DagVersion
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    from inbound_webhooks.airflow_bridge.dag_cache import dag_states
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings
    from inbound_webhooks.storage.database import session_transaction, transaction

    hook, dag_ids = store_webhook(), [store_dag("orders"), store_dag("customers")]
    with transaction() as connection:
        states = dag_states(connection, set(dag_ids))
    for dag_id in dag_ids * 10:
        checked = states[dag_id].dag_hash
        store_delivery(hook, dag_id=dag_id, next_attempt_at=now(), checked_dag_hash=checked)
    with counted_statements() as sent:
        assert Dispatcher(Settings(dispatcher_batch_size=20)).dispatch_due() == 20
    with session_transaction() as session:
        pairs = select(DagRun.dag_id, DagVersion.dag_id).join(
            DagVersion, DagVersion.id == DagRun.created_dag_version_id
        )
        found = sorted(map(tuple, session.execute(pairs)))
    assert found == sorted([(dag_id, dag_id) for dag_id in dag_ids] * 10)
    of_runs = [statement for statement in sent if "dag_run" in statement or "task_instance" in statement]
    assert len(of_runs) <= 3 * 20 + 3
    assert len(sent) < 5 * 20


# --- assets ---------------------------------------------------------------------------------


def created(session, number: int) -> list[str]:
    """Create events of one asset; the statements that were sent for the last one."""
    from inbound_webhooks.airflow_bridge.assets import NewEvent, create_events, find_asset

    found = find_asset(session.connection(), URI)
    assert found is not None
    new = NewEvent(found, {}, None, None)
    create_events(session, [new] * (number - 1), [])
    with counted_statements() as sent:
        create_events(session, [new], [])
    return sent


def test_what_is_scheduled_on_an_asset_is_asked_once(batch):
    store_subscriber("packing")
    sent = created(batch, 3)
    written = [statement.split("(")[0].strip() for statement in sent if statement.startswith("INSERT")]
    assert written[0] == "INSERT INTO asset_event"
    assert [statement for statement in sent if statement.startswith("SELECT dag.")] == []
    assert len(events()) == 0  # not committed


def test_events_of_a_batch_are_queued_like_those_of_a_plain_session(batch):
    from sqlalchemy.orm import Session

    from inbound_webhooks.storage.database import session_transaction

    for dag_id in ("packing", "books"):
        store_subscriber(dag_id)
    created(batch, 2)
    batch.commit()
    ours = queued()
    forget_queue()
    with session_transaction(Session) as plain:
        created(plain, 2)
    assert ours == queued() == ["books", "packing"]
    assert len(events()) == 4
