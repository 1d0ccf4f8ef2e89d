"""The runs that took a delivery's asset event, on its page, in the API and in the command."""

from __future__ import annotations

import pytest

from tests.infrastructure.assets_builder import URI, events, store_due, store_subscriber, take
from tests.infrastructure.webhooks_builder import store_webhook
from tests.integration.rest.conftest import new_name


@pytest.fixture
def taken(pages) -> str:
    """A delivery whose event a run of the DAG `packing` took, and one of `books`, which failed."""
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    for dag_id in ("packing", "books"):
        store_subscriber(dag_id)
    stored = store_due(store_webhook(new_name(), dag_id="", asset=URI))
    Dispatcher(Settings()).dispatch_due()
    take(events()[-1]["id"], "packing")
    take(events()[-1]["id"], "books", "failed")
    return stored


def of_api(ask, delivery_id: str) -> list[tuple[str, str]]:
    found = ask("GET", f"/deliveries/{delivery_id}").json()
    assert found["state"] == "succeeded"
    return [(run["dag_id"], run["state"]) for run in found["asset_event"]["runs"]]


def test_the_runs_have_states_of_their_own(admin, webhooks, pages, taken):
    both = [("books", "failed"), ("packing", "success")]
    assert of_api(admin, taken) == both
    shown = webhooks("delivery", taken, "-o", "json").json["asset_event"]["runs"]
    assert [(run["dag_id"], run["state"]) for run in shown] == both
    page = pages.client("ada").get(f"/delivery/{taken}").text
    part = page.partition('id="event-runs"')[2].partition("</section>")[0]
    assert [word in part for word in ("packing", "Success", "books", "Failed")] == [True] * 4


def test_runs_of_dags_that_the_user_may_not_read_are_left_out(api, pages, taken):
    if pages.auth != "fab":
        return  # SimpleAuthManager's roles are for everything
    reads = (("can_read", "Webhooks"), ("can_read", "Assets"))
    pages.role("packs", *reads, ("can_read", "DAG:packing"), ("can_read", "DAG Runs"))
    assert of_api(api("pat", "packs"), taken) == [("packing", "success")]
    page = pages.client("pat", "packs").get(f"/delivery/{taken}").text
    assert ("packing" in page, "books" in page) == (True, False)


def test_an_event_without_runs_says_that_the_scheduler_creates_them(admin, pages):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    store_subscriber("packing")
    stored = store_due(store_webhook(new_name(), dag_id="", asset=URI))
    Dispatcher(Settings()).dispatch_due()
    assert of_api(admin, stored) == []
    page = pages.client("ada").get(f"/delivery/{stored}").text
    assert "None yet. Airflow" in page
    assert "Event created" in page
