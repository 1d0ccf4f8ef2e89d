"""The gateway's process: what it serves, how it ends, and what slow and hostile senders get from it."""

from __future__ import annotations

import select
import socket
import threading
import time

import pytest

from tests.infrastructure.gateway_process import ANSWER_SECONDS, GatewayProcess, until_closed
from tests.infrastructure.webhooks_builder import PREFIX, change_webhook, rows, store_webhook

ORDER = b'{"number": 1}'
SOON_SECONDS = 0.5
ALLOWS_ALL = (("FORWARDED_ALLOW_IPS", "*"),)
TIMES = {"header_timeout_seconds": SOON_SECONDS, "body_timeout_seconds": SOON_SECONDS}


@pytest.fixture(scope="module")
def gateway_home(tmp_path_factory):
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def gateways(gateway_home):
    """Gateways by what they were started with; one that fits is not started again."""
    started: dict[tuple, GatewayProcess] = {}

    def gateway(database, **how) -> GatewayProcess:
        key = (database.url, *sorted(how.items()))
        if key not in started:
            variables = dict(how.pop("variables", ()))
            started[key] = GatewayProcess(gateway_home, database.url, variables=variables, **how)
        return started[key].wait()

    yield gateway
    for process in started.values():
        process.stop()


@pytest.fixture
def hook(postgres_database):
    return store_webhook()


@pytest.fixture
def gateway(gateways, postgres_database):
    """One that loses patience soon."""
    return gateways(postgres_database, keep_alive_seconds=SOON_SECONDS, **TIMES)


def path_of(hook) -> str:
    return hook.path.removeprefix("/pluginsv2")


def head(hook, *lines: str, method: str = "POST", close: bool = True) -> bytes:
    more = [*lines, "Content-Type: application/json", *(["Connection: close"] if close else [])]
    return "\r\n".join([f"{method} {path_of(hook)} HTTP/1.1", "Host: hooks", *more, "", ""]).encode()


def status(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])


# --- what it serves ---------------------------------------------------------------------------


def test_an_accepted_post_is_a_delivery(gateway, hook):
    code, _, body = gateway.request("POST", path_of(hook), ORDER)
    assert (code, [row.body for row in rows("delivery")]) == (202, [ORDER])
    assert rows("delivery")[0].id in body.decode()


@pytest.mark.long
def test_sqlite_will_do_on_one_machine(gateways, sqlite_database):
    hook = store_webhook()
    gateway = gateways(sqlite_database)
    responses = [gateway.request("POST", path_of(hook), ORDER)[0] for _ in range(5)]
    assert (responses, len(rows("delivery"))) == ([202] * 5, 5)


def test_health_says_whether_a_dispatcher_runs(gateway, hook):
    code, headers, body = gateway.request("GET", "/health")
    assert (code, headers["content-type"]) == (503, "application/json")
    assert b"no_dispatcher" in body


@pytest.mark.parametrize(
    "path", ["/", "/webhooks/api/v1/webhooks", "/pluginsv2/webhooks/", "/docs", "/metrics"]
)
def test_it_serves_nothing_else(gateway, hook, path):
    assert gateway.request("GET", path)[0] == 404


@pytest.mark.parametrize("path", ["/webhooks/api/v1/webhooks", "/health"])
def test_nothing_else_takes_a_post(gateway, hook, path):
    assert gateway.request("POST", path, ORDER)[0] == 404


def test_the_path_of_the_public_url_is_part_of_the_address(gateways, postgres_database):
    hook = store_webhook()
    gateway = gateways(postgres_database, public_url="https://hooks.example.com/in/here")
    assert gateway.request("POST", f"/in/here{path_of(hook)}", ORDER)[0] == 202
    assert gateway.request("POST", f"/in/there{path_of(hook)}", ORDER)[0] == 404


def test_the_path_of_the_public_url_may_be_stripped_by_a_proxy(gateways, postgres_database):
    hook = store_webhook()
    gateway = gateways(postgres_database, public_url="https://hooks.example.com/in/here")
    assert gateway.request("POST", path_of(hook), ORDER)[0] == 202


