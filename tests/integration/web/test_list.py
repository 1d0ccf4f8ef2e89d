"""The list: what it shows, to whom, and how it is searched."""

from __future__ import annotations

from datetime import timedelta

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import now, store_deliveries, store_delivery, store_webhook


def test_an_empty_list_says_what_a_webhook_is_and_offers_the_first_step(pages):
    response = pages.client("ada").get("/")
    assert response.status_code == 200
    assert "A webhook is a URL that starts a Dag" in response.text
    assert "Create the first webhook" in response.text


def test_the_list_names_webhooks_and_their_dags(pages):
    store_dag("orders")
    hook = store_webhook("orders of the shop", dag_id="orders")
    store_delivery(hook, state="refused")
    show_dispatcher()
    text = pages.client("ada").get("/").text
    assert "orders of the shop" in text
    assert "Ready" in text
    assert "1 failed" in text


def show_dispatcher() -> None:
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.dispatchers import DispatcherRow, note_dispatcher

    with transaction() as connection:
        note_dispatcher(connection, DispatcherRow(id="d" * 32, host="here", pid=1, started_at=now()), now())


def test_the_chart_counts_what_could_not_be_used_or_started_and_runs_that_failed(pages):
    from inbound_webhooks.records.delivery import State

    hook = store_webhook("ended in every way", dag_id="orders")
    for state in State.ALL:
        store_delivery(hook, state=state)
    assert f"{len(State.ALL)} in the last 24 hours, 3 failed" in row_of(pages, hook)


def test_beyond_what_is_counted_the_list_says_that_there_may_be_more(pages):
    from inbound_webhooks.storage.listing import MOST_COUNTED, first_id_at

    busy = store_webhook("a busy one", dag_id="orders")
    store_delivery(busy, id=first_id_at(now() - timedelta(hours=9)), state="failed")
    store_deliveries(busy, MOST_COUNTED - 2, state="failed")
    assert "9,999 in the last 24 hours, 9,999 failed" in row_of(pages, busy)
    store_deliveries(busy, 2, state="succeeded")
    row = row_of(pages, busy)
    assert "10,000 or more in the last 24 hours; of the newest 10,000, 9,998 failed" in row
    assert "10,000+" in row
    assert 'class="uncounted"' in row


def row_of(pages, hook) -> str:
    """The row of the list that is a webhook's."""
    rows = pages.client("ada").get("/", query_string={"text": hook.name}).text.split("<tr>")
    return str(next(row for row in rows if f'value="{hook.id}"' in row))
