"""Handshakes: what is answered and, more than that, what is not."""

from __future__ import annotations

import json
from contextlib import suppress
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbound_webhooks.errors import (
    HandshakeForged,
    HandshakeMalformed,
    MediaTypeUnsupported,
    RequestError,
    SecretMissing,
    VerificationFailed,
)
from inbound_webhooks.event.handshakes.exchange import HandshakeRequest, HandshakeResponse
from inbound_webhooks.event.handshakes.registry import HANDSHAKES
from inbound_webhooks.event.multidict import MultiDict

SECRETS = {"signing": ("new", "old"), "verify": ("new token", "old token")}


def ask(
    name: str,
    *,
    query: str = "",
    body: object = b"",
    headers: tuple[tuple[str, str], ...] = (),
    method: str | None = None,
    secrets: dict[str, tuple[str, ...]] | None = None,
) -> HandshakeResponse | None:
    handshake = HANDSHAKES[name]
    return handshake.respond(
        HandshakeRequest(
            method=method or handshake.methods[0],
            query=MultiDict(parse_qsl(query, keep_blank_values=True)),
            headers=MultiDict(headers, ignore_case=True),
            body=body if isinstance(body, bytes) else json.dumps(body).encode(),
            secrets=SECRETS if secrets is None else secrets,
        )
    )


def text_of(answered: HandshakeResponse | None) -> str:
    assert answered is not None
    assert answered.response.status == 200
    return answered.response.body.decode()


# --- what is no handshake -------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(HANDSHAKES) - {"sns", "cloudevents"}))
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"type": null}', b"\xff"])
def test_leaves_an_ordinary_request_alone(name: str, body: bytes) -> None:
    assert ask(name, body=body, query="a=b", headers=(("Content-Type", "application/json"),)) is None


@pytest.mark.parametrize("name", HANDSHAKES)
@given(data=st.data())
def test_answers_or_refuses_whatever_comes_and_nothing_else(name: str, data: st.DataObject) -> None:
    known = st.sampled_from(
        ["challenge", "crc_token", "hub.mode", "hub.challenge", "hub.verify_token", "validationToken",
         "validationtoken", "type", "event", "payload", "data"]
    )  # fmt: skip
    json_values = st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.just("url_verification"),
                  st.just("endpoint.url_validation"), st.just("SubscriptionConfirmation")),
        lambda children: st.lists(children, max_size=2) | st.dictionaries(known, children, max_size=3),
    )  # fmt: skip
    pairs = data.draw(st.lists(st.tuples(known, st.text(max_size=20)), max_size=3))
    header = st.sampled_from(["Content-Type", "WebHook-Request-Origin", "X-Okta-Verification-Challenge"])
    request = HandshakeRequest(
        method=data.draw(st.sampled_from(HANDSHAKES[name].methods)),
        query=MultiDict(pairs),
        headers=MultiDict(data.draw(st.lists(st.tuples(header, st.text(max_size=20)))), ignore_case=True),
        body=data.draw(st.one_of(st.binary(max_size=20), json_values.map(lambda v: json.dumps(v).encode()))),
        secrets=SECRETS,
    )

    with suppress(RequestError):
        answered = HANDSHAKES[name].respond(request)
        assert answered is None or answered.response.status in (200, 204)


# --- tokens that go back --------------------------------------------------------------------

MARKUP = "<script>alert(1)</script>"


@pytest.mark.parametrize("value", ["", "a b", "a\nb", "ä", MARKUP, "a" * 513, '"', "\0"])
def test_echoes_nothing_but_a_short_token(value: str) -> None:
    quoted = "".join(f"%{byte:02x}" for byte in value.encode())
    calls = [
        lambda: ask("slack", body={"type": "url_verification", "challenge": value}),
        lambda: ask("dropbox", query=f"challenge={quoted}"),
        lambda: ask("okta", headers=(("X-Okta-Verification-Challenge", value),)),
        lambda: ask("meta", query=f"hub.mode=subscribe&hub.verify_token=new+token&hub.challenge={quoted}"),
        lambda: ask("event-grid", body=validation_event(value)),
    ]
    for call in calls:
        with pytest.raises(HandshakeMalformed):
            call()


def validation_event(code: object) -> object:
    return [
        {"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": code}}
    ]


@pytest.mark.parametrize("value", [None, 1, True, [], {}, ["a"]])
def test_echoes_no_value_that_is_not_a_text(value: object) -> None:
    for name, body in (
        ("slack", {"type": "url_verification", "challenge": value}),
        ("zoom", {"event": "endpoint.url_validation", "payload": {"plainToken": value}}),
        ("event-grid", validation_event(value)),
    ):
        with pytest.raises(HandshakeMalformed):
            ask(name, body=body)


@pytest.mark.parametrize("name", ["dropbox", "twitter", "graph", "meta"])
def test_refuses_a_token_that_is_there_twice(name: str) -> None:
    names = ("challenge", "crc_token", "validationToken", "hub.mode")

    with pytest.raises(HandshakeMalformed):
        ask(name, query="&".join(f"{name}=a&{name}=b" for name in names))