def test_without_a_public_url_the_path_of_airflows_own_address_may_be_kept(gateway, hook):
    assert gateway.request("POST", hook.path, ORDER)[0] == 202


def test_what_its_environment_trusts_changes_no_address(gateways, postgres_database):
    """Other servers on a host may need FORWARDED_ALLOW_IPS; only trusted_proxies counts here."""
    hook = store_webhook(allowed_addresses=["203.0.113.0/24"])
    trusting = gateways(postgres_database, trusted_proxies="10.0.0.0/8", variables=ALLOWS_ALL)
    forged = {"X_Forwarded_For": "203.0.113.7"}
    assert trusting.request("POST", path_of(hook), ORDER, **forged)[0] == 403
    listing = gateways(postgres_database, trusted_proxies="127.0.0.1/32", variables=ALLOWS_ALL)
    assert listing.request("POST", path_of(hook), ORDER, **forged)[0] == 202
    assert [row.source_ip for row in rows("delivery")] == ["203.0.113.7"]


def test_a_server_does_not_say_what_it_is(gateway, hook):
    _, headers, _ = gateway.request("POST", path_of(hook), ORDER)
    assert "server" not in headers


def test_a_request_behind_another_one_on_its_connection_is_not_let_in_by_it(gateway, hook):
    """uvicorn starts it in the context of the one before."""
    first = head(hook, f"Content-Length: {len(ORDER)}", close=False) + ORDER
    second = b"POST /health HTTP/1.1\r\nHost: hooks\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
    response = gateway.say(first + second)
    assert (response.count(b"202 Accepted"), response.count(b"404 Not Found")) == (1, 1)
    assert [row.body for row in rows("delivery")] == [ORDER]


# --- what is held for a moment --------------------------------------------------------------------


def test_a_disabled_webhook_accepts_nothing_although_it_was_just_in_use(gateway, hook):
    assert gateway.request("POST", path_of(hook), ORDER)[0] == 202
    change_webhook(hook.id, enabled=False)
    assert gateway.request("POST", path_of(hook), ORDER)[0] == 403
    assert len(rows("delivery")) == 1


def test_a_rotated_url_opens_nothing_although_it_was_just_in_use(gateway, hook):
    from inbound_webhooks.webhooks import service
    from tests.infrastructure.webhooks_builder import ACTOR

    assert gateway.request("POST", path_of(hook), ORDER)[0] == 202
    service.rotate(hook.id, actor=ACTOR)
    assert gateway.request("POST", path_of(hook), ORDER)[0] == 404
    assert gateway.request("GET", path_of(hook))[0] == 404
    # What a test before this one was refused may be written late.
    rejections = [row for row in rows("rejection") if row.webhook_id == hook.id]
    assert (len(rows("delivery")), rejections) == (1, [])


def test_a_deleted_webhook_is_unknown_although_it_was_just_in_use(gateway, hook):
    from inbound_webhooks.webhooks import service
    from tests.infrastructure.webhooks_builder import ACTOR

    assert gateway.request("POST", path_of(hook), ORDER)[0] == 202
    service.delete(hook.id, actor=ACTOR)
    assert gateway.request("POST", path_of(hook), ORDER)[0] == 404


def test_a_refused_body_is_judged_by_the_webhook_as_it_is(gateways, postgres_database, hook):
    """A body over the limit is refused before anything is committed; a webhook that is gone says nothing."""
    from inbound_webhooks.webhooks import service
    from tests.infrastructure.webhooks_builder import ACTOR

    gateway = gateways(postgres_database, max_body_bytes=100)
    assert gateway.request("POST", path_of(hook), ORDER)[0] == 202
    service.rotate(hook.id, actor=ACTOR)
    chunked = b"65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n"
    # In one piece: before it reads a body that arrives after the headers, the guard looks the webhook up.
    response = gateway.say(head(hook, "Transfer-Encoding: chunked") + chunked)
    assert status(response) == 404


