"""Handshakes start nothing, fetch nothing and sign nothing that could pass for an event."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
from collections.abc import Iterator

import pytest

from tests.infrastructure.asgi_endpoint import JSON
from tests.infrastructure.webhooks_builder import change_webhook, rows, store_webhook
from tests.integration.receiver.signed_posts import Sender
from tests.unit.presets.signed_cases import Case, every, read

SECRET = "the consumer secret of a test"
FORGED = '{"for_user_id":"1","tweet_create_events":[]}'


def the_case(preset: str, start: str) -> Case:
    return next(case for case in read(preset) if case.name.startswith(start))


CONFIRMATION = the_case("aws-sns", "SubscriptionConfirmation")
VALIDATION = the_case("zoom", "endpoint.url_validation")


def x_signature(text: bytes) -> str:
    return "sha256=" + base64.b64encode(hmac.new(SECRET.encode(), text, hashlib.sha256).digest()).decode()


def confirm_url(sender: Sender) -> str | None:
    from inbound_webhooks.webhooks import service

    return service.get(sender.hook.id).confirm_url


@pytest.fixture
def nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever looks up a name or connects to another address fails."""

    def refuse(*where: object, **more: object) -> None:
        raise AssertionError(f"something is fetched: {where}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return None


# --- Amazon SNS -----------------------------------------------------------------------------


def test_the_link_that_confirms_is_kept_and_not_opened(sqlite_database, nothing_is_fetched):
    sender = Sender.of(CONFIRMATION)
    assert sender.send().status == 200
    assert confirm_url(sender) == json.loads(CONFIRMATION.request.body)["SubscribeURL"]
    assert (rows("delivery"), sender.rejections()) == ([], [])


def test_the_link_is_kept_without_a_change_of_the_definition(database):
    sender = Sender.of(CONFIRMATION)
    before = rows("webhook")[0]
    sender.send()
    after = rows("webhook")[0]
    assert (after.version, after.updated_at) == (before.version, before.updated_at)
    assert after.confirm_url is not None


def test_a_forged_confirmation_leaves_the_link_as_it_was(sqlite_database):
    sender = Sender.of(CONFIRMATION)
    sender.send()
    kept, message = confirm_url(sender), json.loads(CONFIRMATION.request.body)
    forged = message | {"SubscribeURL": message["SubscribeURL"] + "&Token=of-another-topic"}
    assert sender.send(body=json.dumps(forged).encode()).status == 401
    assert confirm_url(sender) == kept


def test_a_confirmation_that_comes_too_late_leaves_no_link(sqlite_database):
    from dataclasses import replace
    from datetime import timedelta

    late = replace(CONFIRMATION, now=CONFIRMATION.now + timedelta(hours=2))
    sender = Sender.of(late)
    assert sender.send().status == 401
    assert confirm_url(sender) is None


def test_a_topic_that_is_not_named_confirms_nothing(sqlite_database):
    sender = Sender.of(
        CONFIRMATION, verification=[{"kind": "sns", "topic_arns": ["arn:aws:sns:eu-west-1:1:mine"]}]
    )
    assert sender.send().status == 401
    assert confirm_url(sender) is None


@pytest.mark.parametrize("handshake", ["sns", "zoom"])
def test_a_handshake_that_trusts_its_sender_needs_a_scheme(sqlite_database, handshake):
    from inbound_webhooks.errors import InvalidDefinition

    with pytest.raises(InvalidDefinition, match=f"{handshake} requires verification of the sender"):
        store_webhook(handshake=handshake)


# --- no oracle: Zoom and X ------------------------------------------------------------------


def zoom_signature(text: str) -> str:
    secret = VALIDATION.secrets["signing"][0]
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def signed_by_zoom(body: bytes) -> tuple[tuple[str, str], ...]:
    seconds = str(int(VALIDATION.now.timestamp()))
    signature = zoom_signature(f"v0:{seconds}:{body.decode()}")
    return (*JSON, ("x-zm-request-timestamp", seconds), ("x-zm-signature", f"v0={signature}"))


def validation_of(token: str) -> bytes:
    return json.dumps({"event": "endpoint.url_validation", "payload": {"plainToken": token}}).encode()


def test_zooms_answer_is_signed_for_a_verified_sender(sqlite_database):
    body = validation_of("a-token")
    reply = Sender.of(VALIDATION).send(body=body, headers=signed_by_zoom(body))
    assert (reply.status, reply.json["encryptedToken"]) == (200, zoom_signature("a-token"))


def test_zooms_answer_is_not_for_an_unverified_sender(sqlite_database):
    sender = Sender.of(VALIDATION)
    for token in ("a-token", f"v0:1654503850:{FORGED}"):
        reply = sender.send(body=validation_of(token))
        assert reply.status == 401
        assert zoom_signature(token) not in reply.body.decode()
    assert len(sender.rejections()) == 2


@pytest.mark.parametrize("token", [f"v0:1654503850:{FORGED}", "v0:1", "a" * 129, "", "a b", "ü", "a\n"])
def test_zooms_answer_never_signs_what_could_be_an_event(sqlite_database, token):
    """Not even for who is proved: an event that quotes a token is no handshake."""
    body = validation_of(token)
    reply = Sender.of(VALIDATION).send(body=body, headers=signed_by_zoom(body))
    assert (reply.status, rows("delivery")) == (400, [])
    assert zoom_signature(token) not in reply.body.decode()


@pytest.mark.parametrize("token", [FORGED, "[]", '"a"', "a" * 129, "a b", "ü", "", "{}"])
def test_xs_answer_never_signs_what_could_be_an_event(asgi, sqlite_database, token):
    from urllib.parse import quote

    hook = store_webhook(preset="twitter", secrets={"signing": SECRET})
    reply = asgi.request("GET", hook.path, query=f"crc_token={quote(token)}".encode())
    assert reply.status == 400
    assert x_signature(token.encode()) not in reply.body.decode()


@pytest.mark.parametrize("token", ["12345", "true", "null", "anything", "a=b", "1" * 128])
def test_what_x_may_have_signed_by_anyone_is_no_event(asgi, sqlite_database, token):
    """Some of it is JSON, all of it is a text: without this who knows the URL could start runs."""
    from inbound_webhooks.receiver.instance import get_receiver

    hook = store_webhook(preset="twitter", secrets={"signing": SECRET})
    asked = asgi.request("GET", hook.path, query=f"crc_token={token.replace('=', '%3D')}".encode())
    signature = asked.json["response_token"]
    assert signature == x_signature(token.encode())
    reply = asgi.post(hook.path, token.encode(), [*JSON, ("x-twitter-webhooks-signature", signature)])
    get_receiver().rejections.flush()
    assert (reply.status, rows("delivery"), len(rows("rejection"))) == (401, [], 1)


def test_an_event_that_x_signed_is_one(asgi, sqlite_database):
    hook = store_webhook(preset="twitter", secrets={"signing": SECRET})
    headers = [*JSON, ("x-twitter-webhooks-signature", x_signature(FORGED.encode()))]
    assert asgi.post(hook.path, FORGED.encode(), headers).status == 200
    assert len(rows("delivery")) == 1


# --- before verification ---------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["microsoft-graph", "sharepoint"])
def test_microsofts_token_comes_back_as_text_that_no_browser_runs(asgi, sqlite_database, preset):
    hook = store_webhook(preset=preset, secrets={"signing": "a client state"})
    reply = asgi.post(hook.path, b"", query=b"validationToken=%3Cscript%3Ealert%281%29%3C%2Fscript%3E")
    assert (reply.status, reply.body) == (200, b"&lt;script&gt;alert(1)&lt;/script&gt;")
    assert reply.header("content-type") == "text/plain; charset=utf-8"
    assert reply.header("x-content-type-options") == "nosniff"


def test_a_disabled_webhook_answers_no_handshake_although_it_was_just_in_use(asgi, database):
    hook = store_webhook(preset="microsoft-graph", secrets={"signing": "a client state"})
    assert asgi.post(hook.path, b"", query=b"validationToken=1").status == 200
    change_webhook(hook.id, enabled=False, disabled_status=403)
    assert asgi.post(hook.path, b"", query=b"validationToken=1").status == 403


@pytest.mark.parametrize(
    "query", ["validationToken=", "validationToken=a%0d%0ab", "validationToken=1&validationtoken=2"]
)
def test_a_token_that_microsoft_would_not_send_is_refused(asgi, sqlite_database, query):
    hook = store_webhook(preset="microsoft-graph", secrets={"signing": "a client state"})
    reply = asgi.post(hook.path, b"", query=query.encode())
    assert (reply.status, rows("delivery")) == (400, [])


def test_metas_challenge_needs_the_verify_token(asgi, sqlite_database):
    hook = store_webhook(preset="meta", secrets={"signing": "the app's secret", "verify": "known to both"})
    asked = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}"
    right = asgi.request("GET", hook.path, query=asked.format(token="known+to+both").encode())
    wrong = asgi.request("GET", hook.path, query=asked.format(token="guessed").encode())
    assert (right.status, right.body) == (200, b"1158201444")
    assert (wrong.status, b"1158201444" in wrong.body, b"known" in wrong.body) == (403, False, False)


