"""What locks one webhook, or floods it, costs other webhooks no wait."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.infrastructure.webhooks_builder import (
    ACTOR,
    audit_rows,
    delivery,
    made_delivery,
    now,
    rows,
    states,
    store_deliveries,
    store_webhook,
)

SHARE = 4
"""The default of max_waiting_requests."""


@contextlib.contextmanager
def locked(cluster, hook) -> Iterator[Any]:
    """The row of a webhook is locked as by a change that does not end."""
    holder = cluster.connect("airflow")
    holder.autocommit = False
    holder.cursor().execute("SELECT 1 FROM inbound_webhook WHERE id = %s FOR UPDATE", (hook.id,))
    try:
        yield holder
    finally:
        holder.close()


@contextlib.asynccontextmanager
async def opened(**settings):
    from inbound_webhooks.deliveries.store.factory import open_store
    from inbound_webhooks.settings import Settings

    store = open_store(Settings(**settings))
    try:
        yield store
    finally:
        await store.close()


async def commit(store, made) -> str | None:
    from inbound_webhooks.deliveries.store.inbox import Inbox

    return await Inbox(store).commit(made, 1)


def commits(store, hook, numbers, **fields) -> list[asyncio.Task]:
    made = [made_delivery(hook, number, **fields) for number in numbers]
    return [asyncio.ensure_future(commit(store, each)) for each in made]


async def blocked_connections(cluster) -> int:
    def count() -> int:
        with contextlib.closing(cluster.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            return cursor.fetchone()[0]

    return await asyncio.to_thread(count)


# --- locks ----------------------------------------------------------------------------------


def test_while_a_webhook_is_locked_another_one_stores_its_deliveries(
    postgres_cluster, postgres_database, caplog
):
    held, free = store_webhook("held"), store_webhook("free")

    async def send(holder) -> tuple[int, int, list]:
        async with opened(max_waiting_requests=9) as store:
            waiting = commits(store, held, range(6))
            stored = await asyncio.gather(*commits(store, free, range(10, 13)))
            await asyncio.to_thread(postgres_cluster.wait_until_blocked)
            # More of both, while the first ones wait.
            waiting += commits(store, held, range(6, 8))
            stored += await asyncio.gather(*commits(store, free, range(13, 16)))
            done, blocked = sum(task.done() for task in waiting), await blocked_connections(postgres_cluster)
            holder.rollback()
            return done, blocked, await asyncio.gather(*waiting)

    with locked(postgres_cluster, held) as holder:
        done, blocked, stored = asyncio.run(send(holder))
    assert (done, blocked) == (0, 1)
    assert sorted(stored) == [f"{number:032}" for number in range(8)]
    assert len(rows("delivery")) == 14
    # No batch waited for a lock and failed.
    assert "statement_refused" not in caplog.text


def test_only_a_few_requests_of_a_locked_webhook_keep_their_places(postgres_cluster, postgres_database):
    from inbound_webhooks.errors import TooBusy

    held = store_webhook()

    async def send(holder) -> tuple[list, list]:
        async with opened() as store:
            tasks = commits(store, held, range(10))
            refused, waiting = await asyncio.wait(tasks, timeout=1)
            holder.rollback()
            return [type(task.exception()) for task in refused], await asyncio.gather(*waiting)

    with locked(postgres_cluster, held) as holder:
        refused, stored = asyncio.run(send(holder))
    assert refused == [TooBusy] * (10 - SHARE)
    # What was refused was not stored either, so that a retry of the sender is no duplicate.
    assert sorted(row.id for row in rows("delivery")) == sorted(stored)
    assert len(stored) == SHARE


def test_a_short_change_refuses_nothing(postgres_cluster, postgres_database):
    held = store_webhook()

    async def send(holder) -> list:
        async with opened() as store:
            tasks = commits(store, held, range(20))
            await asyncio.to_thread(postgres_cluster.wait_until_blocked)
            holder.rollback()
            return await asyncio.gather(*tasks)

    with locked(postgres_cluster, held) as holder:
        assert len(asyncio.run(send(holder))) == 20


def test_an_event_that_another_process_is_about_to_store_delays_no_other_webhook(
    postgres_cluster, postgres_database
):
    """Its batch fails once, after half a second, and then each webhook goes on by itself."""
    repeating, free = store_webhook("repeating"), store_webhook("free")
    key = "a" * 64

    async def send() -> tuple[bool, list]:
        async with opened() as store:
            waiting = commits(store, repeating, [2], dedup_key=key)
            stored = await asyncio.gather(*commits(store, free, range(10, 13)))
            is_waiting = not waiting[0].done()
            first.commit()
            return is_waiting, stored + await asyncio.gather(*waiting)

    from airflow import settings

    from inbound_webhooks.storage.deliveries import insert_delivery

    with settings.engine.connect() as connection:
        first = connection.begin()
        insert_delivery(connection, made_delivery(repeating, 1, dedup_key=key), 1)
        is_waiting, stored = asyncio.run(send())
    assert is_waiting
    assert stored == [*(f"{number:032}" for number in range(10, 13)), f"{1:032}"]


# --- large deliveries -----------------------------------------------------------------------


class SlowBackend:
    """A database that writes a large delivery when the test lets it, and a small one at once."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.batches: list[list[str]] = []

    async def insert(self, deliveries) -> list[str]:
        self.batches.append([each.id for each, *_ in deliveries])
        if any(len(each.body) + len(each.conf or "") > 100_000 for each, *_ in deliveries):
            await asyncio.wait_for(self.may_end.wait(), 20)
        return [each.id for each, *_ in deliveries]

    async def find(self, webhook_ids):
        raise NotImplementedError

    insert_alone = wait_for_change = status = close = find


