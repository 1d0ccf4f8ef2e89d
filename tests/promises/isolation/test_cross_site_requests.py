"""A page of another site changes nothing with the user's cookie, whatever route it calls."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import audit_rows, rows, store_delivery, store_webhook
from tests.integration.rest.test_routes import BODIES
from tests.integration.web.conftest import made
from tests.integration.web.site import ROOT

OWN = "https://airflow.example.com"
FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "https://airflow.example.com.evil.example"},
    {"Origin": "https://airflow.example.com:8443"},
    {"Origin": "http://airflow.example.com"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Referer": f"{OWN}/"},
    {"Referer": "https://evil.example/airflow.example.com/"},
    {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"},
    {},
]
SAME = [
    {"Origin": OWN},
    {"Origin": "http://test"},
    {"Origin": "https://test"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Referer": f"{OWN}/webhooks/"},
]
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def pages(template_of):
    yield from made("fab", template_of("sqlite"))


@pytest.fixture(autouse=True)
def behind_a_proxy(monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", OWN)


@pytest.fixture(scope="module")
def ids(pages):
    store_dag("hidden")
    hook = store_webhook("one", dag_id="hidden")
    delivery = store_delivery(hook, dag_id="hidden", headers="[]", state="dispatched", next_attempt_at=None)
    return {"webhook_id": hook.id, "delivery_id": delivery, "job_id": "0" * 32, "wait_id": "0" * 32}


@pytest.fixture(scope="module")
def token(pages):
    with pages.app.app_context():
        return pages.manager.generate_jwt(pages.user("ada", "Admin"))


def changes() -> list[tuple[str, str]]:
    """Method and path of every route of the API that does more than read."""
    from inbound_webhooks.rest.app import app

    found = [(method, route.path) for route in app.routes for method in route.methods - {"GET", "HEAD"}]
    assert len(found) > 8
    return sorted(found)


def send(token: str, method: str, path: str, body: Any, headers: dict[str, str]) -> int:
    """The status of a request by a browser that is logged in."""
    import asyncio

    import httpx

    from inbound_webhooks.rest.app import app

    async def ask() -> int:
        transport = httpx.ASGITransport(app=app)
        cookies = {"_token": token} if token else None
        async with httpx.AsyncClient(transport=transport, base_url="http://test", cookies=cookies) as client:
            response = await client.request(method, path, content=body, headers=headers)
            return response.status_code

    return asyncio.run(ask())


def body_of(path: str) -> bytes:
    import json

    return json.dumps(BODIES[path]).encode() if path in BODIES else b""


def everything() -> tuple[Any, ...]:
    return rows("webhook"), rows("token"), rows("delivery"), audit_rows()


def test_no_change_is_made_for_a_page_of_another_origin(ids, token):
    before = everything()
    for method, path in changes():
        for headers in FOREIGN:
            status = send(token, method, path.format(**ids), body_of(path), headers | JSON)
            assert status == 403, (method, path, headers)
    assert everything() == before


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_no_change_is_made_by_what_a_form_can_send(ids, token, content_type):
    before = everything()
    headers = {"Origin": OWN} | ({"Content-Type": content_type} if content_type else {})
    statuses = {send(token, *route(ids, each), headers) for each in changes()}
    assert (statuses, everything()) == ({403}, before)


def route(ids, each: tuple[str, str]) -> tuple[str, str, bytes]:
    method, path = each
    return method, path.format(**ids), body_of(path)


@pytest.mark.parametrize("headers", SAME, ids=str)
def test_airflows_own_pages_may_change_something(ids, token, headers):
    path = f"/v1/webhooks/{ids['webhook_id']}/disable"
    assert send(token, "POST", path, b"", headers | JSON) == 200


def test_a_program_with_a_token_of_its_own_needs_neither(ids, token):
    path = f"/v1/webhooks/{ids['webhook_id']}/enable"
    headers = {"Authorization": f"Bearer {token}", "Origin": "https://console.example"}
    assert send("", "POST", path, b"", headers) == 200
    repeated_by_browsers = {"Authorization": "Basic YTpi", "Origin": "https://evil.example"}
    assert send("", "POST", path, b"", repeated_by_browsers) == 403


def test_what_a_trusted_proxy_says_of_the_host_counts(ids, token, monkeypatch):
    path = f"/v1/webhooks/{ids['webhook_id']}/enable"
    headers = JSON | {"Origin": "https://public.example", "X-Forwarded-Host": "public.example"}
    assert send(token, "POST", path, b"", headers) == 403
    monkeypatch.setenv("AIRFLOW__INBOUND_WEBHOOKS__TRUSTED_PROXIES", "127.0.0.0/8")
    assert send(token, "POST", path, b"", headers) == 200


def test_a_token_that_airflow_appends_proves_nothing(ids, token, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    path = f"/v1/webhooks/{ids['webhook_id']}/enable"
    appended = {"Authorization": f"Bearer {token}"}
    assert send("", "POST", path, b"", appended | {"Origin": "https://evil.example"}) == 403
    assert send("", "POST", path, b"", appended) == 200


def test_no_form_of_a_page_is_accepted_without_the_token_of_that_page(pages, ids):
    browser, before = pages.client("ada"), everything()
    rules = [rule for rule in pages.app.url_map.iter_rules() if rule.rule.startswith(ROOT)]
    paths = [rule.rule for rule in rules if "POST" in rule.methods]
    assert len(paths) > 7
    for path in paths:
        for name, value in ids.items():
            path = path.replace(f"<{name}>", value)
        headers = {"Origin": "https://evil.example"}
        response = browser.browser.post(path, data={"confirmed": "1"}, headers=headers)
        assert response.status_code == 400, path
    assert everything() == before
