"""Every route of the API, asked by users of every kind: the statuses stand in a table."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.waits_builder import stored_wait
from tests.infrastructure.webhooks_builder import (
    audit_rows,
    rows,
    store_delivery,
    store_rejection,
    store_webhook,
)

HIDDEN = "the hidden webhook"
OTHER_DAGS_EDITOR = (
    *((action, "Webhooks") for action in ("can_read", "can_create", "can_edit", "can_delete")),
    *(("can_read", "DAG:others"), ("can_edit", "DAG:others")),
    *(("can_read", "DAG Runs"), ("can_create", "DAG Runs")),
)
HEADERS = json.dumps([["Content-Type", "application/json"]])


class Heard(NamedTuple):
    """The statuses for a stranger, a viewer, a user who may edit another DAG, and an administrator."""

    stranger: int
    viewer: int
    other: int
    admin: int


# In the order in which an administrator goes through them.
TABLE = {
    # No dispatcher runs here, which is public.
    ("GET", "/health"): Heard(503, 503, 503, 503),
    ("GET", "/v1/openapi.json"): Heard(401, 200, 200, 200),
    ("GET", "/v1/presets"): Heard(401, 200, 200, 200),
    ("GET", "/v1/presets/{name}"): Heard(401, 200, 200, 200),
    ("GET", "/v1/webhooks"): Heard(401, 200, 200, 200),
    ("POST", "/v1/webhooks"): Heard(401, 403, 403, 201),
    ("GET", "/v1/webhooks/{webhook_id}"): Heard(401, 200, 404, 200),
    ("PATCH", "/v1/webhooks/{webhook_id}"): Heard(401, 403, 404, 200),
    ("POST", "/v1/webhooks/{webhook_id}/rotate"): Heard(401, 403, 404, 200),
    ("POST", "/v1/webhooks/{webhook_id}/endGrace"): Heard(401, 403, 404, 200),
    ("GET", "/v1/webhooks/{webhook_id}/activity"): Heard(401, 200, 404, 200),
    ("GET", "/v1/webhooks/{webhook_id}/rejections"): Heard(401, 200, 404, 200),
    ("GET", "/v1/webhooks/{webhook_id}/rejections/{rejection_id}"): Heard(401, 200, 404, 200),
    ("GET", "/v1/webhooks/{webhook_id}/sample"): Heard(401, 200, 404, 200),
    ("POST", "/v1/webhooks/{webhook_id}/try"): Heard(401, 403, 404, 200),
    ("POST", "/v1/webhooks/{webhook_id}/backTest"): Heard(401, 403, 404, 200),
    ("GET", "/v1/deliveries"): Heard(401, 200, 200, 200),
    ("GET", "/v1/deliveries/{delivery_id}"): Heard(401, 200, 404, 200),
    ("POST", "/v1/deliveries/{delivery_id}/replay"): Heard(401, 403, 404, 201),
    ("GET", "/v1/deliveries/search"): Heard(401, 200, 200, 200),
    ("POST", "/v1/replays"): Heard(401, 403, 409, 201),
    ("GET", "/v1/replays"): Heard(401, 200, 200, 200),
    ("GET", "/v1/replays/{job_id}"): Heard(401, 404, 404, 200),
    ("POST", "/v1/replays/{job_id}/cancel"): Heard(401, 403, 404, 200),
    ("GET", "/v1/waits"): Heard(401, 200, 200, 200),
    ("GET", "/v1/waits/{wait_id}"): Heard(401, 200, 404, 200),
    ("POST", "/v1/waits/{wait_id}/resume"): Heard(401, 403, 404, 200),
    ("POST", "/v1/webhooks/{webhook_id}/disable"): Heard(401, 403, 404, 200),
    ("POST", "/v1/webhooks/{webhook_id}/enable"): Heard(401, 403, 404, 200),
    ("POST", "/v1/webhooks/{webhook_id}/hold"): Heard(401, 403, 404, 200),
    ("POST", "/v1/webhooks/{webhook_id}/release"): Heard(401, 403, 404, 200),
    ("GET", "/v1/holdOfAll"): Heard(401, 200, 200, 200),
    # Of another DAG's editor it changes nothing.
    ("POST", "/v1/holdOfAll"): Heard(401, 403, 200, 200),
    ("POST", "/v1/holdOfAll/release"): Heard(401, 403, 200, 200),
    # It has been dispatched, so nothing of it waits.
    ("POST", "/v1/deliveries/{delivery_id}/retry"): Heard(401, 403, 404, 409),
    ("DELETE", "/v1/webhooks/{webhook_id}"): Heard(401, 403, 404, 204),
}
BODIES: dict[str, Any] = {
    "/v1/webhooks": {"name": "a new one", "dag_id": "hidden"},
    "/v1/webhooks/{webhook_id}": {"filter": "body.a"},
    "/v1/webhooks/{webhook_id}/rotate": {},
    "/v1/webhooks/{webhook_id}/try": {"body": "{}"},
    "/v1/webhooks/{webhook_id}/backTest": {"draft": {"filter": "body.a"}},
    "/v1/replays": {"where": {"dag": "hidden"}},
}


@pytest.fixture(scope="module")
def hidden(pages):
    """A webhook with a delivery, a rejection and a replay job, of the DAG `hidden`."""
    from inbound_webhooks.deliveries import replay_jobs

    store_dag("hidden")
    store_dag("others")
    hook = store_webhook(HIDDEN, dag_id="hidden")
    delivery = store_delivery(
        hook,
        dag_id="hidden",
        body=b'{"canary": 1}',
        headers=HEADERS,
        state="dispatched",
        next_attempt_at=None,
    )
    return {
        **{"webhook_id": hook.id, "delivery_id": delivery, "name": "github", "token": hook.token},
        "rejection_id": store_rejection(hook),
        "wait_id": stored_wait("hidden").id,
        "job_id": replay_jobs.start(access=None, actor="an operator", remap=False, ids=[delivery]).id,
    }


def walk(user, hidden) -> dict[tuple[str, str], Any]:
    """The response to a user on each route of the table."""
    heard = {}
    for method, path in TABLE:
        body = BODIES.get(path) if method in ("POST", "PATCH") else None
        heard[method, path] = user(method, path.format(**hidden), body)
    return heard


def expected(role: str) -> dict[tuple[str, str], int]:
    return {route: getattr(heard, role) for route, heard in TABLE.items()}


def statuses(heard: dict[tuple[str, str], Any]) -> dict[tuple[str, str], int]:
    return {route: response.status_code for route, response in heard.items()}


def what_is_there() -> tuple[Any, ...]:
    return rows("webhook"), rows("token"), rows("delivery"), audit_rows()


def test_every_route_stands_in_the_table():
    from inbound_webhooks.rest.app import app

    there = {(method, route.path) for route in app.routes for method in route.methods - {"HEAD"}}
    assert there == set(TABLE)


def test_a_stranger_gets_nothing(anyone, hidden):
    before = what_is_there()
    assert statuses(walk(anyone(), hidden)) == expected("stranger")
    assert what_is_there() == before


def test_a_viewer_changes_nothing_and_sees_no_token(anyone, hidden):
    before = what_is_there()
    heard = walk(anyone("vera", "Viewer"), hidden)
    assert statuses(heard) == expected("viewer")
    assert [route for route, response in heard.items() if hidden["token"] in response.text] == []
    assert what_is_there() == before


def test_the_editor_of_another_dag_learns_nothing(anyone, pages, hidden):
    role, expected_statuses = "", dict.fromkeys(TABLE, 403)
    if pages.auth == "fab":
        role, expected_statuses = "of others", expected("other")
        pages.role(role, *OTHER_DAGS_EDITOR)
    expected_statuses["GET", "/health"] = 503
    before, heard = what_is_there(), walk(anyone("otto", role), hidden)
    # SimpleAuthManager's roles are for all DAGs; one without any may see none.
    assert statuses(heard) == expected_statuses
    words = (HIDDEN, hidden["webhook_id"], "canary")
    assert [route for route, response in heard.items() if any(word in response.text for word in words)] == []
    assert what_is_there() == before


def test_a_user_without_access_to_runs_gets_neither_request_nor_conf(anyone, pages, hidden):
    if pages.auth != "fab":
        # Under SimpleAuthManager users who read a DAG read its runs.
        return
    pages.role("no runs", ("can_read", "Webhooks"), ("can_read", "DAG:hidden"))
    shown = anyone("rita", "no runs")("GET", f"/v1/deliveries/{hidden['delivery_id']}")
    assert (shown.status_code, "canary" in shown.text) == (200, False)
    parts = ("request", "response", "conf", "mails")
    assert [shown.json()[name] for name in parts] == [None, None, None, None]
    assert anyone("ada")("GET", f"/v1/deliveries/{hidden['delivery_id']}").json()["response"]["status"] == 202


def test_a_user_without_a_permission_gets_nothing(anyone, pages, hidden):
    role = ""
    if pages.auth == "fab":
        role = "nothing at all"
        pages.role(role)
    before, heard = what_is_there(), walk(anyone("nora", role), hidden)
    assert statuses(heard) == dict.fromkeys(TABLE, 403) | {("GET", "/health"): 503}
    assert what_is_there() == before


def test_an_administrator_may_do_it_all(anyone, hidden):
    assert statuses(walk(anyone("ada"), hidden)) == expected("admin")