def test_cloudevents_ask_with_options_and_get_their_origin(asgi, sqlite_database):
    hook = store_webhook(preset="cloudevents")
    asked = [("webhook-request-origin", "eventgrid.azure.net"), ("webhook-request-rate", "120")]
    reply = asgi.request("OPTIONS", hook.path, headers=asked)
    granted = [reply.header(f"webhook-allowed-{what}") for what in ("origin", "rate")]
    assert (reply.status, granted) == (200, ["eventgrid.azure.net", "*"])
    assert rows("delivery") == []


def test_cloudevents_fetch_no_callback(asgi, sqlite_database, nothing_is_fetched):
    hook = store_webhook(preset="cloudevents")
    asked = [("webhook-request-origin", "a.example"), ("webhook-request-callback", "https://a.example/")]
    assert asgi.request("OPTIONS", hook.path, headers=asked).status == 200


@pytest.mark.parametrize("origin", ["a b", "a\x0bb", "ü.example", "a" * 300, "", "<script>"])
def test_an_origin_that_is_none_is_granted_nothing(asgi, sqlite_database, origin):
    hook = store_webhook(preset="cloudevents")
    reply = asgi.request("OPTIONS", hook.path, headers=[("webhook-request-origin", origin)])
    assert (reply.status, reply.header("webhook-allowed-origin")) == (204, None)


@pytest.mark.parametrize("preset", ["github", "stripe", None])
def test_options_of_others_name_the_methods_alone(asgi, sqlite_database, preset):
    hook = store_webhook(preset=preset, secrets={"signing": "a secret"} if preset else {})
    reply = asgi.request("OPTIONS", hook.path, headers=[("webhook-request-origin", "a.example")])
    assert (reply.status, reply.body, reply.header("webhook-allowed-origin")) == (204, b"", None)


@pytest.mark.parametrize(
    "case", [case for case in every("answered") if case.request.method == "GET"], ids=str
)
def test_a_handshake_by_get_is_none_by_post(sqlite_database, case):
    """Else a delivery could be taken for one, and be lost."""
    sender = Sender.of(case)
    reply = sender.endpoint.request(
        "POST", sender.hook.path, query=case.request.query_string.encode(), headers=JSON
    )
    assert reply.body != case.response["body"].encode()
