"""The three data sources of a request, and what of it may be shown."""

from __future__ import annotations

import json

import pytest

from inbound_webhooks.errors import BodyMalformed
from inbound_webhooks.event.body import Body
from inbound_webhooks.event.forms import MAX_FORM_FIELDS
from inbound_webhooks.event.multidict import MultiDict, SingleValue, title_case
from inbound_webhooks.event.redaction import is_credential, mask_headers, mask_query, without_credentials
from tests.unit.event.builders import FORM, JSON, request, sources

# --- the body's type ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "text"),
    [
        ("application/json", '{"a": "ü"}'),
        ("application/json; charset=utf-8", '{"a": "ü"}'),
        ("APPLICATION/JSON ;x=y", '{"a": "ü"}'),
        ("application/cloudevents+json", '{"a": "ü"}'),
        ("application/vnd.api+json; v=1", '{"a": "ü"}'),
        ("application/xml", '{"a": "ü"}'),
        ("text/xml", '{"a": "ü"}'),
        ("application/soap+xml; action=x", '{"a": "ü"}'),
        ("text/plain", '{"a": "ü"}'),
        ("text/plain; charset=UTF-8", '{"a": "ü"}'),
        ('text/plain; charset="utf-8"', '{"a": "ü"}'),
        ("text/plain; charset=iso-8859-1", '{"a": "Ã¼"}'),
        ("application/octet-stream", "eyJhIjogIsO8In0="),
        ("application/x-www-form-urlencoded", "eyJhIjogIsO8In0="),
        ("text/csv", "eyJhIjogIsO8In0="),
        ("multipart/form-data; boundary=x", "eyJhIjogIsO8In0="),
        ("application/jsonp", "eyJhIjogIsO8In0="),
        ("nonsense", "eyJhIjogIsO8In0="),
        ("", "eyJhIjogIsO8In0="),
    ],
)
def test_the_type_decides_between_text_and_base64(content_type, text):
    assert sources('{"a": "ü"}'.encode(), content_type).body.text == text


def test_a_charset_is_ignored_for_json_which_is_utf8():
    assert sources('{"a": "ü"}'.encode(), "application/json; charset=latin-1").body.value == {"a": "ü"}


@pytest.mark.parametrize(
    ("charset", "encoded", "text"),
    [
        ("utf-16", b"\xff\xfe\xfc\x00", "ü"),
        ("windows-1252", b"\xfc\x80", "ü€"),
        ("ISO-8859-15", b"\xa4", "€"),
        ("Shift_JIS", b"\x93\xfa\x96\x7b", "日本"),
        ("gb2312", b"\xc8\xd5\xb1\xbe", "日本"),
    ],
)
def test_text_is_decoded_by_its_charset(charset, encoded, text):
    assert sources(encoded, f"text/plain; charset={charset}").body.text == text


@pytest.mark.parametrize("content_type", [JSON, "text/plain", "application/xml"])
def test_a_byte_order_mark_is_not_part_of_the_text(content_type):
    assert sources(b'\xef\xbb\xbf{"a": 1}', content_type).body.text == '{"a": 1}'


@pytest.mark.parametrize("content_type", [JSON, "text/plain", "text/xml", "text/plain; charset=us-ascii"])
@pytest.mark.parametrize(
    "content", [b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\xaf"'], ids=["ff", "CESU", "overlong"]
)
def test_bytes_that_are_not_their_charset_are_malformed(content_type, content):
    with pytest.raises(BodyMalformed, match="invalid byte at position 1"):
        _ = sources(content, content_type).body.text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{",
        b"{'a': 1}",
        b"[1,]",
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e400",
        b'{"a":1}x',
        b"nul",
        b"9" * 4301,
        b"[" * 101 + b"]" * 101,
        b"[" * 100_000,
        b'"\x01"',
        b"\xfe\xff\x00{",
    ],
    ids=lambda content: str(content[:12]),
)
def test_a_json_body_that_is_not_json_is_malformed(content):
    with pytest.raises(
        BodyMalformed, match=r"(Content-Type is JSON, but the body is not: .+|not utf-8 text: .+)\."
    ):
        _ = sources(content).body.value


def test_what_a_body_says_twice_it_means_the_second_time():
    assert sources(b'{"a": 1, "a": 2}').body.value == {"a": 2}


@pytest.mark.parametrize(
    ("content", "content_type", "shown"),
    [
        (b'{"a": 1}', JSON, {"a": 1}),
        (b'{"a": ', JSON, '{"a": '),
        (b"\xff", JSON, "/w=="),
        (b"\xff", "text/plain", "/w=="),
        (b"hello", "text/plain", "hello"),
        (b"a=1", FORM, "YT0x"),
        (b"", "", ""),
    ],
)
def test_the_whole_event_always_has_a_body(content, content_type, shown):
    assert sources(content, content_type).body.value_or_text == shown


# --- forms, queries, headers ----------------------------------------------------------------


def test_a_form_has_a_highest_number_of_fields():
    form = b"&".join([b"a=1"] * (MAX_FORM_FIELDS + 1))
    with pytest.raises(BodyMalformed, match=str(MAX_FORM_FIELDS)):
        _ = sources(form, FORM).body.properties


