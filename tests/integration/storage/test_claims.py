"""Whose deliveries are to be dispatched, and who may take them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.infrastructure.webhooks_builder import ACTOR, now, store_deliveries, store_delivery, store_webhook


def claim(webhook_id: str, *, limit_bytes: int = 1_000) -> list[str]:
    from inbound_webhooks.storage import claims
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        found = claims.claim_due(connection, webhook_id, now(), limit=10, limit_bytes=limit_bytes)
    return [delivery.id for delivery in found]


def waiting(*, after: str = "", limit: int = 10) -> list[tuple[str, int]]:
    from inbound_webhooks.storage import claims
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        found = claims.waiting_webhooks(connection, now(), after=after, limit=limit)
    return [(webhook.webhook_id, webhook.due) for webhook in found]


# --- whose turn it can be -------------------------------------------------------------------


def test_a_webhook_waits_with_the_number_of_its_due_deliveries(database):
    hook, other, idle = store_webhook("busy"), store_webhook("other"), store_webhook("idle")
    store_deliveries(hook, 3)
    store_delivery(other)
    for waits in (hook, idle):
        store_delivery(waits, next_attempt_at=now() + timedelta(hours=1))
    for state in ("refused", "cancelled", "dispatched", "undeliverable"):
        store_delivery(idle, state=state)
    assert sorted(waiting()) == sorted([(hook.id, 3), (other.id, 1)])


def test_more_due_deliveries_than_were_asked_for_are_not_counted(database):
    hook = store_webhook()
    store_deliveries(hook, 9)
    assert waiting(limit=4) == [(hook.id, 4)]


def test_waiting_webhooks_are_found_from_one_on_and_no_more_than_asked_for(database):
    hooks = [store_webhook(f"webhook {number}") for number in range(5)]
    for hook in hooks:
        store_delivery(hook)
    (first, _), (second, _) = waiting(limit=2)
    third, fourth, fifth = (found for found, _ in waiting(after=second))
    assert {first, second, third, fourth, fifth} == {hook.id for hook in hooks}
    assert waiting(after=fifth) == []


def test_disabled_and_deleted_webhooks_have_no_turn(database):
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.webhooks import delete_webhook

    disabled, deleted = store_webhook("disabled", enabled=False), store_webhook("deleted")
    for hook in (disabled, deleted):
        store_delivery(hook)
    with transaction() as connection:
        delete_webhook(connection, deleted.id)
    assert waiting() == []


@pytest.mark.parametrize(("limit", "found"), [(1, False), (2, False), (3, True), (None, True)])
def test_a_webhook_with_as_many_active_runs_as_it_may_have_has_no_turn(database, limit, found):
    hook = store_webhook(max_active_runs=limit)
    store_deliveries(hook, 2, state="dispatched")
    store_deliveries(hook, 2, state="succeeded")
    store_delivery(hook)
    assert waiting() == ([(hook.id, 1)] if found else [])


# --- taking deliveries ----------------------------------------------------------------------


def test_the_oldest_due_deliveries_are_claimed_first(database):
    hook = store_webhook()
    late = store_delivery(hook, next_attempt_at=now() - timedelta(minutes=1))
    early = store_delivery(hook, next_attempt_at=now() - timedelta(minutes=9))
    store_delivery(hook, next_attempt_at=now() + timedelta(minutes=9))
    assert claim(hook.id) == [early, late]


@pytest.mark.parametrize(("limit_bytes", "claimed"), [(0, 1), (9, 1), (20, 2), (29, 2), (30, 3), (1_000, 4)])
def test_confs_of_so_many_bytes_are_claimed_and_always_the_first(database, limit_bytes, claimed):
    hook = store_webhook()
    ids = sorted(store_deliveries(hook, 4, conf='{"a":"bcd"}'[:10], next_attempt_at=now()))
    assert claim(hook.id, limit_bytes=limit_bytes) == ids[:claimed]


def test_only_accepted_deliveries_are_claimed(database):
    hook = store_webhook()
    for state in ("refused", "cancelled", "dispatched", "undeliverable"):
        store_delivery(hook, state=state)
    assert claim(hook.id) == []


def test_what_one_connection_has_claimed_another_one_skips(postgres_database):
    from inbound_webhooks.storage import claims
    from inbound_webhooks.storage.database import transaction

    hook = store_webhook()
    first, second, third = sorted(store_deliveries(hook, 3, next_attempt_at=now()))
    with transaction() as connection:
        claimed = claims.claim_due(connection, hook.id, now(), limit=2, limit_bytes=1_000)
        assert [delivery.id for delivery in claimed] == [first, second]
        assert claim(hook.id) == [third]


def test_only_enabled_webhooks_without_a_pending_change_are_locked(postgres_cluster, postgres_database):
    """What was enabled when its deliveries were looked for may not be any more."""
    from inbound_webhooks.storage import claims
    from inbound_webhooks.storage.database import transaction

    free, disabled, changing = (
        store_webhook("free", max_active_runs=7),
        store_webhook("disabled", enabled=False),
        store_webhook("changing"),
    )
    holder = postgres_cluster.connect("airflow")
    holder.autocommit = False
    holder.cursor().execute("SELECT 1 FROM inbound_webhook WHERE id = %s FOR UPDATE", (changing.id,))
    with transaction() as connection:
        ids = {free.id, disabled.id, changing.id, "of nobody"}
        assert claims.lock_enabled(connection, ids) == {free.id: ("orders", 7, True)}
    holder.close()


def test_one_dispatcher_at_a_time_is_alone_with_a_webhook_and_the_endpoint_goes_on(postgres_database):
    from inbound_webhooks.storage import claims
    from inbound_webhooks.storage.database import autocommit, transaction
    from inbound_webhooks.storage.deliveries import insert_delivery
    from tests.infrastructure.webhooks_builder import made_delivery

    hook, other = store_webhook(max_active_runs=1), store_webhook("another", max_active_runs=1)
    with transaction() as first, transaction() as second:
        assert (
            claims.lock_enabled(first, [hook.id])
            == claims.lock_enabled(second, [hook.id])
            == {hook.id: ("orders", 1, True)}
        )
        assert claims.try_lock_webhook(first, hook.id)
        assert not claims.try_lock_webhook(second, hook.id)
        assert claims.try_lock_webhook(second, other.id)
        stored = autocommit(lambda connection: insert_delivery(connection, made_delivery(hook, 1), version=1))
    assert stored is not None
    with transaction() as third:
        assert claims.try_lock_webhook(third, hook.id)


# --- what it costs --------------------------------------------------------------------------


def test_neither_a_flood_nor_history_is_read_to_find_whose_turn_it_is(postgres_database):
    """PostgreSQL itself counts the rows it reads: a few for each webhook, whatever its statistics say."""
    flooded, quiet = store_webhook("flooded"), store_webhook("quiet")
    store_deliveries(flooded, 3_000)
    store_delivery(quiet)
    analyze()
    for hook in (flooded, quiet):
        store_deliveries(hook, 3_000, state="succeeded", next_attempt_at=None)
    assert rows_read(*executed(waiting)) < 200


def test_only_the_active_runs_of_a_webhook_are_read_to_count_them(postgres_database):
    from inbound_webhooks.storage import claims
    from inbound_webhooks.storage.database import in_transaction

    # With ids in this order, the rows of "quiet" lie last and its index entries first: to PostgreSQL, the
    # entries of all active runs, in the order of the rows, look cheaper.
    quiet, flooded = sorted((store_webhook("a"), store_webhook("b")), key=lambda hook: hook.id)
    for number in range(30):
        store_delivery(store_webhook(f"other {number}"), state="succeeded")
    store_deliveries(flooded, 3_000, state="dispatched", body=b"x" * 800)
    store_deliveries(quiet, 3_000, state="succeeded", body=b"x" * 800)
    store_deliveries(quiet, 2, state="dispatched")
    analyze()
    count = partial(claims.count_active, webhook_id=quiet.id)
    counting = executed(partial(in_transaction, count))
    assert rows_read(*counting) < 10


def analyze() -> None:
    from airflow import settings

    with settings.engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE inbound_webhook_delivery")


def executed(work: Callable[[], Any]) -> tuple[str, Any]:
    """The last statement that some work sends, with its parameters."""
    from airflow import settings
    from sqlalchemy import event

    sent = []
    event.listen(settings.engine, "before_cursor_execute", lambda *args: sent.append((args[2], args[3])))
    work()
    return sent[-1]


def rows_read(statement: str, parameters: Any) -> float:
    from airflow import settings

    with settings.engine.connect() as connection:
        explained = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
        return _rows_of(explained.scalar_one()[0]["Plan"])


def _rows_of(node: dict[str, Any]) -> float:
    own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return own + sum(_rows_of(child) for child in node.get("Plans", []))


def test_a_change_that_waits_keeps_further_dispatchers_off(postgres_cluster, postgres_database):
    """Else several of them, who may all lock the row at the same time, would leave it no moment."""
    from inbound_webhooks.storage import claims
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.webhooks import service

    hook = store_webhook()
    change = threading.Thread(target=service.set_enabled, args=(hook.id, False), kwargs={"actor": ACTOR})
    with transaction() as first:
        assert claims.lock_enabled(first, [hook.id]) == {hook.id: ("orders", None, True)}
        with transaction() as second:
            assert claims.lock_enabled(second, [hook.id]) == {hook.id: ("orders", None, True)}
        change.start()
        postgres_cluster.wait_until_blocked()
        with transaction() as third:
            assert claims.lock_enabled(third, [hook.id]) == {}
    change.join(10)
    assert not change.is_alive()
