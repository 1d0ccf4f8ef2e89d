"""The answer to each kind of request, and what stays of it in the database."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator

import pytest

from tests.infrastructure.asgi_endpoint import JSON
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import PREFIX, change_webhook, rows, runs, states, store_webhook

SAFETY = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'",
    "cache-control": "no-store",
}
LIMIT = 2 * 1024 * 1024
ORDER = b'{"number": 1}'
ALLOW = "GET, HEAD, OPTIONS, POST"


def json_of(size: int) -> bytes:
    """A JSON body of exactly so many bytes."""
    frame = b'{"number": 1, "rest": ""}'
    return frame[:-2] + b"x" * (size - len(frame)) + frame[-2:]


def noted_rejections() -> list:
    from inbound_webhooks.receiver.instance import get_receiver

    get_receiver().rejections.flush()
    return rows("rejection")


# --- accepted -------------------------------------------------------------------------------


def test_an_accepted_request_is_answered_202_with_the_id_of_its_delivery(asgi, orders):
    reply = asgi.post(orders.path, ORDER)
    (stored,) = rows("delivery")
    assert (reply.status, reply.json) == (202, {"status": "accepted", "delivery_id": stored.id})
    assert (stored.state, json.loads(stored.conf), stored.body) == ("accepted", {"number": 1}, ORDER)
    assert reply.header("content-type") == "application/json"


@pytest.mark.parametrize(
    ("content_type", "template", "answered_type", "answered"),
    [
        (
            "application/json",
            '{"got": ${Webhook::Body.number}}',
            "application/json",
            b'{"got": 1}',
        ),
        ("text/plain", "got ${Webhook::Body.number}", "text/plain; charset=utf-8", b"got 1"),
        ("text/xml", "<n>${Webhook::Body.number}</n>", "text/xml; charset=utf-8", b"<n>1</n>"),
        ("application/xml", "<n/>", "application/xml; charset=utf-8", b"<n/>"),
    ],
    ids=["json", "text", "xml", "application xml"],
)
def test_a_template_is_answered_with_its_type_and_200(
    asgi, sqlite_database, content_type, template, answered_type, answered
):
    hook = store_webhook(response_content_type=content_type, response_template=template)
    reply = asgi.post(hook.path, ORDER)
    assert (reply.status, reply.header("content-type"), reply.body) == (200, answered_type, answered)


@pytest.mark.parametrize("template", ["thanks", None], ids=["with a template", "without"])
def test_a_webhooks_own_status_is_answered(asgi, sqlite_database, template):
    options = {"response_content_type": "text/plain"} if template else {}
    hook = store_webhook(response_template=template, response_status=201, **options)
    assert asgi.post(hook.path, ORDER).status == 201


@pytest.mark.parametrize("status", [204, 205])
def test_a_status_that_has_no_body_is_answered_without_one(asgi, sqlite_database, status):
    hook = store_webhook(response_status=status)
    reply = asgi.post(hook.path, ORDER)
    assert (reply.status, reply.body) == (status, b"")


def test_a_template_that_does_not_fit_the_data_gives_the_default_answer(asgi, sqlite_database):
    hook = store_webhook(response_template="${Webhook::Body.a | tojson}{# #}")
    change_webhook(hook.id, response_template='{"a": {{ body.a + body.b }}}')
    reply = asgi.post(hook.path, b'{"a": 1, "b": "x"}')
    assert (reply.status, reply.json["status"]) == (202, "accepted")


def test_the_source_address_of_a_delivery_is_the_clients(asgi, sqlite_orders):
    asgi.post(sqlite_orders.path, ORDER)
    assert rows("delivery")[0].source_ip == "192.0.2.7"


def test_a_dag_that_is_not_there_yet_does_not_keep_a_request_out(asgi, database):
    hook = store_webhook(dag_id="of tomorrow")
    assert asgi.post(hook.path, ORDER).status == 202
    assert states() == ["accepted"]


def test_a_body_in_chunks_is_the_same_delivery(asgi, sqlite_orders):
    reply = asgi.request("POST", sqlite_orders.path, headers=JSON, chunks=[b'{"num', b"", b'ber": 5}'])
    assert reply.status == 202
    assert rows("delivery")[0].conf == '{"number":5}'


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
    ids=["gzip", "deflate", "identity"],
)
def test_a_compressed_body_is_read_and_stored_as_it_was_sent(asgi, sqlite_orders, encoding, encode):
    sent = encode(ORDER)
    reply = asgi.post(sqlite_orders.path, sent, [*JSON, ("content-encoding", encoding)])
    (stored,) = rows("delivery")
    assert (reply.status, stored.conf, stored.body) == (202, '{"number":1}', sent)


@pytest.mark.parametrize("size", [2_000_000, LIMIT], ids=str)
def test_a_body_up_to_the_limit_is_accepted_whole(asgi, orders, size):
    assert asgi.post(orders.path, json_of(size)).status == 202
    assert len(rows("delivery")[0].body) == size


# --- verification ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_verification_is_answered_and_starts_nothing(asgi, orders, method):
    reply = asgi.request(method, orders.path)
    assert reply.status == 200
    assert (rows("delivery"), runs(), noted_rejections()) == ([], [], [])


def test_a_verification_answers_from_query_and_headers(asgi, sqlite_database):
    template = "${Webhook::Query.hub.challenge} of ${Webhook::Headers.X-Sender}"
    hook = store_webhook(response_content_type="text/plain", response_template=template)
    reply = asgi.request("GET", hook.path, query=b"hub.challenge=a%20b", headers=[("x-sender", "us")])
    assert (reply.status, reply.body) == (200, b"a b of us")


def test_a_head_request_is_answered_without_a_body(asgi, sqlite_orders):
    assert asgi.request("HEAD", sqlite_orders.path).body == b""


@pytest.mark.parametrize("path", [f"{PREFIX}/x/y", f"{PREFIX}/AAAAAAAAAA/{'0' * 64}"])
def test_a_head_request_that_is_refused_has_no_body_either(asgi, sqlite_orders, path):
    reply = asgi.request("HEAD", path)
    assert (reply.status, reply.body) == (404, b"")


def test_options_are_answered_with_the_methods(asgi, sqlite_orders):
    reply = asgi.request("OPTIONS", sqlite_orders.path)
    assert (reply.status, reply.header("allow"), reply.body) == (204, ALLOW, b"")
    assert rows("delivery") == []


# --- refused before the body is looked at ---------------------------------------------------


def wrong_paths(hook) -> dict[str, str]:
    other = "0" * 64
    return {
        "wrong token": f"{PREFIX}/{hook.id}/{other}",
        "unknown id": f"{PREFIX}/AAAAAAAAAA/{hook.token}",
        "both": f"{PREFIX}/AAAAAAAAAA/{other}",
        "id too short": f"{PREFIX}/{hook.id[1:]}/{hook.token}",
        "id with a quote": f"{PREFIX}/'{hook.id[1:]}/{hook.token}",
        "token too short": f"{PREFIX}/{hook.id}/{hook.token[1:]}",
        "token in capitals": f"{PREFIX}/{hook.id}/{hook.token.upper()}A",
        "token masked": f"{PREFIX}/{hook.id}/***",
        "a slash behind": f"{hook.path}/",
        "a slash more": f"{PREFIX}//{hook.id}/{hook.token}",
        "something behind": f"{hook.path}/more",
        "a line break behind": f"{hook.path}\n",
        "no token": f"{PREFIX}/{hook.id}",
        "nothing": f"{PREFIX}/",
        "not ascii": f"{PREFIX}/ä/\udcff",
    }


WRONG_PATHS = list(wrong_paths(type("Hook", (), {"id": "a" * 10, "token": "b" * 64, "path": ""})))


@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
@pytest.mark.parametrize("case", WRONG_PATHS)
def test_all_wrong_urls_get_the_same_404(asgi, sqlite_orders, case, method):
    expected = asgi.request(method, f"{PREFIX}/{sqlite_orders.id}/{'0' * 64}")
    reply = asgi.request(method, wrong_paths(sqlite_orders)[case], headers=JSON, chunks=[ORDER])
    assert reply.status == 404
    assert (reply.body, reply.headers) == (expected.body, expected.headers)
    assert (rows("delivery"), noted_rejections()) == ([], [])


@pytest.mark.parametrize("inside", ["//webhook", "///webhook", "/./webhook", "/x/../webhook", "/Webhook"])
def test_no_other_spelling_of_the_path_leads_past_the_guard(asgi, sqlite_orders, inside):
    path = sqlite_orders.path.replace("/webhook", inside, 1)
    reply = asgi.post(path, ORDER)
    assert (reply.status, reply.header("location")) == (404, None)
    assert rows("delivery") == []


def test_a_wrong_token_has_no_byte_of_its_body_read(asgi, sqlite_orders):
    reply = asgi.request("POST", f"{PREFIX}/{sqlite_orders.id}/{'0' * 64}", headers=JSON, chunks=[ORDER] * 9)
    assert (reply.status, reply.chunks_read) == (404, 0)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "post"])
def test_other_methods_are_answered_405_with_those_that_are_allowed(asgi, sqlite_orders, method):
    reply = asgi.request(method, sqlite_orders.path, chunks=[ORDER])
    assert (reply.status, reply.header("allow"), reply.chunks_read) == (405, ALLOW, 0)
    assert [(row.method, row.status) for row in noted_rejections()] == [(method, 405)]


@pytest.mark.parametrize(("status", "retry_after"), [(403, None), (503, "60")])
def test_a_disabled_webhook_answers_as_it_is_set(asgi, database, status, retry_after):
    hook = store_webhook(enabled=False, disabled_status=status)
    reply = asgi.post(hook.path, ORDER)
    assert (reply.status, reply.header("retry-after"), reply.chunks_read) == (status, retry_after, 0)
    assert rows("delivery") == []
    assert [row.status for row in noted_rejections()] == [status]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_disabled_webhook_verifies_nothing(asgi, sqlite_database, method):
    hook = store_webhook(enabled=False)
    assert asgi.request(method, hook.path).status == 403


@pytest.mark.parametrize("known", [True, False], ids=["right token", "wrong token"])
def test_a_declared_length_over_the_limit_is_refused_before_a_byte_is_read(asgi, sqlite_orders, known):
    path = sqlite_orders.path if known else f"{PREFIX}/AAAAAAAAAA/{'0' * 64}"
    length = [("content-length", str(LIMIT + 1))]
    reply = asgi.request("POST", path, headers=[*JSON, *length], chunks=[b"x"] * 5)
    assert (reply.status, reply.chunks_read) == (413, 0)


# --- refused with its body ------------------------------------------------------------------


def test_a_body_over_the_limit_without_a_length_is_refused_while_it_arrives(asgi, orders):
    reply = asgi.request("POST", orders.path, headers=JSON, chunks=[b"x" * 500_000] * 100)
    assert (reply.status, reply.chunks_read) == (413, 5)
    assert rows("delivery") == []


def test_a_body_one_byte_over_the_limit_is_refused(asgi, sqlite_orders):
    body = json_of(LIMIT + 1)
    assert asgi.post(sqlite_orders.path, body).status == 413
    assert asgi.request("POST", sqlite_orders.path, headers=JSON, chunks=[body]).status == 413
    assert rows("delivery") == []


@pytest.mark.parametrize("size", [LIMIT + 1, 200 * 1024 * 1024], ids=["by one byte", "as a bomb"])
def test_a_body_that_inflates_over_the_limit_is_refused(asgi, sqlite_orders, size):
    packed = gzip.compress(b" " * size)
    reply = asgi.post(sqlite_orders.path, packed, [*JSON, ("content-encoding", "gzip")])
    assert (reply.status, rows("delivery")) == (413, [])
    assert [row.status for row in noted_rejections()] == [413]


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "nonsense"])
def test_another_content_encoding_is_refused(asgi, sqlite_orders, encoding):
    reply = asgi.post(sqlite_orders.path, ORDER, [*JSON, ("content-encoding", encoding)])
    assert (reply.status, rows("delivery")) == (415, [])


def test_a_body_that_does_not_arrive_in_time_is_refused(asgi, sqlite_orders, configure):
    configure(body_timeout_seconds=0.1)
    reply = asgi.request("POST", sqlite_orders.path, headers=JSON, chunks=[b'{"number":'], stalls=True)
    assert (reply.status, rows("delivery")) == (408, [])
    assert [row.status for row in noted_rejections()] == [408]


def test_the_time_for_a_body_is_for_the_whole_of_it(asgi, sqlite_orders, configure):
    import asyncio

    configure(body_timeout_seconds=0.2)
    reply = asgi.request(
        "POST",
        sqlite_orders.path,
        headers=JSON,
        chunks=[b"x"] * 100,
        before_each_chunk=lambda: asyncio.sleep(0.05),
    )
    assert (reply.status, rows("delivery")) == (408, [])


def test_the_time_for_a_body_includes_its_first_part(asgi, sqlite_orders, configure):
    import asyncio

    configure(body_timeout_seconds=0.4)
    reply = asgi.request(
        "POST",
        sqlite_orders.path,
        headers=JSON,
        chunks=[b"{", b"}"],
        before_each_chunk=lambda: asyncio.sleep(0.3),
    )
    assert (reply.status, rows("delivery")) == (408, [])


@pytest.mark.parametrize("difference", [-1, 1], ids=["more", "fewer"])
def test_a_body_of_another_length_than_declared_is_refused(asgi, sqlite_orders, difference):
    headers = [*JSON, ("content-length", str(len(ORDER) + difference))]
    reply = asgi.request("POST", sqlite_orders.path, headers=headers, chunks=[ORDER])
    assert (reply.status, rows("delivery")) == (400, [])


@pytest.mark.parametrize("headers", [JSON, [*JSON, ("content-length", "13")]], ids=["chunked", "length"])
def test_a_sender_that_breaks_off_leaves_no_delivery(asgi, orders, headers):
    reply = asgi.request("POST", orders.path, headers=headers, chunks=[ORDER], disconnects=True)
    assert (reply.status, rows("delivery")) == (400, [])
    assert [row.status for row in noted_rejections()] == [400]


# --- refused for its content, and kept ------------------------------------------------------


def test_json_that_is_none_is_refused_where_an_expression_needs_it(asgi, orders):
    reply = asgi.post(orders.path, b'{"number": ')
    assert (reply.status, reply.json["status"]) == (400, "refused")
    assert "line 1" in reply.json["error"]
    (stored,) = rows("delivery")
    assert (stored.state, stored.body, stored.response_status) == ("refused", b'{"number": ', 400)


def test_json_that_is_none_is_accepted_where_no_expression_needs_it(asgi, database):
    hook = store_webhook(mapping={"user": "${Webhook::Query.user}"})
    reply = asgi.post(hook.path, b'{"number": ', query=b"user=john")
    assert (reply.status, rows("delivery")[0].conf) == (202, '{"user":"john"}')


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"\xff\xfe"),
        ("application/json; charset=utf-8", b"[1,"),
        ("application/vnd.api+json", b"NaN"),
        ("application/x-www-form-urlencoded", b"number=\xff"),
    ],
)
def test_a_body_that_is_not_what_its_type_says_is_refused(asgi, sqlite_orders, content_type, body):
    reply = asgi.post(sqlite_orders.path, body, [("content-type", content_type)])
    assert (reply.status, reply.json["status"], states()) == (400, "refused", ["refused"])


@pytest.mark.parametrize("status", [422, 202])
def test_a_value_that_breaks_the_params_is_answered_as_the_webhook_is_set(asgi, orders, status):
    change_webhook(orders.id, invalid_status=status)
    reply = asgi.post(orders.path, b'{"number": "many"}')
    assert (reply.status, reply.json["status"], reply.json["parameter"]) == (status, "refused", "number")
    assert "integer" in reply.json["error"]
    assert (states(), noted_rejections()) == (["refused"], [])


def test_a_param_without_a_value_and_without_a_default_is_named(asgi, sqlite_database):
    from airflow.sdk import Param

    store_dag("orders", params={"customer": Param(type="string")})
    reply = asgi.post(store_webhook(mapping={"number": "1"}).path, ORDER)
    assert (reply.status, reply.json["parameter"], states()) == (422, "customer", ["refused"])


def test_a_value_that_the_database_cannot_hold_is_refused(asgi, database):
    hook = store_webhook(mapping={"text": "${Webhook::Body.text}"})
    reply = asgi.post(hook.path, b'{"text": "a\\u0000b"}')
    assert (reply.status, reply.json["parameter"], states()) == (422, "text", ["refused"])


# --- every answer ---------------------------------------------------------------------------


def every_kind_of_answer(asgi, hook) -> Iterator:
    """One reply of each status that a request alone can bring about."""
    yield asgi.post(hook.path, ORDER)
    yield asgi.post(hook.path, b'{"number": "many"}')
    yield asgi.post(hook.path, b"{")
    yield asgi.post(hook.path, ORDER, [*JSON, ("content-encoding", "br")])
    yield asgi.request("POST", hook.path, chunks=[ORDER], disconnects=True)
    yield asgi.request("POST", hook.path, headers=[("content-length", str(LIMIT + 1))])
    yield asgi.request("POST", hook.path, chunks=[b"x" * LIMIT, b"x"])
    yield asgi.request("POST", hook.path, chunks=[b"{"], stalls=True)
    for method in ("GET", "HEAD", "OPTIONS", "PUT"):
        yield asgi.request(method, hook.path)
        yield asgi.request(method, f"{hook.path}0")
    change_webhook(hook.id, enabled=False)
    yield asgi.post(hook.path, ORDER)
    change_webhook(hook.id, enabled=False, disabled_status=503)
    yield asgi.post(hook.path, ORDER)


def test_every_answer_is_safe_to_open_in_a_browser_and_sets_no_cookie(asgi, sqlite_orders, configure):
    configure(body_timeout_seconds=0.1)
    seen = set()
    for reply in every_kind_of_answer(asgi, sqlite_orders):
        seen.add(reply.status)
        assert {name: reply.header(name) for name in SAFETY} == SAFETY, reply
        assert reply.header("set-cookie") is None
    assert seen == {200, 202, 204, 400, 403, 404, 405, 408, 413, 415, 422, 503}


def test_every_request_error_has_a_status():
    from inbound_webhooks.errors import BacklogFull, RequestError
    from inbound_webhooks.event.responses import STATUS

    # Held deliveries are a backlog too.
    assert set(leaves(RequestError)) == set(STATUS) - {BacklogFull}
    assert {status // 100 for status in STATUS.values()} == {4, 5}


def test_only_our_own_problems_are_answered_5xx_and_what_is_too_much_429():
    from inbound_webhooks.errors import LimitReached, Unavailable
    from inbound_webhooks.event.responses import STATUS

    for error, status in STATUS.items():
        assert (status in (429, 503)) == issubclass(error, Unavailable), error
        assert (status == 429) == issubclass(error, LimitReached), error


def leaves(error: type) -> Iterator[type]:
    below = error.__subclasses__()
    if not below:
        yield error
    for subclass in below:
        yield from leaves(subclass)
