"""Each definition of docs/patterns.md: imported as it is, and sent the requests of its situation."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Any

import pytest

from tests.infrastructure.asgi_endpoint import AsgiEndpoint
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.environment import CHECKOUT
from tests.infrastructure.receiver_fixtures import configure  # noqa: F401 - a fixture
from tests.infrastructure.webhooks_builder import Hook, rows, token_of

FOLDER = CHECKOUT / "docs" / "patterns"
PAGE = (CHECKOUT / "docs" / "patterns.md").read_text()
SECRET = "a secret of a test, long enough"


@pytest.fixture
def imported(webhooks, sqlite_database, monkeypatch):
    """Import a definition; returns its webhook, the first one of several."""
    monkeypatch.setenv("GITHUB_SECRET", SECRET)
    monkeypatch.setenv("DBT_SECRET", SECRET)

    def load(name: str) -> Hook:
        assert webhooks("import", str(FOLDER / f"{name}.yaml")).status == 0
        stored = sorted(rows("webhook"), key=lambda row: row.source is not None)
        for row in stored:
            if row.dag_id:
                store_dag(row.dag_id)
        return Hook(stored[0].id, token_of(stored[0].id), stored[0].name)

    return load


def send(hook: Hook, body: Any, *, event: str = "") -> int:
    content = json.dumps(body).encode()
    headers = [("content-type", "application/json")]
    if event:
        signature = hmac.new(SECRET.encode(), content, hashlib.sha256).hexdigest()
        headers += [("x-github-event", event), ("x-hub-signature-256", f"sha256={signature}")]
    return AsgiEndpoint().post(hook.path, content, headers=headers).status


def stored() -> list[tuple[str, Any]]:
    return [(row.state, row.conf and json.loads(row.conf)) for row in rows("delivery")]


def keys() -> list[str]:
    return [row.group_key for row in rows("delivery")]


def test_the_page_names_each_file_and_quotes_it():
    named = re.findall(r"\]\(../docs/patterns/([\w.-]+)\)", PAGE)
    assert sorted(named) == sorted(path.name for path in FOLDER.glob("*.yaml"))
    quoted = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert [
        text for text, name in zip(quoted, named, strict=True) if text not in (FOLDER / name).read_text()
    ] == []


def test_notifications_of_a_bucket_share_a_batch(imported):
    hook = imported("s3-notifications")
    for bucket, key in (("raw", "a.csv"), ("raw", "b.csv"), ("other", "c.csv")):
        record = {"s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 7}}}
        assert send(hook, {"Records": [record]}) == 202
    assert stored()[0] == ("batched", {"bucket": "raw", "key": "a.csv", "size": 7})
    assert keys()[0] == keys()[1] != keys()[2]


def test_pushes_to_a_branch_wait_for_each_other(imported):
    hook = imported("monorepo-pushes")
    for ref in ("refs/heads/main", "refs/heads/main", "refs/heads/feature"):
        push = {"ref": ref, "after": "a" * 40, "deleted": False, "repository": {"full_name": "shop/all"}}
        assert send(hook, push | {"number": len(keys())}, event="push") == 202
    assert [state for state, _ in stored()] == ["settling"] * 3
    assert keys()[0] == keys()[1] != keys()[2]


def test_events_of_a_customer_wait_for_their_turn(imported):
    hook = imported("order-per-customer")
    for number, customer in ((1, "ann"), (2, "ann"), (3, "ben")):
        assert send(hook, {"id": number, "customer": {"id": customer}}) == 202
    assert [state for state, _ in stored()] == ["in_turn"] * 3
    assert keys()[0] == keys()[1] != keys()[2]


def test_a_closed_pull_request_cancels_and_starts_nothing(imported):
    hook = imported("cancelled-build")
    for action in ("opened", "synchronize", "labeled", "closed"):
        body = {
            "action": action,
            "number": 7,
            "repository": {"full_name": "shop/all"},
            "pull_request": {"head": {"sha": "b" * 40}},
        }
        assert send(hook, body, event="pull_request") in (200, 202)
    assert [(state, conf is None) for state, conf in stored()] == [
        ("in_turn", False),
        ("in_turn", False),
        ("filtered", True),
        ("in_turn", True),
    ]


def test_each_route_of_a_github_app_takes_its_events(imported):
    hook = imported("github-app")
    push = {"ref": "refs/heads/main", "after": "a" * 40, "deleted": False, "repository": {"full_name": "a/b"}}
    assert [send(hook, push, event="push"), send(hook, {"action": "opened"}, event="issues")] == [202, 202]
    assert send(hook, {"zen": "Keep it simple."}, event="ping") == 200
    children = [row.webhook_name for row in rows("delivery") if row.parent_id]
    assert sorted(children) == ["github-app-builds", "github-app-log", "github-app-log"]


def test_each_deal_of_a_list_runs_once(imported):
    hook = imported("crm-lists")
    deals = [
        {"eventId": number, "objectId": number, "subscriptionType": f"deal.{kind}"}
        for number, kind in enumerate(("creation", "deletion", "creation"))
    ]
    assert [send(hook, deals), send(hook, deals)] == [202, 202]
    taken = [row for row in rows("delivery") if row.parent_id and row.state == "accepted"]
    assert [json.loads(row.conf)["order_id"] for row in taken] == [0, 2]


def test_events_are_held_until_the_night(imported):
    hook = imported("nightly-window")
    assert send(hook, {"id": 1}) == 202
    assert [state for state, _ in stored()] == ["held"]


def test_an_order_is_an_event_of_the_asset(imported):
    hook = imported("one-event-several-dags")
    assert [send(hook, {"id": 7}), send(hook, {"id": 7})] == [202, 202]
    assert [(row.asset, row.dag_id, row.conf) for row in rows("delivery")] == [
        ("shop_orders", "", '{"order":7}')
    ]


def test_the_run_has_the_day_of_its_event(imported):
    hook = imported("day-of-the-event")
    assert send(hook, {"id": 7, "created_at": "2026-03-01T23:59:00Z"}) == 202
    (row,) = rows("delivery")
    assert (row.logical_date.isoformat(), row.note) == (
        "2026-03-01T23:59:00+00:00",
        "Order 7 of 2026-03-01T23:59:00Z",
    )


def test_the_event_of_a_job_is_kept_for_the_task_that_waits(imported):
    hook = imported("job-that-calls-back")
    content = b'{"eventId": "wev_1", "eventType": "job.run.completed", "data": {"runId": "12345"}}'
    signature = hmac.new(SECRET.encode(), content, hashlib.sha256).hexdigest()
    headers = [("content-type", "application/json"), ("authorization", signature)]
    assert AsgiEndpoint().post(hook.path, content, headers=headers).status == 200
    (row,) = rows("delivery")
    assert (row.state, row.next_attempt_at, row.to_match) == ("accepted", None, True)
