"""Searches over all webhooks: what they find, in which order, by which index, and in what time."""

from __future__ import annotations

import gzip
import itertools
import json
import re
import time
from datetime import datetime, timedelta, timezone

import pytest

from tests.infrastructure.webhooks_builder import now, store_deliveries, store_delivery, store_webhook

AT = datetime(2030, 1, 1, tzinfo=timezone.utc)


def id_at(moment: datetime, number: int = 0) -> str:
    return f"{int(moment.timestamp() * 1000):012x}7{number:019x}"


def found(*pairs: tuple[str, str], limit: int = 100, **how) -> list[str]:
    from inbound_webhooks.deliveries.search import find
    from inbound_webhooks.records.delivery_filter import parse

    return [row.id for row in find(parse(pairs), None, limit=limit, **how).rows]


def counted(*pairs: tuple[str, str]) -> int | None:
    from inbound_webhooks.deliveries.search import count
    from inbound_webhooks.records.delivery_filter import parse

    return count(parse(pairs), None)


@pytest.fixture
def many(database):
    """Deliveries of two webhooks in all states, two an hour; by number: hook, state, event type."""
    from inbound_webhooks.records.delivery import State

    hooks = [store_webhook("shop"), store_webhook("bank", dag_id="payments")]
    facts = {}
    for number, (hook, state) in enumerate(itertools.product(hooks, State.ALL)):
        event = ("created", "paid", None)[number % 3]
        dag_id = "orders" if hook is hooks[0] else "payments"
        received_at = AT + timedelta(minutes=30 * number)
        delivery_id = id_at(received_at, number)
        store_delivery(
            hook, id=delivery_id, dag_id=dag_id, state=state, event_type=event, received_at=received_at
        )
        facts[delivery_id] = {"webhook": hook.name, "state": state, "event": event, "dag": dag_id}
    return facts


def expected(facts: dict, **wanted) -> list[str]:
    def matches(fact: dict) -> bool:
        return all(
            fact[name] in (value if isinstance(value, tuple) else (value,)) for name, value in wanted.items()
        )

    return sorted((each for each, fact in facts.items() if matches(fact)), reverse=True)


STATES = [(), ("accepted",), ("failed",), ("succeeded", "failed"), ("dispatched", "refused", "accepted")]


OTHERS = [(), ("webhook",), ("dag",), ("event",), ("dag", "event"), ("webhook", "event")]


def test_all_conditions_hold_together(many):
    values = {"webhook": "bank", "dag": "payments", "event": "paid"}
    for states, others in itertools.product(STATES, OTHERS):
        chosen = {name: values[name] for name in others}
        pairs = [*chosen.items(), *(("state", state) for state in states)]
        wanted = expected(many, **chosen, **({"state": states} if states else {}))
        assert found(*pairs) == wanted, pairs
        assert counted(*pairs) == len(wanted), pairs


