"""Whose address counts: the peer's, unless a proxy that is trusted says whom it speaks for."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from tests.infrastructure.asgi_endpoint import JSON, PEER, AsgiEndpoint, scope_of
from tests.infrastructure.webhooks_builder import rows, store_webhook

ORDER = b'{"number": 1}'
PROXY, INNER_PROXY, SENDER = "10.0.0.1", "10.0.0.2", "203.0.113.7"


def source_of(peer: str, *forwarded_for: str, trusted: str = "10.0.0.0/8") -> str:
    from inbound_webhooks.receiver.client_address import source_address, trusted_proxies
    from inbound_webhooks.settings import Settings

    return source_address(peer, forwarded_for, trusted_proxies(Settings(trusted_proxies=trusted)))


@pytest.mark.parametrize("trusted", ["", "192.168.0.0/16"])
def test_an_untrusted_peer_cannot_name_another_client(trusted):
    assert source_of(PROXY, SENDER, trusted=trusted) == PROXY


def test_a_trusted_proxy_says_whom_it_speaks_for():
    assert source_of(PROXY, SENDER) == SENDER


def test_what_the_sender_wrote_itself_does_not_count():
    assert source_of(PROXY, f"198.51.100.1, {PROXY}, {SENDER}") == SENDER


@pytest.mark.parametrize("values", [(f"1.2.3.4, {SENDER}, {INNER_PROXY}",), ("1.2.3.4", SENDER, INNER_PROXY)])
def test_several_proxies_are_passed_whether_in_one_header_or_in_several(values):
    assert source_of(PROXY, *values) == SENDER


def test_the_first_of_nothing_but_proxies_counts():
    assert source_of(PROXY, f"{INNER_PROXY}, {PROXY}") == INNER_PROXY


@pytest.mark.parametrize("hop", ["203.0.113.7:443", " 203.0.113.7 ", "[2001:db8::7]:443", "2001:db8::7"])
def test_a_port_and_white_space_are_no_part_of_an_address(hop):
    assert source_of(PROXY, hop) in (SENDER, "2001:db8::7")


@pytest.mark.parametrize(
    "hop", ["", " ", "unknown", "_hidden", "1.2.3", "x" * 60_000, ",,,", "ü", "[", "::g"]
)
def test_what_is_no_address_leaves_the_proxys_own(hop):
    assert source_of(PROXY, hop) == PROXY
    assert source_of(PROXY, f"{hop}, {INNER_PROXY}") == INNER_PROXY


def test_a_long_list_is_read_from_its_end_only():
    assert source_of(PROXY, ", ".join([SENDER, *[INNER_PROXY] * 10_000])) == INNER_PROXY


def test_a_proxy_may_be_an_ipv4_address_that_is_written_as_ipv6():
    assert source_of(f"::ffff:{PROXY}", SENDER) == SENDER


@pytest.mark.parametrize("setting", ["nonsense", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.1;10.0.0.2"])
def test_a_setting_that_is_no_list_of_blocks_is_refused(setting):
    from inbound_webhooks.errors import InvalidSetting

    with pytest.raises(InvalidSetting, match="trusted_proxies"):
        source_of(PROXY, trusted=setting)


# --- at the endpoint ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "stored"), [(PROXY, SENDER), ("192.0.2.7", "192.0.2.7")], ids=["trusted", "anyone"]
)
def test_a_delivery_has_the_address_of_its_sender(asgi, sqlite_database, configure, peer, stored):
    configure(trusted_proxies="10.0.0.0/8")
    headers = [*JSON, ("x-forwarded-for", f"198.51.100.1, {SENDER}")]
    assert asgi.post(store_webhook().path, ORDER, headers, peer=peer).status == 202
    assert [row.source_ip for row in rows("delivery")] == [stored]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "status"),
    [
        (SENDER, "", 202),
        ("192.0.2.7", "", 403),
        ("192.0.2.7", SENDER, 403),
        (PROXY, SENDER, 202),
        (PROXY, f"{SENDER}, 192.0.2.7", 403),
        (PROXY, "", 403),
        (f"::ffff:{SENDER}", "", 202),
    ],
)
def test_only_the_addresses_that_are_allowed_get_in(
    asgi, sqlite_database, configure, peer, forwarded_for, status
):
    configure(trusted_proxies="10.0.0.0/8")
    hook = store_webhook(allowed_addresses=["203.0.113.0/24", "2001:db8::/32"])
    headers = [*JSON, ("x-forwarded-for", forwarded_for)] if forwarded_for else JSON
    reply = asgi.post(hook.path, ORDER, headers, peer=peer)
    assert (reply.status, len(rows("delivery"))) == (status, int(status == 202))


@pytest.mark.parametrize("method", ["POST", "GET", "OPTIONS"])
def test_an_address_that_is_not_allowed_is_noted_and_has_nothing_read(asgi, sqlite_database, method):
    from inbound_webhooks.receiver.instance import get_receiver

    hook = store_webhook(allowed_addresses=["203.0.113.0/24"])
    reply = asgi.request(method, hook.path, chunks=[ORDER] * 5)
    assert (reply.status, reply.chunks_read) == (403, 0)
    get_receiver().rejections.flush()
    (noted,) = rows("rejection")
    assert (noted.status, noted.source_ip) == (403, "192.0.2.7")
    assert noted.reason == "This address is not allowed to call the webhook."


def test_a_wrong_setting_puts_requests_off_and_says_so_without_a_problem_of_the_senders(
    sqlite_database, configure, caplog
):
    asgi = AsgiEndpoint()
    configure(trusted_proxies="nonsense")
    with caplog.at_level(logging.ERROR, logger="inbound_webhooks"):
        assert asgi.post(store_webhook().path, ORDER).status == 503
    assert "InvalidSetting" in caplog.text


# --- behind a server that replaces the client ---------------------------------------------------

ALL_PROXIES, NO_PROXY = "*", ""
FORGED = [
    SENDER,
    f" {SENDER} ",
    f"{SENDER}:1234",
    f"{SENDER}:40000",
    f"{SENDER}:0",
    f"{SENDER}:+40000",
    f"{SENDER}:nonsense",
    f"{SENDER}%eth0",
    f"[{SENDER}]",
    f"[{SENDER}]:40000",
    f"[{SENDER}]x",
    f"[{SENDER}",
    f"{SENDER}, 198.51.100.1",
    f"{SENDER}:40000,198.51.100.1",
    "2001:db8::7",
    "[2001:db8::7]",
    "[2001:db8::7]:40000",
    "unknown",
    "nonsense",
    "\x85" + SENDER + "\xa0",
    PEER,
    f"{PEER}:1",
    f"[{PEER}]:4000",
    "x" * 1000,
]
"""What a sender may write into X-Forwarded-For."""


async def client_behind(trusted: str, *forwarded_for: str) -> tuple[str, int]:
    """The client that an application sees behind uvicorn's middleware."""
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    async def application(scope, receive, send) -> None:
        """It only has to be there."""

    headers = [("x-forwarded-for", value) for value in forwarded_for]
    scope = scope_of("POST", "/", b"", headers)
    await ProxyHeadersMiddleware(application, trusted)(scope, None, None)  # type: ignore[arg-type]
    return scope["client"]