@pytest.mark.parametrize("large", [{"body": b"x" * 200_000}, {"conf": '"' + "x" * 200_000 + '"'}])
def test_small_deliveries_do_not_wait_until_large_ones_are_written(sqlite_database, large):
    from inbound_webhooks.deliveries.store.base import DeliveryStore

    flooding, quiet = store_webhook("flooding"), store_webhook("quiet")

    async def send() -> list[str]:
        backend = SlowBackend()
        store = DeliveryStore(backend)
        first = commits(store, flooding, range(3), **large)
        while not backend.batches:
            await asyncio.sleep(0)
        stored = await asyncio.gather(*commits(store, quiet, range(10, 13)))
        assert not any(task.done() for task in first)
        backend.may_end.set()
        return [*stored, *await asyncio.gather(*first)]

    assert asyncio.run(send()) == [f"{number:032}" for number in (10, 11, 12, 0, 1, 2)]


# --- repetitions ----------------------------------------------------------------------------


def insert_together(given):
    from airflow import settings

    from inbound_webhooks.deliveries.store.factory import backend_for

    async def insert():
        backend = backend_for(settings.engine.dialect.name)
        try:
            return await backend.insert([(each, 1, ()) for each in given])
        finally:
            await backend.close()

    return asyncio.run(insert())


def test_fifty_repetitions_cost_one_more_statement_on_postgresql(proxy):
    hook = store_webhook()
    first, *repeated = (made_delivery(hook, number, dedup_key="a" * 64) for number in range(51))
    assert insert_together([first]) == [first.id]
    statements: list[bytes] = []
    proxy.lose_when(lambda message: bool(statements.append(message)), heard=False)
    assert insert_together(repeated) == [first.id] * 50
    # The two statements, and what opens a connection.
    assert sum(b"inbound_webhook_delivery" in message for message in statements) <= 3


def test_repetitions_are_looked_up_when_the_write_lock_of_sqlite_is_free(sqlite_database):
    from airflow import settings
    from sqlalchemy import event

    hook = store_webhook()
    first, *repeated = (made_delivery(hook, number, dedup_key="a" * 64) for number in range(51))
    assert insert_together([first]) == [first.id]
    said: list[str] = []
    event.listen(settings.engine, "before_cursor_execute", lambda *args: said.append(args[2].split()[0]))
    event.listen(settings.engine, "commit", lambda _connection: said.append("COMMIT"))
    assert insert_together(repeated) == [first.id] * 50
    # UPDATE takes the write lock.
    assert said == ["UPDATE", *["INSERT"] * 50, "COMMIT", *["SELECT"] * 3]


