"""Lists, routes, holds, groups, schedules and waits of the same webhook, or of one that gets its events."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.infrastructure.asgi_endpoint import AsgiEndpoint
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.receiver_fixtures import asgi, configure
from tests.infrastructure.webhooks_builder import ACTOR, Hook, change_webhook, now, rows, runs, store_webhook

__all__ = ["asgi", "configure"]

ITEM = {"each": "body.records", "mapping": {"number": "${Webhook::Item.number}"}}
WHOLE = {"mapping": {"number": "${Webhook::Body.number}"}}
BATCHES_OF_TWO = {"batch_size": 2, "batch_seconds": 60}
LATER = timedelta(hours=1)


@pytest.fixture
def endpoint(asgi, database) -> AsgiEndpoint:
    store_dag("orders")
    return asgi


def post(endpoint: AsgiEndpoint, hook: Hook, body: Any) -> None:
    assert endpoint.post(hook.path, json.dumps(body).encode()).status == 202


def numbered(*numbers: int) -> dict[str, Any]:
    return {"records": [{"number": number} for number in numbers]}


def work(after: timedelta = timedelta()) -> None:
    """Rounds of everything that a dispatcher does to deliveries, so much later."""
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.dispatch.groups import Groups
    from inbound_webhooks.dispatch.holds import Holds
    from inbound_webhooks.settings import Settings

    settings, at = Settings(), now() + after
    groups = Groups(settings, now=lambda: at, on_due=lambda: None)
    dispatcher = Dispatcher(settings, now=lambda: at)
    for _ in range(3):
        Holds(now=lambda: at).look()
        groups.look()
        while dispatcher.dispatch_due():
            continue


def hold(hook: Hook) -> None:
    from inbound_webhooks.webhooks import hold

    hold.hold(hook.id, actor=ACTOR)


def release(hook: Hook, **pace: Any) -> None:
    from inbound_webhooks.webhooks import hold

    hold.release(hook.id, actor=ACTOR, pace=hold.Pace(**pace))


def waiting_runs(hook: Hook) -> int:
    from inbound_webhooks.storage.database import in_transaction
    from inbound_webhooks.storage.deliveries import count_accepted

    return in_transaction(lambda connection: count_accepted(connection, hook.id, 100))


def states() -> list[str]:
    return sorted(row.state for row in rows("delivery"))


def confs() -> list[Any]:
    return [row.conf for row in runs()]


def test_the_items_of_a_list_join_batches(endpoint):
    post(endpoint, store_webhook(**ITEM, **BATCHES_OF_TWO), numbered(1, 2, 3))
    work()
    assert confs() == [{"events": [{"number": 1}, {"number": 2}]}]
    assert states() == ["batched", "dispatched", "dispatched", "split"]
    work(LATER)
    assert confs()[1:] == [{"events": [{"number": 3}]}]


def test_the_items_of_a_list_have_their_scheduling_fields(endpoint):
    hook = store_webhook(**ITEM, logical_date="${Webhook::Item.at}", note="Item ${Webhook::Item.number}")
    days = [{"number": day, "at": f"2026-03-0{day}T00:00:00Z"} for day in (1, 2)]
    post(endpoint, hook, {"records": days})
    work()
    assert sorted(run.logical_date.isoformat()[:10] for run in runs()) == ["2026-03-01", "2026-03-02"]
    assert sorted(row.note for row in rows("delivery") if row.note) == ["Item 1", "Item 2"]


def test_a_route_settles_by_its_own_key(endpoint):
    source = store_webhook("source", dag_id="", routes="all")
    latest = {"latest_by": "${Webhook::Body.key}", "quiet_seconds": 5, "at_most_seconds": 60}
    store_webhook("latest", source=source.id, **WHOLE, **latest)
    store_webhook("all of them", source=source.id, **WHOLE)
    for number in (1, 2, 3):
        post(endpoint, source, {"key": "a", "number": number})
    work(LATER)
    assert sorted(conf["number"] for conf in confs()) == [1, 2, 3, 3]
    assert states().count("superseded") == 2


def test_what_is_released_from_a_hold_is_batched(endpoint):
    hook = store_webhook(**WHOLE, **BATCHES_OF_TWO)
    hold(hook)
    for number in (1, 2):
        post(endpoint, hook, {"number": number})
    work(LATER)
    assert (states(), confs()) == (["held", "held"], [])
    release(hook)
    work()
    assert confs() == [{"events": [{"number": 1}, {"number": 2}]}]


def test_a_closed_batch_starts_after_the_hold_as_one_run(endpoint):
    from inbound_webhooks.dispatch.groups import Groups
    from inbound_webhooks.settings import Settings

    hook = store_webhook(**WHOLE, **BATCHES_OF_TWO)
    for number in (1, 2):
        post(endpoint, hook, {"number": number})
    Groups(Settings(), now=now, on_due=lambda: None).look()
    assert states() == ["accepted", "accepted"]
    assert waiting_runs(hook) == 1
    hold(hook)
    work()
    assert (states(), confs()) == (["accepted", "accepted"], [])
    release(hook, per_minute=1)
    work()
    assert confs() == [{"events": [{"number": 1}, {"number": 2}]}]
    assert len({row.run_id for row in rows("delivery")}) == 1


def test_a_held_route_holds_its_own_deliveries_alone(endpoint):
    source = store_webhook("source", dag_id="", routes="all")
    held = store_webhook("held", source=source.id, **WHOLE)
    store_webhook("free", source=source.id, **WHOLE)
    hold(held)
    post(endpoint, source, {"number": 1})
    work()
    assert (states(), len(runs())) == (["dispatched", "held", "split"], 1)
    release(held)
    work()
    assert (states(), len(runs())) == (["dispatched", "dispatched", "split"], 2)


def test_items_of_one_key_wait_for_their_turn_in_the_order_of_the_list(endpoint):
    hook = store_webhook(**ITEM, one_at_a_time="${Webhook::Item.key}")
    post(endpoint, hook, {"records": [{"number": n, "key": key} for n, key in enumerate("aabb")]})
    work()
    assert sorted(conf["number"] for conf in confs()) == [0, 2]
    assert states() == ["dispatched", "dispatched", "in_turn", "in_turn", "split"]


@pytest.mark.parametrize(
    "fields", [BATCHES_OF_TWO, {"one_at_a_time": "${Webhook::Body.key}"}], ids=["batch", "turns"]
)
def test_a_webhook_without_a_dag_has_no_groups(database, fields):
    from inbound_webhooks.errors import InvalidDefinition

    with pytest.raises(InvalidDefinition, match="only runs of a DAG can be grouped"):
        store_webhook(dag_id="", asset="s3://a/b", **fields)


@pytest.mark.parametrize("option", ["max_held", "max_grouped_deliveries"])
def test_the_items_of_a_list_count_towards_the_limit_of_their_state(endpoint, configure, option):
    configure(**{option: 2})
    hook = store_webhook(**ITEM, **(BATCHES_OF_TWO if option == "max_grouped_deliveries" else {}))
    if option == "max_held":
        hold(hook)
    assert endpoint.post(hook.path, json.dumps(numbered(1, 2, 3)).encode()).status == 429
    assert rows("delivery") == []
    post(endpoint, hook, numbered(1, 2))


def test_an_event_that_cancels_runs_nothing_where_groups_ended_during_the_hold(endpoint):
    fields = {"one_at_a_time": "${Webhook::Body.key}", "cancel_on": "body.closed"}
    hook = store_webhook(**WHOLE, **fields)
    hold(hook)
    post(endpoint, hook, {"key": "a", "closed": True})
    change_webhook(hook.id, **dict.fromkeys(fields))
    release(hook)
    work()
    assert (states(), runs()) == (["skipped"], [])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"waiting_dags": ["orders"], "each": "body"}, "each"),
        ({"source": "1234567890", "waiting_dags": ["orders"]}, "waiting_dags"),
    ],
    ids=["items of nothing", "waits for a route"],
)
def test_a_webhook_whose_events_would_become_nothing_is_refused(fields, field):
    from inbound_webhooks.records.target import target_problems
    from inbound_webhooks.records.webhook import Draft

    found = [error.problem.field for error in target_problems(Draft(name="orders", dag_id="", **fields))]
    assert field in found