@pytest.mark.parametrize(
    ("query", "lists"),
    [
        ("", {}),
        ("a=1", {"a": ["1"]}),
        ("a=1&a=2&b=3", {"a": ["1", "2"], "b": ["3"]}),
        ("a", {"a": [""]}),
        ("a=", {"a": [""]}),
        ("=1", {"": ["1"]}),
        ("a=b=c", {"a": ["b=c"]}),
        ("a+b=c+d%2B", {"a b": ["c d+"]}),
        ("a=%C3%BC", {"a": ["ü"]}),
        ("a=%", {"a": ["%"]}),
        ("a=1;b=2", {"a": ["1;b=2"]}),
        ("&&a=1&", {"a": ["1"]}),
    ],
)
def test_a_query_is_an_object_of_lists(query, lists):
    assert sources(query=query).query.lists == lists


def test_an_only_value_is_bare_and_several_are_a_list():
    values = MultiDict([("a", "1"), ("b", "2"), ("b", "3")])
    assert values["a"] == SingleValue("1")
    assert isinstance(values["a"], SingleValue)
    assert values["b"] == ["2", "3"]
    assert "c" not in values


def test_a_look_up_copies_no_list():
    """It would cost as much as there are values, in each of a webhook's expressions."""
    values = MultiDict([("b", "2"), ("b", "3")])
    first, second = values["b"], values["b"]
    assert first is second


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x-github-event", "X-Github-Event"),
        ("X-GITHUB-EVENT", "X-Github-Event"),
        ("host", "Host"),
        ("x--y-", "X--Y-"),
        ("ce_id", "Ce_id"),
        ("", ""),
    ],
)
def test_header_names_are_in_title_case(name, shown):
    assert title_case(name) == shown


def test_a_header_is_found_by_any_spelling_and_the_first_one_counts():
    made = request(content_type="", headers=(("x-id", "1"), ("X-ID", "2")))
    assert made.header("X-Id") == "1"
    assert made.header("missing") == ""


def test_the_delivery_is_an_object():
    assert json.dumps(sources().delivery)
    assert set(sources().delivery) == {"id", "received_at", "webhook", "source_ip", "event_type"}


# --- credentials ----------------------------------------------------------------------------

CREDENTIALS = [
    "Authorization",
    "Proxy-Authorization",
    "Cookie",
    "X-Api-Key",
    "X-Apikey",
    "X-Auth-Token",
    "X-Gitlab-Token",
    "X-Hub-Signature",
    "X-Hub-Signature-256",
    "X-Shopify-Hmac-Sha256",
    "Stripe-Signature",
    "X-Slack-Signature",
    "X-Amz-Security-Token",
    "X-Access-Key",
    "X-Client-Secret",
    "X-Session-Id",
    "X-Functions-Key",
    "Ocp-Apim-Subscription-Key",
]
HARMLESS = [
    "Host",
    "Content-Type",
    "User-Agent",
    "X-Github-Event",
    "X-Github-Delivery",
    "X-Github-Hook-Id",
    "X-Gitlab-Event",
    "X-Shopify-Topic",
    "Idempotency-Key",
    "I-Twilio-Idempotency-Token",
    "X-Slack-Request-Timestamp",
]
SECRET = "s3cr3t-value"


@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_credential_header_is_masked_and_left_out(name):
    headers = sources(content_type="", headers=((name.lower(), SECRET), ("Host", "h"))).headers
    assert without_credentials(headers) == {"Host": ["h"]}
    assert mask_headers([(name, SECRET), ("Host", "h")]) == ([(name, "***"), ("Host", "h")], [(0, SECRET)])


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_header_is_shown(name):
    assert not is_credential(name)
    assert mask_headers([(name, "v")]) == ([(name, "v")], [])


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "access_token",
        "validationToken",
        "sig",
        "signature",
        "code",
        "key",
        "apikey",
        "api-key",
        "api_key",
        "access_key",
        "password",
        "passwd",
        "client_secret",
        "auth",
        "%74oken",
        "auth%5Btoken%5D",
        "TOKEN",
        "my+token",
    ],
)
def test_a_credential_in_the_query_is_masked(name):
    masked = mask_query(f"a=1&{name}={SECRET}&b=2")
    assert masked == f"a=1&{name}=***&b=2"


@pytest.mark.parametrize(
    "query",
    ["", "a=1", "a=%C3%BC&b=c+d", "a", "&&", "=x", "user=john&page=2", "a=b=c", "postcode=1&keyboard=2"],
)
def test_a_query_without_credentials_is_shown_as_sent(query):
    assert mask_query(query) == query


def test_each_of_several_credentials_is_masked():
    assert mask_query(f"token={SECRET}&token={SECRET}2&token") == "token=***&token=***&token"


def test_two_content_encodings_are_one_header_that_is_not_supported():
    both = request(headers=[("Content-Encoding", "gzip"), ("Content-Encoding", "br")])
    assert both.combined_header("content-encoding") == "gzip, br"


def test_an_address_that_a_proxy_wrote_down_is_not_shown():
    assert is_credential("X-Original-URI")
    assert is_credential("X-Forwarded-Uri")


def test_a_source_counts_as_yes_where_it_holds_something():
    assert not MultiDict([])
    assert MultiDict([("a", "")])
    assert not Body(b"", "text/plain")
    assert "a" in Body(b'{"a": 1}', "application/json")