# --- slow and hostile senders ---------------------------------------------------------------------


def test_headers_have_to_come_in_time(gateway, hook):
    started = time.monotonic()
    response = gateway.say(b"POST / HTTP/1.1\r\nHost: hooks\r\nX-Slow: ")
    assert status(response) == 408
    assert SOON_SECONDS * 0.9 < time.monotonic() - started < 10 * SOON_SECONDS


def test_headers_that_drip_have_no_more_time(gateway, hook):
    with gateway.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\n")
        started = time.monotonic()
        dripping = threading.Thread(target=_drip, args=(connection,), daemon=True)
        dripping.start()
        response = until_closed(connection)
    assert status(response) == 408
    assert time.monotonic() - started < 10 * SOON_SECONDS


def _drip(connection: socket.socket) -> None:
    for number in range(200):
        try:
            connection.sendall(b"X-%d: drip\r\n" % number)
        except OSError:
            return
        time.sleep(0.05)


def test_a_connection_that_says_nothing_is_closed(gateway, hook):
    assert gateway.say() == b""


def test_a_kept_connection_on_which_nothing_comes_is_closed(gateway, hook):
    with gateway.connect() as connection:
        connection.sendall(head(hook, f"Content-Length: {len(ORDER)}", close=False) + ORDER)
        response = until_closed(connection)
    assert status(response) == 202


def test_a_body_has_to_come_in_time(gateway, hook):
    response = gateway.say(head(hook, "Content-Length: 13"), b"{")
    assert (status(response), rows("delivery")) == (408, [])


def test_the_next_headers_on_a_kept_connection_have_to_come_in_time_too(gateway, hook):
    response = gateway.say(head(hook, f"Content-Length: {len(ORDER)}", close=False) + ORDER + b"POST / HT")
    assert b"202 Accepted" in response
    assert b"408 Request Timeout" in response


@pytest.mark.parametrize(
    "many", [b"X-Many: 1\r\n" * 10_000, b"X-Long: " + b"x" * 100_000], ids=["many", "long"]
)
def test_headers_without_end_are_refused(gateway, hook, many):
    response = gateway.say(b"POST / HTTP/1.1\r\nHost: hooks\r\n" + many)
    assert status(response) == 431


def test_a_sender_that_does_not_read_its_answer_is_left(gateways, postgres_database):
    """The template's answer is larger than what the sockets between them hold."""
    hook = store_webhook(response_content_type="text/plain", response_template="${Webhook::Body}" * 15)
    gateway = gateways(postgres_database, keep_alive_seconds=SOON_SECONDS, **TIMES)
    body = b"x" * 60_000
    request = (
        f"POST {path_of(hook)} HTTP/1.1\r\nHost: hooks\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", gateway.port))
        connection.sendall(request * 8)
        time.sleep(4 * SOON_SECONDS)
        received = until_closed(connection)
    assert len(received) < 8 * 15 * len(body)


def test_more_connections_than_allowed_are_closed_at_once(gateways, postgres_database, hook):
    settings = {"gateway_max_connections": 5, "gateway_address_connections_percent": 100}
    gateway = gateways(postgres_database, **settings)
    busy = [gateway.connect() for _ in range(5)]
    try:
        for connection in busy:
            connection.sendall(head(hook, "Content-Length: 13") + ORDER[:1])
        # Once the gateway has read all of their heads, there is none to make room.
        _wait_until(lambda: gateway.say(head(hook, "Content-Length: 13")) == b"")
    finally:
        for connection in busy:
            connection.close()
    _wait_until(lambda: status(gateway.say(head(hook, "Content-Length: 13"), ORDER)) == 202)