def test_a_period_includes_its_beginning_and_not_its_end(many):
    period = [("from", "2030-01-01T01:00"), ("to", "2030-01-01T02:00")]
    assert found(*period) == [id_at(AT + timedelta(minutes=m), m // 30) for m in (90, 60)]
    assert counted(*period) == 2


def test_a_delivery_is_found_by_the_beginning_of_its_id(many):
    wanted = next(iter(many))
    assert found(("id", wanted)) == [wanted]
    assert wanted in found(("id", wanted[:9]))
    assert found(("id", f"webhook__{wanted}"), ("state", many[wanted]["state"])) == [wanted]
    assert found(("id", "f" * 32)) == []


def all_pages(pairs: list[tuple[str, str]], **how) -> list[str]:
    from inbound_webhooks.deliveries.search import find
    from inbound_webhooks.records.delivery_filter import parse

    pages, cursor = [], ""
    while cursor is not None:
        page = find(parse(pairs), None, before=cursor, **how)
        pages += [row.id for row in page.rows]
        cursor = page.cursor
    return pages


def test_pages_follow_each_other_without_a_gap(many):
    for pairs in ([], [("state", "failed"), ("state", "refused")], [("dag", "orders")]):
        pages = all_pages(pairs, limit=3)
        assert pages == found(*pairs)
        assert len(set(pages)) == len(pages) > 3


def test_deliveries_of_a_deleted_webhook_are_found_by_its_id_and_its_name(many):
    from inbound_webhooks.webhooks import service

    hook = service.get("bank")
    service.delete("bank", actor="a tester")
    wanted = expected(many, webhook="bank")
    assert found(("webhook", hook.id)) == found(("webhook", "bank")) == wanted
    assert found(("webhook", "no such webhook")) == []


def test_the_count_ends_at_ten_thousand(database):
    hook = store_webhook()
    store_deliveries(hook, 10_002, state="failed")
    assert counted() == counted(("state", "failed")) == counted(("dag", "orders")) == 10_001


# --- text in bodies -------------------------------------------------------------------------


def test_a_text_is_found_in_bodies_as_they_are_and_in_compressed_ones(database):
    hook = store_webhook()
    encoded = json.dumps([["Content-Encoding", "gzip"]])
    plain = store_delivery(hook, state="failed", body='{"name": "Zoë"}'.encode())
    packed = store_delivery(hook, state="failed", body=gzip.compress("Zoë".encode()), headers=encoded)
    store_delivery(hook, state="failed", body=gzip.compress(b"Zo"), headers=encoded)
    store_delivery(hook, state="failed", body=b"broken", headers=encoded)
    store_delivery(hook, state="failed", body=b'{"name": "Zoe"}')
    store_delivery(hook, state="succeeded", body="Zoë".encode())
    assert found(("text", "Zoë"), ("state", "failed"), seconds=30) == [packed, plain]
    assert counted(("text", "Zoë")) is None


def test_a_body_that_is_not_stored_has_no_text(database):
    store_delivery(store_webhook(), state="failed", body=b"abc", body_stored=False)
    assert found(("text", "b"), seconds=30) == []


def test_pages_of_a_search_for_a_text_follow_each_other_without_a_gap(database):
    hook = store_webhook()
    ids = [store_delivery(hook, state="failed", body=b"x" if n % 3 else b"needle") for n in range(70)]
    for limit in (1, 3, 100):
        pages = all_pages([("text", "needle")], limit=limit, seconds=30)
        assert pages == sorted(ids[0::3], reverse=True)


def test_a_search_for_a_text_stops_when_its_time_is_over_and_says_how_far_it_came(database):
    from inbound_webhooks.deliveries.search import find
    from inbound_webhooks.records.delivery_filter import parse

    hook = store_webhook()
    ids = store_deliveries(hook, 100, state="failed", body=b"x")
    make_bodies_long(ids[:70])
    # Of this text, each place in these bodies has nearly all.
    wanted = parse([("text", "x" * 190 + "needle")])
    started = time.monotonic()
    page = find(wanted, None, limit=25)
    assert time.monotonic() - started < 3
    assert (page.rows, page.cursor in ids[:80]) == ([], True)
    assert abs(page.searched_to - now()) < timedelta(minutes=5)


def make_bodies_long(ids: list[str]) -> None:
    from sqlalchemy import text, update

    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.database import transaction

    long = {
        "postgresql": "convert_to(repeat('x', 2000000), 'UTF8')",
        "sqlite": "CAST(replace(hex(zeroblob(1000000)), '0', 'x') AS BLOB)",
    }
    with transaction() as connection:
        value = text(long[connection.dialect.name])
        connection.execute(update(tables.delivery).where(tables.delivery.c.id.in_(ids)).values(body=value))


# --- time and indexes -----------------------------------------------------------------------


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"


def test_a_query_without_end_is_interrupted(database):
    from sqlalchemy import text

    from inbound_webhooks.errors import SearchTooLong
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.time_limit import limited_transaction

    endless = text(f"SELECT count(*) FROM ({ENDLESS}) AS numbers")
    started = time.monotonic()
    with pytest.raises(SearchTooLong), limited_transaction(0.2) as connection:
        connection.execute(endless)
    assert time.monotonic() - started < 5
    with transaction() as connection:  # the same connection has no limit any more
        counting = text(f"SELECT count(*) FROM ({ENDLESS} LIMIT 500000) AS few")
        assert connection.scalar(counting) == 500_000


INDEX_OF = {
    "dag": [("dag", "d7"), ("state", "succeeded")],
    "unusual": [("state", "undeliverable"), ("state", "cancelled")],
    "event": [("event", "e7")],
    # Both have unfinished deliveries alone; which one PostgreSQL prefers depends on the others.
    "(unfinished|active)": [("state", "dispatched")],
    "history": [("webhook", "shop"), ("state", "failed")],
}


def test_each_search_reads_its_index(database):
    facts = [
        {"state": "succeeded", "dag_id": f"d{number % 40}", "event_type": f"e{number % 40}"}
        for number in range(6_000)
    ]
    store_many(store_webhook("other"), facts)
    store_deliveries(store_webhook("shop"), 20, state="failed", dag_id="d7")
    for index, pairs in INDEX_OF.items():
        plan = plan_of(pairs, database.backend)
        assert re.search(f"idx_inbound_webhook_delivery_{index}", plan), (pairs, plan)


def plan_of(pairs: list[tuple[str, str]], backend: str) -> str:
    from airflow import settings

    from inbound_webhooks.deliveries.search import _searched
    from inbound_webhooks.records.delivery_filter import parse
    from inbound_webhooks.storage.delivery_search import newest_ids

    with settings.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
        options = {"literal_binds": True}
        query = newest_ids(_searched(parse(pairs), None), 26).compile(connection, compile_kwargs=options)
        explain = "EXPLAIN" if backend == "postgresql" else "EXPLAIN QUERY PLAN"
        return "\n".join(str(row) for row in connection.exec_driver_sql(f"{explain} {query}"))


def store_many(hook, rows: list[dict]) -> None:
    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.database import transaction

    base = {
        "webhook_id": hook.id,
        "webhook_name": hook.name,
        "received_at": AT,
        "source_ip": "",
        "query_string": "",
        "headers": "[]",
        "body": b"x" * 300,
        "response_status": 202,
        "attempts": 0,
    }
    with transaction() as connection:
        connection.execute(
            tables.delivery.insert(),
            [base | row | {"id": id_at(AT + timedelta(seconds=n), n)} for n, row in enumerate(rows)],
        )
