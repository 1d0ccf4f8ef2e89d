"""A webhook that waits for its secret: its sender gets 503, and is accepted once the secret is stored."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from tests.infrastructure.asgi_endpoint import JSON
from tests.infrastructure.webhooks_builder import ACTOR, Hook, rows, states, store_webhook

SECRET = "a secret of a test"
EVENT = b'{"number": 1}'
WAITING = "This webhook is waiting for its secret."


def signature(body: bytes = EVENT) -> tuple[str, str]:
    return ("x-hub-signature-256", "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest())


def waiting(preset: str = "github", **fields) -> Hook:
    return store_webhook("waiting", preset=preset, **fields)


def enter_secret(hook: Hook, purpose: str = "signing") -> None:
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.secrets import NewSecret

    service.rotate_secret(hook.id, NewSecret(purpose, SECRET), actor=ACTOR)


@pytest.mark.parametrize("headers", [(), (signature(),)], ids=["unsigned", "signed"])
def test_an_event_is_503_with_retry_after_and_starts_nothing(asgi, database, headers):
    hook = waiting()
    reply = asgi.post(hook.path, EVENT, [*JSON, *headers])
    assert (reply.status, reply.json) == (503, {"status": "rejected", "error": WAITING})
    assert (reply.header("retry-after"), states()) == ("60", [])


def test_the_sender_is_accepted_once_the_secret_is_entered(asgi, database):
    hook = waiting()
    assert asgi.post(hook.path, EVENT, [*JSON, signature()]).status == 503
    enter_secret(hook)
    assert asgi.post(hook.path, EVENT, [*JSON, signature()]).status == 202
    assert asgi.post(hook.path, EVENT, [*JSON, signature(b"another body")]).status == 401


def test_the_rejection_names_the_secret_and_the_response_does_not(asgi, sqlite_database):
    from inbound_webhooks.receiver.instance import get_receiver

    hook = waiting("meta")
    assert "signing" not in asgi.post(hook.path, EVENT, JSON).json["error"]
    get_receiver().rejections.flush()
    (rejection,) = rows("rejection")
    assert (rejection.status, rejection.reason) == (503, "The webhook is waiting for its signing secret.")


def test_a_handshake_that_needs_no_secret_is_answered(asgi, sqlite_database):
    hook = waiting("dropbox")
    reply = asgi.request("GET", hook.path, query=b"challenge=abc", headers=[], chunks=[])
    assert (reply.status, reply.body) == (200, b"abc")


@pytest.mark.parametrize(
    ("preset", "query"),
    [("twitter", b"crc_token=abc"), ("meta", b"hub.mode=subscribe&hub.verify_token=&hub.challenge=abc")],
)
def test_a_handshake_that_needs_the_secret_waits_for_it(asgi, sqlite_database, preset, query):
    hook = waiting(preset)
    reply = asgi.request("GET", hook.path, query=query, headers=[], chunks=[])
    assert (reply.status, b"abc" in reply.body) == (503, False)


def test_a_verified_event_does_not_wait_for_the_secret_of_the_handshake(asgi, sqlite_database):
    hook = waiting("meta")
    enter_secret(hook)
    assert asgi.post(hook.path, EVENT, [*JSON, signature()]).status == 200


def test_a_webhook_of_several_schemes_accepts_nothing_before_it_has_all_secrets(asgi, sqlite_database):
    schemes = [
        {"kind": "hmac", "header": "X-Hub-Signature-256", "prefix": "sha256="},
        {"kind": "basic", "username": "shop", "purpose": "password"},
    ]
    hook = store_webhook("waiting", verification=schemes, secrets={"signing": SECRET})
    assert asgi.post(hook.path, EVENT, [*JSON, signature()]).status == 503
    assert asgi.post(hook.path, EVENT, [*JSON, signature(b"another body")]).status == 401
    assert states() == []