def test_bodies_that_wait_take_no_more_memory_than_allowed(gateways, postgres_database, hook):
    gateway = gateways(postgres_database, max_buffered_bytes=1_000_000)
    half_sent = [gateway.connect() for _ in range(3)]
    try:
        for connection in half_sent:
            connection.sendall(head(hook, "Content-Length: 500000") + b"x" * 499_000)
        # They are read in turn, so that it may be any of them; for the other two there is room.
        answered, _, _ = select.select(half_sent, [], [], ANSWER_SECONDS)
        responses = [connection.recv(65536) for connection in answered]
    finally:
        for connection in half_sent:
            connection.close()
    assert [status(response) for response in responses] == [503]


CHUNKED = "Transfer-Encoding: chunked"
WHOLE = b"%x\r\n%s\r\n0\r\n" % (len(ORDER), ORDER)


def test_what_stands_behind_a_body_is_no_header(gateway, hook):
    """RFC 9110, section 6.5.1: else a sender gets past a proxy that sets or removes a header."""
    behind = b"Content-Encoding: br\r\nX-Forwarded-For: 127.0.0.1\r\nX-Behind: 1\r\n\r\n"
    response = gateway.say(head(hook, CHUNKED) + WHOLE + behind)
    assert status(response) == 202
    (stored,) = rows("delivery")
    assert "127.0.0.1" not in stored.headers
    assert "X-Behind" not in stored.headers


@pytest.mark.parametrize(
    "more",
    [
        WHOLE + b"X-Many: 1\r\n" * 20_000,
        WHOLE + b"X-Long: " + b"x" * 400_000,
        b"1;" + b"x" * 400_000,
    ],
    ids=["many behind the body", "a long one behind the body", "an extension of a chunk"],
)
def test_what_is_no_body_has_an_end_behind_the_headers_too(gateways, postgres_database, hook, more):
    """It counts for no limit of a body, and the server would keep it all."""
    gateway = gateways(postgres_database, body_timeout_seconds=60)
    started = time.monotonic()
    response = gateway.say(head(hook, CHUNKED), more)
    assert time.monotonic() - started < 20
    assert (response[:12] in (b"", b"HTTP/1.1 400"), rows("delivery")) == (True, [])


def test_a_body_of_many_small_chunks_is_taken(gateway, hook):
    long = b'"' + b"x" * 40_000 + b'"'
    chunks = b"".join(b"1;a=bcdefgh\r\n%c\r\n" % byte for byte in long)
    response = gateway.say(head(hook, CHUNKED) + chunks + b"0\r\n\r\n")
    assert (status(response), [row.body for row in rows("delivery")]) == (202, [long])