@pytest.mark.parametrize("value", FORGED)
def test_a_client_that_the_server_took_from_the_header_is_known_as_such(value):
    from inbound_webhooks.receiver.client_address import is_replaced

    client = asyncio.run(client_behind(ALL_PROXIES, value, PROXY))
    assert client != (PEER, 40000) or value == f"{PEER}:40000"
    assert is_replaced(client, [value, PROXY])


@pytest.mark.parametrize("value", FORGED)
def test_a_client_of_its_own_connection_is_known_as_such(value):
    from inbound_webhooks.receiver.client_address import is_replaced

    assert asyncio.run(client_behind(NO_PROXY, value)) == (PEER, 40000)
    assert not is_replaced((PEER, 40000), [value])


@pytest.mark.parametrize(
    ("client", "forwarded_for"),
    [
        (("127.0.0.1", 40000), f"{SENDER}, 127.0.0.1"),
        (("10.0.0.1", 40000), f"{SENDER}, 10.0.0.10, 110.0.0.1"),
        (("::1", 40000), "::1:2, 2001:db8::1"),
        (("127.0.0.1", 40000), f"{SENDER}, 127.0.0.1:1, 127.0.0.1:4000, 127.0.0.1:40000x, 127.0.0.1:"),
        (("2001:db8::7", 40000), "[2001:db8::7]:1, [2001:db8::7], [2001:db8::7]40"),
        (("", 0), SENDER),
    ],
    ids=[
        "two proxies of one host",
        "an address within another one",
        "within IPv6",
        "another port",
        "another port of IPv6",
        "no address",
    ],
)
def test_an_entry_that_is_not_where_the_client_comes_from_replaces_nothing(client, forwarded_for):
    from inbound_webhooks.receiver.client_address import is_replaced

    assert not is_replaced(client, [forwarded_for])


@pytest.fixture
def replacing(environment) -> AsgiEndpoint:
    """The api-server's endpoint with --proxy-headers and FORWARDED_ALLOW_IPS=*."""
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    endpoint = AsgiEndpoint()
    endpoint.app = ProxyHeadersMiddleware(endpoint.app, ALL_PROXIES)  # type: ignore[assignment]
    return endpoint


@pytest.fixture
def environment():
    """The problems of this process, forgotten afterwards."""
    from inbound_webhooks.monitoring.environment import ENVIRONMENT
    from inbound_webhooks.receiver.client_address import REPLACED

    ENVIRONMENT.resolve(REPLACED.code)
    yield ENVIRONMENT
    ENVIRONMENT.resolve(REPLACED.code)


def posted(endpoint: AsgiEndpoint, hook, forwarded_for: str, **more):
    return endpoint.post(hook.path, ORDER, [*JSON, ("x-forwarded-for", forwarded_for)], **more)


