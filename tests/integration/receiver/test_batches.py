"""Visits to the database that requests share: one that goes wrong is nobody else's trouble."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import change_webhook, made_delivery, rows, store_webhook


@pytest.fixture
def hook(database):
    store_dag("orders")
    return store_webhook()


def stored(*given):
    """What comes of storing these together, as the inbox does."""
    from inbound_webhooks.deliveries.store.backend import LeftOut
    from inbound_webhooks.deliveries.store.factory import open_store

    async def store():
        opened = open_store()

        async def one(pair):
            item = (*pair, ())
            result = await opened.insert(item)
            return await opened.insert_left_out(item, result) if isinstance(result, LeftOut) else result

        try:
            return await asyncio.gather(*map(one, given), return_exceptions=True)
        finally:
            await opened.close()

    return asyncio.run(store())


def found(*webhook_ids):
    from airflow import settings

    from inbound_webhooks.deliveries.store.factory import backend_for

    async def find():
        batches = backend_for(settings.engine.dialect.name)
        try:
            return list(await batches.find(webhook_ids))
        finally:
            await batches.close()

    return asyncio.run(find())


def test_each_goes_in_whose_webhook_is_as_it_was(hook):
    first, second = made_delivery(hook, 1), made_delivery(hook, 2)
    assert stored((first, 1), (second, 1)) == [first.id, second.id]
    assert sorted(row.id for row in rows("delivery")) == sorted([first.id, second.id])


def test_one_whose_webhook_has_changed_stays_out_and_the_other_goes_in(hook):
    other = store_webhook(name="another one")
    change_webhook(other.id, mapping={})
    mine, theirs = made_delivery(hook, 1), made_delivery(other, 2)
    assert stored((theirs, 1), (mine, 1)) == [None, mine.id]
    assert [row.id for row in rows("delivery")] == [mine.id]


@pytest.mark.parametrize("bad", ["half of a pair \ud800", "NUL \0"], ids=["surrogate", "NUL"])
def test_one_that_the_database_does_not_take_stays_out_and_the_rest_goes_in(postgres_database, bad):
    from msgspec.structs import replace

    store_dag("orders")
    hook = store_webhook()
    good = [made_delivery(hook, number) for number in range(3)]
    came = stored(
        (good[0], 1), (replace(made_delivery(hook, 3), query_string=bad), 1), (good[1], 1), (good[2], 1)
    )
    assert isinstance(came.pop(1), Exception)
    assert came == [delivery.id for delivery in good]


def test_of_two_with_the_same_key_in_one_batch_one_is_stored_and_the_other_hears_of_it(hook):
    from msgspec.structs import replace

    first, second = (replace(made_delivery(hook, number), dedup_key="a" * 64) for number in (1, 2))
    came = stored((first, 1), (second, 1))
    assert len(rows("delivery")) == 1
    assert came == [rows("delivery")[0].id] * 2


def test_one_whose_webhook_is_just_being_changed_waits_and_the_other_does_not(
    postgres_cluster, postgres_database
):
    store_dag("orders")
    hook, other = store_webhook(), store_webhook(name="another one")
    mine, theirs = made_delivery(hook, 1), made_delivery(other, 2)
    holder = postgres_cluster.connect("airflow")
    holder.autocommit = False
    holder.cursor().execute("UPDATE inbound_webhook SET name = name WHERE id = %s", (other.id,))
    came: list[object] = []
    thread = threading.Thread(target=lambda: came.extend(stored((theirs, 1), (mine, 1))))
    thread.start()
    _wait_until(lambda: [row.id for row in rows("delivery")] == [mine.id])
    holder.rollback()
    holder.close()
    thread.join(20)
    assert came == [theirs.id, mine.id]


def test_a_webhook_that_cannot_be_read_keeps_no_other_one_out(hook):
    from airflow import settings

    from inbound_webhooks.storage import tables

    broken = store_webhook(name="broken")
    with settings.engine.begin() as connection:
        which = tables.webhook.c.id == broken.id
        connection.execute(tables.webhook.update().where(which).values(mapping="no JSON"))
    bad, good = found(broken.id, hook.id)
    assert isinstance(bad, Exception)
    assert good[0].id == hook.id


def test_an_unknown_webhook_is_none(hook):
    assert found("AAAAAAAAAA") == [None]


def _wait_until(is_so) -> None:
    import time

    give_up_at = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
