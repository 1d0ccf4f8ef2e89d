"""A 401 names the HTTP authentication that a webhook expects, and clients that wait for it get through."""

from __future__ import annotations

import gc
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.infrastructure.asgi_endpoint import JSON, AsgiEndpoint, Reply
from tests.infrastructure.asgi_server import AsgiServer
from tests.infrastructure.webhooks_builder import PREFIX, Hook, rows, store_webhook

PASSWORD = "pässword of a test"
BASIC = {"kind": "basic", "username": "ädmin"}
BEARER = {"kind": "header-key", "header": "Authorization", "prefix": "Bearer "}
BASIC_CHALLENGE = 'Basic realm="webhook", charset="UTF-8"'
BEARER_CHALLENGE = 'Bearer realm="webhook"'
KEY = "a-key-of-a-test-that-is-long-enough-for-hs256"


def hook_with(*verification: dict[str, Any], secret: str = KEY, **fields: Any) -> Hook:
    return store_webhook(verification=list(verification), secrets={"signing": secret}, **fields)


def challenges(reply: Reply) -> list[str]:
    return [value for name, value in reply.headers if name == "www-authenticate"]


@pytest.mark.parametrize(
    ("verification", "expected"),
    [
        ([BASIC], [BASIC_CHALLENGE]),
        ([BEARER], [BEARER_CHALLENGE]),
        ([{"kind": "jwt", "algorithms": ["HS256"]}], [BEARER_CHALLENGE]),
        ([{**BEARER, "prefix": "GenieKey "}], ['GenieKey realm="webhook"']),
        ([BASIC, BEARER, {"kind": "jwt", "algorithms": ["HS256"]}], [BASIC_CHALLENGE, BEARER_CHALLENGE]),
        ([{"kind": "hmac", "header": "X-Signature"}, BASIC], [BASIC_CHALLENGE]),
        ([{**BEARER, "prefix": ""}], []),
        ([{**BEARER, "header": "X-Token"}], []),
        ([{"kind": "hmac", "header": "X-Signature"}], []),
        ([{"kind": "query-key", "field": "key"}], []),
    ],
    ids=["basic", "bearer", "jwt", "another scheme", "several", "signed too", "bare", "x", "hmac", "query"],
)
def test_a_401_has_the_challenges_of_its_webhook(asgi, sqlite_database, verification, expected):
    hook = hook_with(*verification)
    missing = asgi.post(hook.path, b"{}")
    wrong = asgi.post(hook.path, b"{}", [*JSON, ("authorization", "Bearer wrong")])
    assert [(reply.status, challenges(reply)) for reply in (missing, wrong)] == [(401, expected)] * 2


def test_a_challenge_has_neither_user_nor_name_nor_secret(asgi, sqlite_database):
    hook = hook_with({"kind": "basic", "username": "canary"}, name="canary", secret="canary-secret")
    reply = asgi.post(hook.path, b"{}")
    assert "canary" not in str(reply.headers) + reply.body.decode()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
def test_a_404_is_the_same_with_and_without_authentication(asgi, sqlite_database, method):
    hook = hook_with(BASIC)
    wrong = asgi.request(method, f"{PREFIX}/{hook.id}/{'0' * 64}", headers=JSON)
    unknown = asgi.request(method, f"{PREFIX}/AAAAAAAAAA/{'0' * 64}", headers=JSON)
    assert (wrong.status, wrong.headers, wrong.body) == (404, unknown.headers, unknown.body)
    assert challenges(wrong) == []


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("HEAD", 200), ("OPTIONS", 204), ("PUT", 405)])
def test_what_starts_nothing_needs_no_credentials(asgi, sqlite_database, method, status):
    reply = asgi.request(method, hook_with(BASIC).path)
    assert (reply.status, challenges(reply)) == (status, [])


def test_a_disabled_webhook_asks_for_nothing(asgi, sqlite_database):
    reply = asgi.post(hook_with(BASIC, enabled=False).path, b"{}")
    assert (reply.status, challenges(reply)) == (403, [])


# --- clients that send credentials only after a 401 ---------------------------------------------


@pytest.fixture
def server(sqlite_database, configure) -> Iterator[AsgiServer]:
    made = AsgiServer(AsgiEndpoint().app, "httptools")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def url(server) -> str:
    return f"http://127.0.0.1:{server.port}{hook_with(BASIC, secret=PASSWORD).path}"


# urllib does not close the response to which it answers with credentials.
LEAKS_ITS_FIRST_RESPONSE = pytest.mark.filterwarnings("ignore::ResourceWarning")


def opener(url: str, password: str) -> urllib.request.OpenerDirector:
    passwords = urllib.request.HTTPPasswordMgr()
    passwords.add_password("webhook", url, BASIC["username"], password)
    return urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))


def posted(url: str) -> urllib.request.Request:
    return urllib.request.Request(url, b'{"number": 1}', dict(JSON), method="POST")


@LEAKS_ITS_FIRST_RESPONSE
def test_urllib_answers_the_challenge(url):
    with opener(url, PASSWORD).open(posted(url), timeout=10) as response:
        assert response.status == 202
    gc.collect()
    assert [row.body for row in rows("delivery")] == [b'{"number": 1}']


@LEAKS_ITS_FIRST_RESPONSE
def test_urllib_with_a_wrong_password_is_refused(url):
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener(url, "wrong").open(posted(url), timeout=10)
    caught.value.close()
    gc.collect()
    assert (caught.value.code, rows("delivery")) == (401, [])


def test_requests_sends_them_at_once(url):
    auth = (BASIC["username"].encode(), PASSWORD.encode())
    first = requests.post(url, json={"number": 1}, timeout=10)
    second = requests.post(url, json={"number": 1}, auth=auth, timeout=10)
    assert (first.status_code, first.headers["WWW-Authenticate"]) == (401, BASIC_CHALLENGE)
    assert (second.status_code, len(rows("delivery"))) == (202, 1)