@pytest.mark.parametrize("name", ["graph", "sharepoint"])
@pytest.mark.parametrize("key", ["validationToken", "validationtoken", "VALIDATIONTOKEN"])
def test_microsofts_token_is_found_in_every_spelling(name: str, key: str) -> None:
    assert text_of(ask(name, query=f"{key}=a%3Ab+c")) == "a:b c"


def test_microsofts_token_is_decoded_once_and_cannot_become_markup() -> None:
    answered = ask("graph", query="validationToken=%3Cscript%3Ealert(1)%3C/script%3E%253C")

    assert text_of(answered) == "&lt;script&gt;alert(1)&lt;/script&gt;%3C"
    assert answered is not None
    assert answered.response.content_type == "text/plain; charset=utf-8"
    assert ("X-Content-Type-Options", "nosniff") in answered.response.all_headers


@pytest.mark.parametrize(
    "query",
    [
        "validationToken=",
        "validationToken=" + "a" * 2_001,
        "validationToken=a%0Ab",
        "validationToken=a%00",
        "validationToken=a&validationtoken=b",
    ],
)
def test_microsofts_token_has_to_be_one_short_line(query: str) -> None:
    with pytest.raises(HandshakeMalformed):
        ask("graph", query=query)


# --- Meta -----------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["new+token", "old+token"])
def test_meta_is_answered_with_any_valid_verify_token(token: str) -> None:
    query = f"hub%2Emode=subscribe&hub.challenge=1158201444&hub.verify_token={token}"

    assert text_of(ask("meta", query=query)) == "1158201444"


@pytest.mark.parametrize(
    "query",
    [
        "hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong",
        "hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
        "hub.mode=subscribe&hub.challenge=1",
        "hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=new+token",
        "hub.challenge=1&hub.verify_token=new+token",
        "hub.challenge=1",
    ],
)
def test_meta_is_not_answered_without_the_verify_token(query: str) -> None:
    with pytest.raises(HandshakeForged):
        ask("meta", query=query)


@pytest.mark.parametrize("secrets", [{}, {"verify": ()}, {"verify": ("",)}, {"signing": ("",)}])
def test_meta_is_not_answered_where_no_verify_token_was_given(secrets: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(SecretMissing):
        ask("meta", query="hub.mode=subscribe&hub.challenge=1&hub.verify_token=", secrets=secrets)


# --- signed answers are no signing oracle ---------------------------------------------------

FORGERIES = [
    '{"evil":true}',
    "v0:1700000000:{}",
    "a.b",
    "a:b",
    "a b",
    "ä",
    "",
    "a" * 129,
    "a\n",
    '"a"',
    "[1]",
]


@pytest.mark.parametrize("forged", FORGERIES)
def test_zoom_signs_no_text_that_could_be_an_event(forged: str) -> None:
    with pytest.raises(HandshakeMalformed) as refused:
        ask("zoom", body={"event": "endpoint.url_validation", "payload": {"plainToken": forged}})

    assert not forged or forged not in refused.value.message or len(forged) < 4


@pytest.mark.parametrize("forged", FORGERIES)
def test_x_signs_no_text_that_could_be_an_event(forged: str) -> None:
    quoted = "".join(f"%{byte:02x}" for byte in forged.encode())
    with pytest.raises(HandshakeMalformed):
        ask("twitter", query=f"crc_token={quoted}")


def test_zoom_is_answered_only_behind_the_signature_check() -> None:
    assert not HANDSHAKES["zoom"].before_verification
    assert not HANDSHAKES["slack"].before_verification
    assert not HANDSHAKES["discord"].before_verification
    assert not HANDSHAKES["sns"].before_verification


def test_answers_are_signed_with_the_newest_secret() -> None:
    # printf '%s' token | openssl dgst -sha256 -hmac new
    expected = "f61080aab7a35e7580d4558bddae384b25bc91a30af11afeb07468d0838d8211"

    zoom = text_of(ask("zoom", body={"event": "endpoint.url_validation", "payload": {"plainToken": "token"}}))
    x = text_of(ask("twitter", query="crc_token=token"))

    assert zoom == f'{{"plainToken":"token","encryptedToken":"{expected}"}}'
    assert x == '{"response_token":"sha256=9hCAqrejXnWA1FWL3a44SyW8kaMK8Rr+sHRo0IONghE="}'


@pytest.mark.parametrize("secrets", [{}, {"signing": ()}, {"signing": ("",)}, {"verify": ("x",)}])
def test_nothing_is_signed_without_a_secret(secrets: dict[str, tuple[str, ...]]) -> None:
    body = {"event": "endpoint.url_validation", "payload": {"plainToken": "token"}}

    with pytest.raises(SecretMissing):
        ask("zoom", body=body, secrets=secrets)
    with pytest.raises(SecretMissing):
        ask("twitter", query="crc_token=token", secrets=secrets)


@given(st.text(max_size=140))
def test_x_signs_only_bare_tokens(token: str) -> None:
    request = HandshakeRequest(
        method="GET",
        query=MultiDict([("crc_token", token)]),
        headers=MultiDict([]),
        body=b"",
        secrets=SECRETS,
    )
    bare = 0 < len(token) <= 128 and all(c.isascii() and (c.isalnum() or c in "_-+/=") for c in token)
    try:
        answered = HANDSHAKES["twitter"].respond(request)
    except HandshakeMalformed:
        assert not bare
    else:
        assert bare
        assert answered is not None


# --- Discord --------------------------------------------------------------------------------


def test_discords_ping_of_interactions_and_of_events_are_answered_each_its_way() -> None:
    interaction = ask("discord", body={"type": 1, "id": "1", "token": "t"})
    event = ask("discord", body={"type": 0, "application_id": "1", "version": 1})

    assert text_of(interaction) == '{"type":1}'
    assert event is not None
    assert (event.response.status, event.response.body) == (204, b"")


@pytest.mark.parametrize(
    "body",
    [{"type": 1, "event": {}}, {"type": 2}, {"type": True}, {"type": False}, {"type": "1"}, {"type": 1.0}],
)
def test_discords_events_are_no_ping(body: object) -> None:
    assert ask("discord", body=body) is None


# --- Amazon SNS -----------------------------------------------------------------------------

LINK = "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn&Token=1"


def test_the_link_that_confirms_is_handed_on() -> None:
    answered = ask("sns", body={"Type": "SubscriptionConfirmation", "SubscribeURL": LINK})

    assert text_of(answered) == "{}"
    assert answered is not None
    assert answered.confirm_url == LINK


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        1,
        LINK.replace("https", "http"),
        LINK.replace(".com/", ".com.evil.example/"),
        LINK.replace("sns.", "sni."),
        LINK.replace("//", "//user@"),
        LINK.replace("ConfirmSubscription", "Unsubscribe"),
        LINK + "\n",
        LINK + "\r\nX: y",
        "javascript:alert(1)",
        "https://169.254.169.254/latest/meta-data",
    ],
)
def test_no_link_is_handed_on_that_is_not_amazons(url: object) -> None:
    with pytest.raises(VerificationFailed):
        ask("sns", body={"Type": "SubscriptionConfirmation", "SubscribeURL": url})