def test_a_change_is_compiled_before_it_takes_the_write_lock_of_sqlite(sqlite_database):
    from airflow import settings
    from sqlalchemy import event

    from inbound_webhooks.event.rules import compile_rules
    from inbound_webhooks.records.webhook import Draft
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.secrets import NewSecret

    hook = store_webhook(preset="github", secrets={"signing": "s3cret"})
    stored = service.get(hook.id)
    said: list[str] = []

    def look(frame: Any, what: str, _argument: Any) -> None:
        if what == "call" and frame.f_code is compile_rules.__code__:
            said.append("COMPILE")

    event.listen(settings.engine, "before_cursor_execute", lambda *args: said.append(args[2].split()[0]))
    draft = Draft(**{name: getattr(stored, name) for name in Draft.__dataclass_fields__})
    sys.setprofile(look)
    try:
        service.change(
            stored.id,
            draft,
            actor=ACTOR,
            version=stored.version,
            secrets=[NewSecret("signing", "another")],
            checked=stored,
        )
    finally:
        sys.setprofile(None)
    assert "COMPILE" in said
    # UPDATE takes the write lock.
    assert "COMPILE" not in said[said.index("UPDATE") :]


# --- changes of many rows -------------------------------------------------------------------


def test_a_deletion_cancels_in_small_transactions_and_others_write_in_between(database):
    from inbound_webhooks.storage import claims
    from inbound_webhooks.storage.database import autocommit, transaction
    from inbound_webhooks.storage.deliveries import insert_delivery
    from inbound_webhooks.webhooks import service

    flooded, other = store_webhook("flooded"), store_webhook("other")
    store_deliveries(flooded, 1_200)
    cancelled: list[int] = []

    def look(_seconds: float) -> None:
        cancelled.append(states().count("cancelled"))
        mine = made_delivery(other, len(cancelled), state="refused")
        assert autocommit(lambda connection: insert_delivery(connection, mine, 1)) == mine.id
        # Nothing more is accepted or started, although the webhook is still there.
        late = made_delivery(flooded, 9_000 + len(cancelled))
        assert autocommit(lambda connection: insert_delivery(connection, late, 1)) is None
        with transaction() as connection:
            assert claims.lock_enabled(connection, [flooded.id]) == {}

    assert service.delete(flooded.id, actor=ACTOR, pause=look) == 1_200
    steps = [after - before for before, after in zip([0, *cancelled], cancelled, strict=False)]
    assert len(steps) >= 2
    assert max(steps) <= 500
    assert states().count("cancelled") == 1_200
    assert [row.event for row in audit_rows()][-2:] == ["webhook.disable", "webhook.delete"]


def test_a_deletion_that_is_interrupted_leaves_a_disabled_webhook_and_can_be_repeated(database):
    from inbound_webhooks.webhooks import service

    hook = store_webhook()
    store_deliveries(hook, 600)

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        service.delete(hook.id, actor=ACTOR, pause=interrupt)
    assert not service.get(hook.id).enabled
    assert service.delete(hook.id, actor=ACTOR) == 100
    assert states() == ["cancelled"] * 600


def test_values_are_encrypted_again_in_small_transactions(database):
    from airflow import settings
    from sqlalchemy import event

    from inbound_webhooks.storage.encryption import encrypt
    from inbound_webhooks.webhooks.reencryption import reencrypt_all

    ids = store_deliveries(store_webhook(), 1_100, credentials=encrypt("{}"))
    written = [0]

    def note(_connection, _cursor, statement, parameters, _context, _many) -> None:
        if statement.startswith("UPDATE") and "credentials" in statement:
            written[-1] += len(parameters)

    event.listen(settings.engine, "before_cursor_execute", note)
    event.listen(settings.engine, "commit", lambda _connection: written.append(0))
    before = delivery(ids[0]).credentials
    assert reencrypt_all(actor=ACTOR)["deliveries"] == 1_100
    assert [number for number in written if number] == [500, 500, 100]
    assert delivery(ids[0]).credentials != before


def test_a_heartbeat_takes_no_write_lock_while_no_clock_is_wrong(sqlite_database):
    from airflow import settings
    from sqlalchemy import event

    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    store_deliveries(store_webhook(), 3)
    dispatcher, said = Dispatcher(Settings(), now=now), []
    event.listen(settings.engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    dispatcher._reschedule_future_attempts()
    assert [statement.split()[0] for statement in said] == ["SELECT"]
