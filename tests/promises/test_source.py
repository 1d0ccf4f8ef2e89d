"""Whose address counts: the peer's, unless a proxy that is trusted says whom it speaks for."""

from __future__ import annotations

import logging

import pytest

from tests.infrastructure.asgi_endpoint import JSON
from tests.infrastructure.webhooks_builder import rows, store_webhook

ORDER = b'{"number": 1}'
PROXY, INNER_PROXY, SENDER = "10.0.0.1", "10.0.0.2", "203.0.113.7"


def source_of(peer: str, *forwarded_for: str, trusted: str = "10.0.0.0/8") -> str:
    from inbound_webhooks.receiver.client_address import source_address, trusted_proxies
    from inbound_webhooks.settings import Settings

    return source_address(peer, forwarded_for, trusted_proxies(Settings(trusted_proxies=trusted)))


@pytest.mark.parametrize("trusted", ["", "192.168.0.0/16"])
def test_nobody_who_is_not_trusted_says_whom_it_speaks_for(trusted):
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
    from tests.infrastructure.asgi_endpoint import AsgiEndpoint

    asgi = AsgiEndpoint()
    configure(trusted_proxies="nonsense")
    with caplog.at_level(logging.ERROR, logger="inbound_webhooks"):
        assert asgi.post(store_webhook().path, ORDER).status == 503
    assert "InvalidSetting" in caplog.text
