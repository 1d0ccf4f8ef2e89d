"""SimpleAuthManager with all-admins: the token that Airflow adds to a request is not the sender's."""

from __future__ import annotations

import base64
import json

import pytest

from inbound_webhooks.presets import PRESETS
from tests.infrastructure.asgi_endpoint import JSON, AsgiEndpoint, arrive
from tests.infrastructure.gateway_endpoint import GatewayEndpoint
from tests.infrastructure.webhooks_builder import rows, store_webhook
from tests.integration.receiver.signed_posts import Sender
from tests.integration.receiver.test_senders_at_the_endpoint import reaches_a_webhook
from tests.unit.presets.signed_cases import every

ORDER = b'{"number": 1}'
OWN = ("authorization", "auth 30f9")
TOKEN_START = "eyJ"
"""What Airflow's token begins with: it is a JWT."""


@pytest.fixture(autouse=True)
def all_admins(monkeypatch: pytest.MonkeyPatch):
    """The middleware asks Airflow's auth manager for a token of an administrator."""
    from airflow.api_fastapi import app as api
    from airflow.api_fastapi.auth.managers.simple.middleware import SimpleAllAdminMiddleware

    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    api.purge_cached_app()
    api.create_auth_manager()
    yield SimpleAllAdminMiddleware
    api.purge_cached_app()


@pytest.fixture
def asgi(all_admins) -> AsgiEndpoint:
    return AsgiEndpoint(in_front=[all_admins])


class Heard:
    """Stands for Airflow behind the guard: keeps the Authorization headers that it gets."""

    def __init__(self) -> None:
        self.values: list[str] = []

    async def __call__(self, scope, receive, send) -> None:
        arrive()
        self.values = [value.decode() for name, value in scope["headers"] if name == b"authorization"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


# --- senders ------------------------------------------------------------------------------------


def uses_the_header(verification) -> bool:
    return any(
        "Authorization" in settings.values() or settings["kind"] in ("basic", "jwt")
        for settings in verification
    )


BY_HEADER = [
    case
    for case in every("accepted", "answered")
    if reaches_a_webhook(case) and "Authorization" in dict(case.request.headers)
]


def test_every_preset_that_uses_the_header_is_here():
    using = {preset.name for preset in PRESETS.values() if uses_the_header(preset.verification)}
    assert using == {case.preset.name for case in BY_HEADER if uses_the_header(case.verification)}


@pytest.mark.parametrize("case", BY_HEADER, ids=str)
def test_what_the_vendor_signed_is_accepted(sqlite_database, all_admins, case):
    sender = Sender.of(case, in_front=[all_admins])
    reply = sender.send()
    assert (reply.status < 300, sender.rejections()) == (True, [])
    assert f"Bearer {TOKEN_START}" not in f"{reply.body!r} {[row.conf for row in rows('delivery')]}"


BASIC = base64.b64encode(b"sender:a password").decode()
SCHEMES = {
    "basic": ({"kind": "basic", "username": "sender"}, "a password", f"Basic {BASIC}"),
    "bearer": (
        {"kind": "header-key", "header": "Authorization", "prefix": "Bearer "},
        "a-token-of-the-sender",
        "Bearer a-token-of-the-sender",
    ),
    "key": ({"kind": "header-key", "header": "Authorization"}, "a-key-of-ours", "a-key-of-ours"),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_a_verification_by_the_header_sees_the_senders_own(asgi, sqlite_database, name):
    settings, secret, value = SCHEMES[name]
    hook = store_webhook(verification=[settings], secrets={"signing": secret})
    assert asgi.post(hook.path, ORDER, [*JSON, ("authorization", value)]).status == 202
    assert asgi.post(hook.path, ORDER, [*JSON, ("authorization", value[:-2])]).status == 401
    assert asgi.post(hook.path, ORDER).status == 401, "Airflow's own token is not the sender's"


# --- what becomes of the header -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "seen"), [([OWN], "auth 30f9"), ([], None), ([OWN, OWN], "auth 30f9,auth 30f9")]
)
def test_conf_and_response_have_what_the_sender_sent(asgi, sqlite_orders, sent, seen):
    hook = store_webhook(
        "echo",
        mapping={"auth": "{{ headers.Authorization | default(none) }}"},
        response_template='{"auth": {{ headers.Authorization | default(none) }}}',
    )
    reply = asgi.post(hook.path, ORDER, [*JSON, *sent])
    (row,) = rows("delivery")
    assert (reply.json, json.loads(row.conf)) == ({"auth": seen}, {"auth": seen})


def test_a_conf_of_the_whole_request_has_no_token(asgi, sqlite_database):
    asgi.post(store_webhook().path, ORDER)
    (row,) = rows("delivery")
    assert "Content-Type" in row.conf
    assert "uthorization" not in row.conf


def test_a_verification_of_the_url_answers_without_it(asgi, sqlite_database):
    hook = store_webhook(response_template="${Webhook::Headers}")
    assert TOKEN_START not in asgi.request("GET", hook.path, headers=[OWN]).body.decode()


def test_flask_does_not_get_it(all_admins, sqlite_orders):
    heard = Heard()
    AsgiEndpoint(inner=heard, in_front=[all_admins]).post(sqlite_orders.path, ORDER, [*JSON, OWN])
    assert heard.values == ["auth 30f9"]


def test_airflows_own_pages_get_it(all_admins, sqlite_database):
    heard = Heard()
    AsgiEndpoint(inner=heard, in_front=[all_admins]).request("GET", "/pluginsv2/webhooks/")
    assert [value.startswith(f"Bearer {TOKEN_START}") for value in heard.values] == [True]


# --- where nothing is dropped -------------------------------------------------------------------


def test_without_that_mode_every_header_is_the_senders(sqlite_orders):
    heard = Heard()
    AsgiEndpoint(inner=heard).post(sqlite_orders.path, ORDER, [*JSON, OWN, ("authorization", "another")])
    assert heard.values == ["auth 30f9", "another"]


def test_a_gateway_drops_none(sqlite_database):
    hook = store_webhook(response_template='{"auth": ${Webhook::Headers.Authorization}}')
    assert GatewayEndpoint().post(hook.path, ORDER, [*JSON, OWN]).json == {"auth": "auth 30f9"}


def test_a_middleware_of_a_subclass_counts(all_admins, sqlite_orders):
    class OfAnotherManager(all_admins):
        """As an auth manager that extends SimpleAuthManager may register."""

    heard = Heard()
    AsgiEndpoint(inner=heard, in_front=[OfAnotherManager]).post(sqlite_orders.path, ORDER, [*JSON, OWN])
    assert heard.values == ["auth 30f9"]


def test_a_middleware_behind_the_guard_has_added_nothing_yet(all_admins, sqlite_orders):
    from starlette.middleware import Middleware

    heard = Heard()
    endpoint = AsgiEndpoint(inner=heard)
    endpoint.app.user_middleware.append(Middleware(all_admins))
    endpoint.post(sqlite_orders.path, ORDER, [*JSON, OWN])
    assert heard.values[:1] == ["auth 30f9"]
