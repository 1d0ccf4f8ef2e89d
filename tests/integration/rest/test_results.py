"""Who may have a run's result sent to senders: the API and the pages ask for the right to read it."""

from __future__ import annotations

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import store_webhook
from tests.integration.rest.conftest import new_name

EDITOR = (
    *(("can_read", "Webhooks"), ("can_create", "Webhooks"), ("can_edit", "Webhooks")),
    *(("can_read", "DAG:orders"), ("can_edit", "DAG:orders"), ("can_create", "DAG Run:orders")),
    *(("can_read", "DAG Run:orders"), ("can_create", "DAG Runs"), ("can_read", "DAG Runs")),
)


@pytest.fixture
def eve(pages, api):
    """A user who may trigger the DAG `orders` and may not read XComs; SimpleAuthManager has no such role."""
    if pages.auth != "fab":
        return None
    store_dag("orders")
    pages.role("no xcoms", *EDITOR)
    return api("eve", "no xcoms")


WAITS = [{"wait_seconds": 5}, {"prefer_wait": True}]


@pytest.mark.parametrize("fields", WAITS)
def test_who_may_not_read_xcoms_makes_no_webhook_wait(eve, fields):
    if eve is None:
        return
    plain = {"name": new_name(), "dag_id": "orders"}
    assert eve("POST", "/webhooks", plain).status_code == 201
    refused = eve("POST", "/webhooks", {"name": new_name(), "dag_id": "orders"} | fields)
    assert (refused.status_code, "XComs" in refused.text) == (403, True)


@pytest.mark.parametrize("fields", WAITS)
def test_nor_does_a_change_of_theirs(eve, fields):
    if eve is None:
        return
    plain, waiting = store_webhook(new_name()), store_webhook(new_name(), **fields)
    assert eve("PATCH", f"/webhooks/{plain.id}", fields).status_code == 403
    assert eve("PATCH", f"/webhooks/{waiting.id}", {"response_template": '"{{ result }}"'}).status_code == 403
    assert eve("PATCH", f"/webhooks/{plain.id}", {"description": "plain"}).status_code == 200


@pytest.mark.parametrize("fields", WAITS)
def test_an_administrator_may(admin, fields):
    created = admin("POST", "/webhooks", {"name": new_name(), "dag_id": "orders"} | fields)
    assert created.status_code == 201
    assert fields.items() <= created.json().items()