def test_an_upgrade_that_loses_the_body_is_no_empty_event(gateway, hook):
    """Java's HttpClient offers HTTP/2 on plain http: https://github.com/Kludex/uvicorn/pull/2722."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB")
    response = gateway.say(head(hook, *offer, f"Content-Length: {len(ORDER)}", close=False), ORDER)
    assert status(response) in (202, 400)
    assert [row.body for row in rows("delivery")] in ([], [ORDER])
    assert (status(response) == 202) == bool(rows("delivery"))


# --- several workers, and the end -------------------------------------------------------------------


@pytest.mark.long
def test_figures_are_summed_over_the_workers(gateways, postgres_database, hook):
    gateway = gateways(postgres_database, workers=2, figures=True)
    for _ in range(40):
        assert gateway.request("POST", path_of(hook), ORDER)[0] == 202
    gateway.request("POST", f"{path_of(hook)[:-1]}x", ORDER)
    _wait_until(lambda: 'outcome="accepted"} 40.0' in gateway.figures())
    assert 'outcome="rejected.unknown_webhook"}' in gateway.figures()
    assert "inbound_webhooks_response_seconds_bucket" in gateway.figures()


def test_no_token_is_in_the_log(gateways, postgres_database, hook):
    gateway = gateways(postgres_database, figures=True)
    gateway.request("POST", path_of(hook), ORDER)
    gateway.request("POST", f"/webhok{path_of(hook)}", ORDER)
    assert hook.token not in gateway.log.read_text() + gateway.figures()


def test_what_was_accepted_is_finished_before_the_end(gateway_home, postgres_database, hook):
    gateway = GatewayProcess(gateway_home, postgres_database.url).wait()
    try:
        with gateway.connect() as connection:
            connection.sendall(head(hook, f"Content-Length: {len(ORDER)}", close=False) + ORDER[:5])
            time.sleep(0.3)
            gateway.ask_to_stop()
            _wait_until(lambda: not _is_open(gateway))
            connection.sendall(ORDER[5:])
            response = until_closed(connection)
        assert gateway.process.wait(30) == 0
    finally:
        gateway.stop()
    assert (status(response), len(rows("delivery"))) == (202, 1)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_response_that_waits_for_a_run_is_sent_when_the_gateway_stops(
    gateway_home, postgres_database, workers
):
    hook = store_webhook("waiting", wait_seconds=30)
    gateway = GatewayProcess(gateway_home, postgres_database.url, workers=workers).wait()
    try:
        with gateway.connect() as connection:
            connection.sendall(head(hook, f"Content-Length: {len(ORDER)}", close=False) + ORDER)
            _wait_until(lambda: rows("delivery"))
            gateway.ask_to_stop()
            stopped = time.monotonic()
            response = until_closed(connection)
        assert gateway.process.wait(30) == 0
        assert time.monotonic() - stopped < 10
    finally:
        gateway.stop()
    assert status(response) == 202
    assert b"\r\nlocation: " in response


def test_a_response_that_waits_for_a_run_goes_with_its_client(gateway, postgres_database, postgres_cluster):
    hook = store_webhook("waiting", wait_seconds=30)
    with gateway.connect() as connection:
        connection.sendall(head(hook, f"Content-Length: {len(ORDER)}", close=False) + ORDER)
        _wait_until(lambda: rows("delivery"))
        _wait_until(lambda: _looks_for_results(postgres_cluster))
    time.sleep(0.5)
    assert not any(_looks_for_results(postgres_cluster) for _ in range(10))


def _looks_for_results(cluster) -> bool:
    """Whether a gateway has looked for results within a moment."""
    connection = cluster.connect("airflow")
    cursor = connection.cursor()
    cursor.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%xcom%' AND query NOT LIKE '%pg_stat%' "
        "AND query_start > clock_timestamp() - interval '0.3 seconds'"
    )
    [found] = cursor.fetchone()
    connection.close()
    return bool(found)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_it_leaves_nothing_behind(gateway_home, postgres_database, workers):
    options = {"workers": workers, "figures": True, "variables": {"TMPDIR": str(gateway_home)}}
    gateway = GatewayProcess(gateway_home, postgres_database.url, **options).wait()
    try:
        assert list(gateway_home.glob("inbound-webhooks-metrics-*")) != []
        gateway.ask_to_stop()
        assert gateway.process.wait(30) == 0
    finally:
        gateway.stop()
    assert list(gateway_home.glob("inbound-webhooks-metrics-*")) == []


def _is_open(gateway: GatewayProcess) -> bool:
    try:
        gateway.connect().close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("fernet_key", [""], ids=["no key"])
def test_without_the_fernet_key_every_sender_is_put_off(gateway_home, postgres_database, hook, fernet_key):
    variables = {"AIRFLOW__CORE__FERNET_KEY": fernet_key}
    gateway = GatewayProcess(gateway_home, postgres_database.url, variables=variables).wait()
    try:
        assert gateway.request("POST", path_of(hook), ORDER)[0] == 503
    finally:
        gateway.stop()


def test_a_setting_that_is_none_is_said_in_one_line(gateway_home, postgres_database):
    gateway = GatewayProcess(gateway_home, postgres_database.url, max_body_bytes="many")
    assert gateway.process.wait(60) == 2
    assert "max_body_bytes" in gateway.log.read_text().splitlines()[-1]


def test_the_same_url_is_right_at_both_endpoints(gateway, hook):
    assert hook.path.startswith(PREFIX)
    assert gateway.request("GET", path_of(hook))[0] == 200


def _wait_until(is_so, seconds: float = 20) -> None:
    give_up_at = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
