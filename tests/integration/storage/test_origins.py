"""Conditions on rows with a DAG and rows whose webhook has none, on both databases."""

from __future__ import annotations

import pytest

from inbound_webhooks.records.target import Origin
from tests.infrastructure.webhooks_builder import Hook, store_deliveries, store_webhook


@pytest.fixture
def hooks(database) -> dict[str, Hook]:
    """Two webhooks of assets, and one of a DAG, with a delivery each."""
    made = {name: store_webhook(name, dag_id="", asset=name) for name in ("one", "two")}
    made["orders"] = store_webhook("orders", dag_id="orders")
    for name, hook in made.items():
        store_deliveries(hook, 1, dag_id="orders" if name == "orders" else "", state="succeeded")
    return made


def connected(work):
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        return work(connection)


def test_each_webhook_without_a_dag_is_an_origin_of_its_own(hooks):
    from inbound_webhooks.storage.origins import webhook_origins

    ids = [hooks[name].id for name in ("one", "two")]
    assert connected(webhook_origins) == {Origin("orders"), *(Origin("", each) for each in ids)}


@pytest.mark.parametrize("names", [[], ["one"], ["orders"], ["one", "orders"], ["one", "two", "orders"]])
def test_a_list_has_the_webhooks_of_its_origins_alone(hooks, names):
    from inbound_webhooks.storage import delivery_search, listing
    from inbound_webhooks.storage.delivery_pages import DeliveryPages

    visible = {Origin("orders") if name == "orders" else Origin("", hooks[name].id) for name in names}
    query = listing.WebhookQuery(visible=visible)
    found, total = connected(lambda connection: listing.webhooks_page(connection, query))
    assert (sorted(webhook.name for webhook in found), total) == (sorted(names), len(names))

    searched = delivery_search.SearchedDeliveries(origins=visible)
    rows = connected(lambda connection: connection.execute(delivery_search.newest_ids(searched, 10)).all())
    assert sorted(row.webhook_id for row in rows) == sorted(hooks[name].id for name in names)

    page = connected(lambda connection: DeliveryPages().page(connection, visible, 0, 10))
    assert sorted(row.webhook_name for row in page) == sorted(names)
