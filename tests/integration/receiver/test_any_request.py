"""Whatever arrives: an answer of ours, no exception, and no 5xx but the 503 that means it."""

from __future__ import annotations

import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.infrastructure.asgi_endpoint import AsgiEndpoint, Sending, scope_of
from tests.infrastructure.loop import on_the_loop
from tests.infrastructure.webhooks_builder import PREFIX, store_webhook

TOKEN_CHARS = "!#$%&'*+-.^_`|~" + string.ascii_letters + string.digits

methods = st.sampled_from(["POST", "POST", "POST", "GET", "HEAD", "OPTIONS", "PUT"]) | st.text(
    TOKEN_CHARS, min_size=1, max_size=12
)
tails = st.sampled_from(["{id}/{token}"] * 5 + ["{id}/{token}/", "{id}", "{token}", ""]) | st.text(
    max_size=90
)
# What a server lets through: control characters and spaces are refused before us.
ascii_queries = st.lists(st.integers(0x21, 0x7E), max_size=60).map(bytes)
queries = st.lists(st.integers(0x21, 0xFF), max_size=60).map(bytes)
names = st.sampled_from(
    [
        "content-type",
        "content-encoding",
        "content-length",
        "transfer-encoding",
        "host",
        "cookie",
        "authorization",
        "x-forwarded-for",
        "accept",
        "expect",
    ]
) | st.text(TOKEN_CHARS, min_size=1, max_size=20)
field_values = st.sampled_from(
    [
        "application/json",
        "text/plain; charset=idna",
        "gzip",
        "deflate",
        "multipart/form-data",
        "0",
        "-1",
        "a.b",
    ]
) | st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=40)
bodies = st.sampled_from(
    [b"", b"{}", b"[]", b'{"number": 1}', b'{"number": "\\ud800"}', b"\x1f\x8b"]
) | st.binary(max_size=200)


@pytest.fixture
def any_webhook(sqlite_database):
    """Two that read everything of a request: one whole, one by expressions."""
    template = "${Webhook::Body} ${Webhook::Headers.Host} ${Webhook::Query.a}"
    mapping = {"body": "${Webhook::Body}", "query": "${Webhook::Query}", "n": "${Webhook::Body.number}"}
    return [
        store_webhook("whole"),
        store_webhook(
            "mapped", mapping=mapping, response_content_type="text/plain", response_template=template
        ),
    ]


@given(
    method=methods,
    tail=tails,
    query=ascii_queries,
    headers=st.lists(st.tuples(names, field_values), max_size=6),
    chunks=st.lists(bodies, min_size=1, max_size=4),
    ending=st.sampled_from(["ends", "ends", "ends", "disconnects"]),
    which=st.integers(0, 1),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_request_gets_an_answer(any_webhook, asgi, method, tail, query, headers, chunks, ending, which):
    hook = any_webhook[which]
    path = f"{PREFIX}/" + tail.replace("{id}", hook.id).replace("{token}", hook.token)
    reply = asgi.request(
        method, path, query=query, headers=headers, chunks=chunks, disconnects=ending == "disconnects"
    )
    assert reply.status in (200, 202, 204, 400, 404, 405, 413, 415, 422)
    assert reply.header("x-content-type-options") == "nosniff"


@given(query=queries)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_query_is_read_or_replaced_but_never_our_problem(any_webhook, asgi, query):
    assert asgi.request("GET", any_webhook[0].path, query=query).status == 200


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("host", "[::1"),
        ("host", "ä"),
        ("host", "a b"),
        ("host", ""),
        ("content-length", "many"),
        ("content-length", "+2"),
        ("content-type", "multipart/form-data"),
        ("content-type", "ä"),
        ("cookie", "session=ä; \x7f"),
        ("authorization", "Basic ä"),
        ("x_under-score", "1"),
        ("x-forwarded-host", "elsewhere"),
    ],
)
def test_an_odd_header_does_not_keep_a_request_out(any_webhook, asgi, header, value):
    for hook in any_webhook:
        reply = asgi.request("POST", hook.path, headers=[(header, value)], chunks=[b"{}"])
        assert reply.status in (200, 202)


CONTENT_TYPES = [
    ("application/json", b'{"number": 1}', {"number": 1}),
    ("application/json; charset=utf-8", b"[1]", [1]),
    ("Application/JSON", b"1", 1),
    ("application/vnd.api+json", b'"text"', "text"),
    ("application/json", b"not JSON", "not JSON"),
    ("text/plain", b"plain", "plain"),
    ("text/plain; charset=iso-8859-1", b"\xe4", "ä"),
    ("application/xml", b"<a/>", "<a/>"),
    ("text/xml", b"<a/>", "<a/>"),
    ("application/soap+xml", b"<a/>", "<a/>"),
    ("application/octet-stream", b"\x00\xff", "AP8="),
    ("image/png", b"\x89PNG", "iVBORw=="),
    ("", b"plain", "cGxhaW4="),
    ("application/x-www-form-urlencoded", b"a=1&b=2", "YT0xJmI9Mg=="),
    ("multipart/form-data; boundary=x", b"--x--", "LS14LS0="),
]


@pytest.mark.parametrize(("content_type", "body", "expected"), CONTENT_TYPES)
def test_the_body_of_a_whole_event_is_what_its_type_says(asgi, database, content_type, body, expected):
    import json

    from tests.infrastructure.webhooks_builder import rows

    hook = store_webhook()
    headers = [("content-type", content_type)] if content_type else []
    assert asgi.post(hook.path, body, headers).status == 202
    assert json.loads(rows("delivery")[0].conf)["webhook"]["body"] == expected


def test_a_body_in_a_thousand_chunks_is_one_body(any_webhook):
    sending = Sending([b"x"] * 1000)
    on_the_loop(
        AsgiEndpoint().app(scope_of("POST", any_webhook[0].path, b"", ()), sending.receive, sending.send)
    )
    assert sending.reply().status == 202