def test_the_end_of_a_subscription_starts_nothing_and_subscribes_nothing() -> None:
    answered = ask("sns", body={"Type": "UnsubscribeConfirmation", "SubscribeURL": LINK})

    assert answered is not None
    assert (answered.response.status, answered.confirm_url) == (200, None)


def test_a_notification_is_an_event() -> None:
    assert ask("sns", body={"Type": "Notification", "Message": "m", "SubscribeURL": LINK}) is None


# --- Event Grid and CloudEvents -------------------------------------------------------------


def test_only_a_validation_event_that_comes_alone_is_one() -> None:
    event = validation_event("512d38b6")
    assert isinstance(event, list)

    assert text_of(ask("event-grid", body=event)) == '{"validationResponse":"512d38b6"}'
    assert ask("event-grid", body=event * 2) is None
    assert ask("event-grid", body=[{"eventType": "Microsoft.Storage.BlobCreated"}]) is None


def test_an_origin_is_granted_and_a_rate_only_where_one_was_asked_for() -> None:
    answered = ask("cloudevents", headers=(("webhook-request-origin", "eventgrid.azure.net"),))

    assert answered is not None
    assert answered.response.headers == (
        ("Allow", "GET, HEAD, OPTIONS, POST"),
        ("WebHook-Allowed-Origin", "eventgrid.azure.net"),
    )


@pytest.mark.parametrize("origin", ["", "a b", "a\r\nSet-Cookie: x", "ä", "a" * 254, "<script>"])
def test_an_origin_that_could_break_a_header_is_not_granted(origin: str) -> None:
    assert ask("cloudevents", headers=(("WebHook-Request-Origin", origin),)) is None


@pytest.mark.parametrize(
    "headers",
    [
        (("Content-Type", "application/cloudevents+json; charset=utf-8"),),
        (("Content-Type", "application/cloudevents-batch+json"),),
        (("Content-Type", "Application/CloudEvents+JSON"),),
        (("Content-Type", "image/png"), ("ce-id", "1")),
        (("ce-id", "1"),),
    ],
)
def test_a_cloudevent_of_either_mode_is_an_event(headers: tuple[tuple[str, str], ...]) -> None:
    assert ask("cloudevents", method="POST", headers=headers) is None


@pytest.mark.parametrize("media_type", ["", "application/json", "text/plain", "application/cloudeventsxjson"])
def test_what_is_no_cloudevent_is_refused_by_its_type(media_type: str) -> None:
    with pytest.raises(MediaTypeUnsupported):
        ask("cloudevents", method="POST", headers=(("Content-Type", media_type),))