@pytest.mark.parametrize("trusted", ["", "10.0.0.0/8", "0.0.0.0/0"])
@pytest.mark.parametrize("forged", [SENDER, f"{SENDER}:1234", f"{PROXY}, {SENDER}", f"{SENDER}, {PROXY}"])
def test_a_forged_address_gets_in_nowhere(replacing, sqlite_database, configure, trusted, forged):
    configure(trusted_proxies=trusted)
    hook = store_webhook(allowed_addresses=["203.0.113.0/24", "10.0.0.0/8"])
    reply = posted(replacing, hook, forged)
    assert (reply.status, reply.header("retry-after"), rows("delivery")) == (503, "10", [])


def test_the_owner_and_the_operator_see_that_the_server_replaced_it(replacing, environment, sqlite_database):
    from inbound_webhooks.receiver.instance import get_receiver

    hook = store_webhook(allowed_addresses=["203.0.113.0/24"])
    headers = [("x-forwarded-for", SENDER)]
    reply = replacing.request("POST", hook.path, headers=headers, chunks=[ORDER] * 3)
    reason = "The server took the address from X-Forwarded-For, so allowed addresses cannot be checked."
    assert (reply.status, reply.chunks_read) == (503, 0)
    assert reply.json == {"status": "rejected", "error": reason}
    get_receiver().rejections.flush()
    (noted,) = rows("rejection")
    assert (noted.status, noted.source_ip, noted.reason) == (503, "unknown", reason)
    (problem,) = environment.problems()
    assert problem.code == "client-address-replaced"
    for option in ("--proxy-headers", "FORWARDED_ALLOW_IPS", "trusted_proxies", "webhooks gateway"):
        assert option in problem.message


def test_other_webhooks_accept_and_store_that_the_address_is_unknown(replacing, environment, sqlite_database):
    reply = posted(replacing, store_webhook(mapping={"from": "${Webhook::Delivery.source_ip}"}), SENDER)
    (stored,) = rows("delivery")
    assert (reply.status, stored.source_ip, stored.conf) == (202, "unknown", '{"from":"unknown"}')
    assert [problem.code for problem in environment.problems()] == ["client-address-replaced"]


def test_a_request_without_the_right_token_raises_no_alarm(replacing, environment, sqlite_database):
    hook = store_webhook(allowed_addresses=["203.0.113.0/24"])
    for path in (f"{hook.path[:-1]}x", hook.path.replace(hook.id, "a" * 10)):
        reply = replacing.post(path, ORDER, [*JSON, ("x-forwarded-for", SENDER)])
        assert (reply.status, environment.problems()) == (404, ())


def test_the_alarm_ends_after_a_quiet_period(replacing, environment, sqlite_database, monkeypatch):
    from inbound_webhooks.receiver.client_address import REPLACED_SECONDS

    hook, seconds = store_webhook(), [0.0]
    monkeypatch.setattr(environment, "_clock", lambda: seconds[0])
    for _ in range(2):  # the second request is admitted by the cached webhook
        assert posted(replacing, hook, SENDER).status == 202
        seconds[0] += REPLACED_SECONDS - 1
        assert [problem.code for problem in environment.problems()] == ["client-address-replaced"]
    seconds[0] += 1
    assert environment.problems() == ()


def test_forged_addresses_share_one_limit(replacing, sqlite_database, configure):
    configure(max_requests_per_second_per_address=5)
    hook = store_webhook()
    while time.time() % 1 > 0.3:  # the limit counts by seconds of the clock
        time.sleep(0.02)
    statuses = [posted(replacing, hook, f"203.0.113.{number}").status for number in range(8)]
    assert (statuses.count(202), statuses.count(429)) == (5, 3)


def test_a_request_without_the_header_comes_from_its_peer(replacing, environment, sqlite_database):
    hook = store_webhook(allowed_addresses=["192.0.2.0/24"])
    assert replacing.post(hook.path, ORDER).status == 202
    assert ([row.source_ip for row in rows("delivery")], environment.problems()) == ([PEER], ())


def test_a_sender_that_names_itself_is_no_replaced_client(asgi, environment, sqlite_database):
    hook = store_webhook(allowed_addresses=["192.0.2.0/24"])
    assert posted(asgi, hook, PEER).status == 202
    assert ([row.source_ip for row in rows("delivery")], environment.problems()) == ([PEER], ())


@pytest.mark.parametrize("forwarded_for", [f"{SENDER}:40000", SENDER])
def test_a_gateway_leaves_its_client_as_it_is(environment, sqlite_database, configure, forwarded_for):
    """Its server replaces nothing, so a client that also is in the header is one that names itself."""
    from tests.infrastructure.gateway_endpoint import GatewayEndpoint

    configure(trusted_proxies="10.0.0.0/8")
    hook = store_webhook(allowed_addresses=["203.0.113.0/24"])
    assert posted(GatewayEndpoint(), hook, forwarded_for, peer=SENDER).status == 202
    assert ([row.source_ip for row in rows("delivery")], environment.problems()) == ([SENDER], ())
