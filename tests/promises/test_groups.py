"""Groups with many dispatchers at once: a key's runs one at a time and in order, a delivery in one batch."""

from __future__ import annotations

from collections import defaultdict

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.groups_builder import BATCHES, ONE, waiting
from tests.infrastructure.webhooks_builder import change_run, now, rows, runs, store_webhook
from tests.promises.test_many_dispatchers import dispatcher, running, wait_until

KEYS = ("a", "b", "c")


def groups():
    """The part of a dispatcher process that decides about groups, as its loop."""
    from inbound_webhooks.dispatch.groups import Groups
    from inbound_webhooks.monitoring.loop import Loop
    from inbound_webhooks.settings import Settings

    return Loop("groups", Groups(Settings(), pause=lambda _: None).look, seconds=0.02)


def track_runs() -> None:
    from inbound_webhooks.dispatch.run_tracker import RunTracker
    from inbound_webhooks.settings import Settings

    RunTracker(Settings()).follow()


def test_events_of_a_key_run_in_order_and_one_at_a_time_with_eight_dispatchers(postgres_database):
    store_dag("orders")
    hook = store_webhook(**ONE)
    stored = {key: [waiting(hook, "in_turn", now(), key=key) for _ in range(5)] for key in KEYS}
    active: dict[str, set[str]] = defaultdict(set)
    order: dict[str, list[str]] = defaultdict(list)

    def all_ended() -> bool:
        """Note which runs are active, and let the oldest one end."""
        found = [row for row in rows("delivery") if row.state == "dispatched"]
        for row in found:
            active[row.group_key].add(row.id)
            if row.id not in order[row.group_key]:
                order[row.group_key].append(row.id)
        assert all(len([row for row in found if row.group_key == key]) <= 1 for key in active)
        if found:
            change_run(found[0].run_id, state="success", end_date=now())
            track_runs()
        return {row.state for row in rows("delivery")} == {"succeeded"}

    dispatchers = [dispatcher(dispatcher_poll_seconds=0.05) for _ in range(8)]
    with running(*dispatchers, *(groups() for _ in range(8))):
        wait_until(all_ended)
    assert sorted(order.values()) == sorted(stored.values())


def test_each_delivery_is_in_exactly_one_batch_with_many_dispatchers(postgres_database):
    store_dag("orders")
    hook = store_webhook(**BATCHES | {"batch_size": 7, "batch_seconds": 1})
    dispatchers = [dispatcher(dispatcher_poll_seconds=0.05) for _ in range(4)]
    with running(*dispatchers, *(groups() for _ in range(4))):
        ids = [waiting(hook, "batched", now(), conf=f'{{"n": {number}}}') for number in range(60)]
        wait_until(lambda: {row.state for row in rows("delivery")} == {"dispatched"})
    numbers = [event["n"] for run in runs() for event in run.conf["events"]]
    assert sorted(numbers) == list(range(len(ids)))
    assert {row.run_id for row in rows("delivery")} == {run.run_id for run in runs()}


def test_the_groups_of_a_webhook_are_left_alone_while_another_dispatcher_decides(postgres_database):
    from inbound_webhooks.dispatch.groups import Groups
    from inbound_webhooks.settings import Settings
    from inbound_webhooks.storage import claims
    from inbound_webhooks.storage.database import transaction

    store_dag("orders")
    hook = store_webhook(**ONE)
    waiting(hook, "in_turn", now())
    with transaction() as connection:
        assert claims.try_lock_webhook(connection, hook.id)
        assert Groups(Settings()).decide()[0] == 0
    assert Groups(Settings()).decide()[0] == 1
