"""Permission is for the webhook as it is when it is changed: not for one with another DAG meanwhile."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import (
    audit_rows,
    change_webhook,
    rows,
    store_delivery,
    store_webhook,
)
from tests.integration.web.conftest import made

CHANGES = {
    "enable": ("POST", "/v1/webhooks/{id}/enable", None),
    "disable": ("POST", "/v1/webhooks/{id}/disable", None),
    "rotate": ("POST", "/v1/webhooks/{id}/rotate", {}),
    "delete": ("DELETE", "/v1/webhooks/{id}", None),
    "change": ("PATCH", "/v1/webhooks/{id}", {"filter": "body.a"}),
    "change of a later version": ("PATCH", "/v1/webhooks/{id}", {"filter": "body.a", "version": 2}),
    "replay": ("POST", "/v1/deliveries/{delivery}/replay", {}),
}
PAGES = {
    "enabled": ("/hook/{id}/enabled", {"enabled": "0"}),
    "rotate": ("/hook/{id}/rotate", {"confirmed": "1"}),
    "delete": ("/hook/{id}/delete", {"confirmed": "1"}),
    "bulk": ("/bulk", {"do": "delete", "id": "{id}", "confirmed": "1"}),
    "replay": ("/delivery/{delivery}/replay", {}),
}

_numbers = count()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def pages(request, template_of):
    yield from made("simple", template_of(request.param))


@pytest.fixture
def moved(pages, monkeypatch):
    """A webhook that gets another DAG as soon as Airflow has permitted to trigger its DAG."""
    store_dag("orders")
    store_dag("payroll")
    hook = store_webhook(f"webhook {next(_numbers)}", dag_id="orders")
    ids = {"id": hook.id, "delivery": store_delivery(hook, state="dispatched", next_attempt_at=None)}
    permits = pages.manager.is_authorized_dag

    def permit(*, method: str, details: Any = None, **more: Any) -> bool:
        dag_id = details.id if details else None
        if method == "POST" and dag_id == "orders" and "armed" in ids:
            change_webhook(hook.id, dag_id="payroll")
        return dag_id != "payroll" and permits(method=method, details=details, **more)

    monkeypatch.setattr(pages.manager, "is_authorized_dag", permit)
    return ids


def stored(webhook_id: str) -> Any:
    return next(row for row in rows("webhook") if row.id == webhook_id)


def state(ids: dict[str, str]) -> tuple[Any, ...]:
    return stored(ids["id"]).enabled, rows("token"), len(rows("delivery")), audit_rows()


@pytest.mark.parametrize("change", CHANGES)
def test_the_api_changes_no_webhook_that_has_got_another_dag(pages, moved, change):
    method, path, body = CHANGES[change]
    before = state(moved)
    moved["armed"] = "yes"
    assert send(pages, method, path.format(**moved), body) == 409
    assert (stored(moved["id"]).dag_id, state(moved)) == ("payroll", before)


@pytest.mark.parametrize("change", PAGES)
def test_a_page_changes_no_webhook_that_has_got_another_dag(pages, moved, change):
    path, form = PAGES[change]
    before = state(moved)
    ada = pages.client("ada")
    ada.csrf_token()
    moved["armed"] = "yes"
    fields = {name: value.format(**moved) for name, value in form.items()}
    response = ada.post(path.format(**moved), fields, script=True)
    assert response.status_code == 409, response.text
    assert (stored(moved["id"]).dag_id, state(moved)) == ("payroll", before)


def send(pages, method: str, path: str, body: Any) -> int:
    import asyncio

    import httpx

    from inbound_webhooks.rest.app import app

    with pages.app.app_context():
        token = pages.manager.generate_jwt(pages.user("ada", "Admin"))

    async def ask() -> int:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            headers = {"Authorization": f"Bearer {token}"}
            return (await client.request(method, path, json=body, headers=headers)).status_code

    return asyncio.run(ask())
