"""Every path of the gateway, for users of every kind: a login opens none there, only the token of a URL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.infrastructure.asgi_endpoint import JSON, Headers
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.gateway_endpoint import GatewayEndpoint
from tests.infrastructure.loop import close_receivers, new_receiver
from tests.infrastructure.webhooks_builder import Hook, rows, store_webhook
from tests.integration.web.site import Site

BODY = b'{"a": 1}'


class Row(NamedTuple):
    """Statuses for a stranger, a viewer, a user who may edit other DAGs, and an administrator."""

    stranger: int
    viewer: int
    other: int
    admin: int


# No dispatcher runs here, which is public.
HEALTH = Row(503, 503, 503, 503)
UNKNOWN = Row(404, 404, 404, 404)
OPEN = {("GET", "/health"): HEALTH, ("HEAD", "/health"): HEALTH}
"""What needs no token."""

WITH_ITS_TOKEN = {
    ("GET", "/webhook/{id}/{token}"): Row(200, 200, 200, 200),
    ("HEAD", "/webhook/{id}/{token}"): Row(200, 200, 200, 200),
    ("OPTIONS", "/webhook/{id}/{token}"): Row(204, 204, 204, 204),
    ("POST", "/webhook/{id}/{token}"): Row(202, 202, 202, 202),
    ("PUT", "/webhook/{id}/{token}"): Row(405, 405, 405, 405),
    ("DELETE", "/webhook/{id}/{token}"): Row(405, 405, 405, 405),
}
CLOSED = {
    (method, path): UNKNOWN
    for method in ("GET", "POST")
    for path in (
        "/webhook/{id}/" + "0" * 64,
        "/webhook/{id}/",
        "/webhook/{id}",
        "/webhook/AAAAAAAAAA/{token}",
        "/webhook/result/" + "0" * 32 + "/" + "0" * 64,
        "/webhook/result/{token}",
        "/webhook",
        "/",
        "/metrics",
        "/health/",
        "/v1/webhooks",
        "/webhooks/api/v1/webhooks",
        "/webhooks/api/health",
        "/webhooks/",
        "/api/v2/dags",
        "/auth/token",
    )
} | {("POST", "/health"): UNKNOWN, ("DELETE", "/health"): UNKNOWN}

PEOPLE = {"stranger": None, "viewer": "Viewer", "other": "User", "admin": "Admin"}


@pytest.fixture(scope="module")
def gateway(pages: Site) -> Iterator[GatewayEndpoint]:
    from inbound_webhooks.receiver.instance import forget_receiver

    forget_receiver()
    yield GatewayEndpoint()
    close_receivers()
    forget_receiver()


@pytest.fixture(scope="module")
def hook(pages: Site) -> Hook:
    store_dag("hidden")
    return store_webhook("hidden", dag_id="hidden")


@pytest.fixture(scope="module")
def logins(pages: Site) -> dict[str, Headers]:
    """Headers as a browser and as a program have them, by who it is."""
    found: dict[str, Headers] = {"stranger": []}
    roles = dict(PEOPLE)
    if pages.auth == "fab":  # SimpleAuthManager gives rights to all DAGs or to none
        roles["other"] = "editor of others"
        pages.role("editor of others", ("can_edit", "Webhooks"), ("can_edit", "DAG:others"))
    with pages.app.app_context():
        for name, role in roles.items():
            if role is not None:
                token = pages.manager.generate_jwt(pages.user(f"{name} at the gateway", role))
                found[name] = [("authorization", f"Bearer {token}"), ("cookie", f"_token={token}")]
    return found


def test_every_route_of_the_gateway_has_a_row(sqlite_database):
    from inbound_webhooks.receiver.gateway.app import Gateway

    assert {path for _, path in OPEN} == Gateway(new_receiver(), None).routes


@pytest.mark.parametrize("name", PEOPLE)
def test_each_path_answers_each_of_them_as_its_row_says(gateway, hook, logins, name):
    expected, answered = {}, {}
    for (method, path), row in {**OPEN, **WITH_ITS_TOKEN, **CLOSED}.items():
        target = path.format(id=hook.id, token=hook.token)
        chunks = [BODY] if method == "POST" else []
        reply = gateway.request(method, target, headers=[*JSON, *logins[name]], chunks=chunks)
        expected[method, path], answered[method, path] = getattr(row, name), reply.status
    assert answered == expected


def test_a_login_without_the_token_leaves_nothing_behind(gateway, hook, logins):
    before = len(rows("delivery"))
    for method, path in CLOSED:
        target = path.format(id=hook.id, token=hook.token)
        reply = gateway.request(method, target, headers=[*JSON, *logins["admin"]], chunks=[BODY])
        assert hook.name not in f"{reply.body!r}{reply.headers}"
    assert len(rows("delivery")) == before
