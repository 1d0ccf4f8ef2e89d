"""What the pages list and count, on both databases."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from inbound_webhooks.records.target import Origin
from tests.infrastructure.dags_builder import change_dag, store_dag
from tests.infrastructure.webhooks_builder import store_delivery, store_webhook

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


def names(**wanted) -> list[str]:
    from inbound_webhooks.storage import listing
    from inbound_webhooks.storage.database import transaction

    wanted = {"visible": set(map(Origin, ("alpha", "beta", "gamma"))), **wanted}
    with transaction() as connection:
        found, total = listing.webhooks_page(connection, listing.WebhookQuery(**wanted))
    assert total >= len(found)
    return [webhook.name for webhook in found]


def store_at(hook, moment: datetime, number: int = 0, **columns) -> str:
    from inbound_webhooks.storage.listing import first_id_at

    made = f"{first_id_at(moment)[:12]}7{number:019x}"
    return store_delivery(hook, id=made, received_at=moment, **columns)


@pytest.fixture
def three(database):
    """Webhooks of the DAGs alpha, which is paused, beta, and gamma, which Airflow does not know."""
    store_dag("alpha")
    store_dag("beta")
    change_dag("alpha", is_paused=True)
    return (
        store_webhook("One", dag_id="alpha"),
        store_webhook("two_%", dag_id="beta", enabled=False),
        store_webhook("three", dag_id="gamma", preset="airbyte"),
    )


def test_webhooks_of_other_dags_are_neither_listed_nor_counted(three):
    from inbound_webhooks.storage import listing
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        found, total = listing.webhooks_page(connection, listing.WebhookQuery(visible={Origin("beta")}))
        assert listing.senders(connection, {Origin("beta")}) == []
        assert listing.senders(connection, {Origin("gamma")}) == ["airbyte"]
    assert ([webhook.name for webhook in found], total) == (["two_%"], 1)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["One", "three", "two_%"]),
        ({"descending": True}, ["two_%", "three", "One"]),
        ({"sort": "dag", "descending": True}, ["three", "two_%", "One"]),
        ({"text": "ONE"}, ["One"]),
        ({"text": "gam"}, ["three"]),
        ({"text": "%"}, ["two_%"]),
        ({"dag_id": "beta"}, ["two_%"]),
        ({"sender": "airbyte"}, ["three"]),
        ({"sender": "none"}, ["One", "two_%"]),
        ({"state": "disabled"}, ["two_%"]),
        ({"state": "paused"}, ["One"]),
        ({"state": "broken"}, ["three"]),
        ({"offset": 1, "limit": 1}, ["three"]),
    ],
)
def test_a_list_is_searched_sorted_and_cut(three, wanted, expected):
    assert names(**wanted) == expected


def test_the_list_sorts_by_the_newest_delivery(three):
    store_at(three[1], NOW)
    store_at(three[0], NOW - timedelta(hours=1))
    assert names(sort="last", descending=True) == ["two_%", "One", "three"]


def test_deliveries_come_newest_first_between_two_ids(three):
    from inbound_webhooks.storage import listing
    from inbound_webhooks.storage.database import transaction

    hook = three[0]
    ids = [store_at(hook, NOW - timedelta(minutes=number)) for number in range(4)]
    store_at(three[1], NOW, 1)
    with transaction() as connection:
        page = listing.deliveries_page(connection, hook.id, before=ids[0], after=ids[3], limit=10)
        newest = listing.newest(connection, [hook.id, three[2].id])
    assert [row.id for row in page] == ids[1:3]
    assert {key: row.id for key, row in newest.items()} == {hook.id: ids[0]}
