"""The list: what it shows, to whom, and how it is searched."""

from __future__ import annotations

from tests.dags_builder import store_dag
from tests.webhooks_builder import store_delivery, store_webhook


def test_an_empty_list_says_what_a_webhook_is_and_offers_the_first_step(pages):
    answer = pages.client("ada").get("/")
    assert answer.status_code == 200
    assert "A webhook is a URL that starts a DAG" in answer.text
    assert "Create the first webhook" in answer.text


def test_the_list_names_webhooks_and_their_dags(pages):
    store_dag("orders")
    hook = store_webhook("orders of the shop", dag_id="orders")
    store_delivery(hook, state="refused")
    text = pages.client("ada").get("/").text
    assert "orders of the shop" in text
    assert "Ready" in text
    assert "1 failed" in text
