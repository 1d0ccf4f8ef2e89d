"""Every route of the API, asked by somebody who should not get what it has; one without a guard fails."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dags_builder import store_dag
from tests.webhooks_builder import audit_rows, rows, store_delivery, store_webhook

HIDDEN = "the hidden webhook"
OTHER_DAGS_EDITOR = (
    *((action, "Webhooks") for action in ("can_read", "can_create", "can_edit", "can_delete")),
    *(("can_read", "DAG:others"), ("can_edit", "DAG:others")),
    *(("can_read", "DAG Runs"), ("can_create", "DAG Runs")),
)
BODIES: dict[str, Any] = {
    "/webhooks": {"name": "a new one", "dag_id": "hidden"},
    "/webhooks/{webhook_id}": {"filter": "body.a"},
    "/webhooks/{webhook_id}/rotate": {},
    "/webhooks/{webhook_id}/try": {"body": "{}"},
    "/webhooks/{webhook_id}/backTest": {"draft": {"filter": "body.a"}},
}
HEADERS = json.dumps([["Content-Type", "application/json"]])


@pytest.fixture(scope="module")
def hidden(pages):
    """A webhook with a delivery, of the DAG `hidden`."""
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
    return {"webhook_id": hook.id, "delivery_id": delivery, "name": "github", "token": hook.token}


def routes() -> list[tuple[str, str]]:
    """Each method and path, as the API describes itself."""
    from inbound_webhooks.api import app

    found = [
        (method.upper(), path.removeprefix("/v1"))
        for path, methods in app.openapi()["paths"].items()
        if path.startswith("/v1/")
        for method in methods
    ]
    assert len(found) == 16
    return found


def ask(user, method: str, path: str, hidden) -> Any:
    body = BODIES.get(path) if method in ("POST", "PATCH") else None
    return user(method, path.format(**hidden), body)


def what_is_there() -> tuple[Any, ...]:
    return rows("webhook"), rows("token"), rows("delivery"), audit_rows()


def test_a_stranger_gets_nothing(api, hidden):
    before = what_is_there()
    for method, path in routes():
        assert ask(api(), method, path, hidden).status_code == 401, (method, path)
    assert api()("GET", "/openapi.json").status_code == 401
    assert what_is_there() == before


def test_a_viewer_changes_nothing_and_sees_no_token(api, hidden):
    before, viewer = what_is_there(), api("vera", "Viewer")
    for method, path in routes():
        answer = ask(viewer, method, path, hidden)
        assert answer.status_code == (200 if method == "GET" else 403), (method, path, answer.text)
        assert hidden["token"] not in answer.text
    assert what_is_there() == before


def test_the_editor_of_another_dag_learns_nothing(api, pages, hidden):
    role = ""  # SimpleAuthManager's roles are for all DAGs; one without any may see none
    if pages.auth == "fab":
        role = "of others"
        pages.role(role, *OTHER_DAGS_EDITOR)
    before, stranger = what_is_there(), api("otto", role)
    for method, path in routes():
        answer = ask(stranger, method, path, hidden)
        if "_id}" in path:
            assert answer.status_code == (404 if role else 403), (method, path)
        elif method == "POST":
            assert answer.status_code == 403, (method, path)
        assert not [word for word in (HIDDEN, hidden["webhook_id"], "canary") if word in answer.text], path
    assert what_is_there() == before


def test_an_administrator_may_do_it_all(api, hidden):
    admin = api("ada")
    last = [("DELETE", "/webhooks/{webhook_id}")]
    answers = {
        (method, path): ask(admin, method, path, hidden).status_code
        for method, path in [route for route in routes() if route not in last] + last
    }
    created = {("POST", "/webhooks"), ("POST", "/deliveries/{delivery_id}/replay")}
    expected = {route: 201 if route in created else 204 if route in last else 200 for route in routes()}
    # The walk disables the webhook before, and a disabled one takes no replay.
    assert answers == expected | {("POST", "/deliveries/{delivery_id}/replay"): 409}
