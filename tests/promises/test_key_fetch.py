"""Fetching a public key: from where, how much, and what never."""

from __future__ import annotations

import pytest

from tests.infrastructure.tls_server import serving

HOST = "sns.eu-west-1.amazonaws.com"
PATH = "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
URL = f"https://{HOST}{PATH}"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with serving(HOST, tmp_path_factory.mktemp("tls")) as site:
        yield site


@pytest.fixture
def fetch(site):
    from inbound_webhooks.dispatch.key_fetch import KeyFetch

    site.pages.clear()
    site.asked.clear()
    return KeyFetch(
        resolve=lambda host: ["127.0.0.1"], allows=lambda _: True, port=site.port, ca_file=site.ca_file
    )


def refused(fetch, url=URL) -> str:
    from inbound_webhooks.errors import KeyFetchFailed

    with pytest.raises(KeyFetchFailed) as caught:
        fetch(url)
    return caught.value.message


def test_what_the_host_serves_is_returned(site, fetch):
    site.pages[PATH] = (200, {}, b"the key")
    assert (fetch(URL), site.asked) == ("the key", [PATH])


def test_a_redirect_is_not_followed(site, fetch):
    site.pages[PATH] = (302, {"Location": f"https://{HOST}/other"}, b"")
    site.pages["/other"] = (200, {}, b"another key")
    assert (refused(fetch), site.asked) == (f"{HOST} answered 302.", [PATH])


def test_an_error_of_the_host_is_none_of_ours(fetch):
    assert refused(fetch) == f"{HOST} answered 404."


def test_more_than_a_key_can_have_is_refused(site, fetch):
    from inbound_webhooks.dispatch.key_fetch import MAX_KEY_BYTES

    site.pages[PATH] = (200, {}, b"x" * (MAX_KEY_BYTES + 1))
    assert "more than" in refused(fetch)


def test_a_certificate_for_another_name_is_refused(site, tmp_path):
    from inbound_webhooks.dispatch.key_fetch import KeyFetch

    fetch = KeyFetch(
        resolve=lambda host: ["127.0.0.1"], allows=lambda _: True, port=site.port, ca_file=site.ca_file
    )
    site.pages[PATH] = (200, {}, b"the key")
    assert "cannot be reached" in refused(fetch, f"https://sns.us-east-1.amazonaws.com{PATH}")


def test_a_certificate_of_an_unknown_authority_is_refused(site):
    from inbound_webhooks.dispatch.key_fetch import KeyFetch

    fetch = KeyFetch(resolve=lambda host: ["127.0.0.1"], allows=lambda _: True, port=site.port)
    assert "cannot be reached" in refused(fetch)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"], ["10.1.2.3"], ["192.168.0.1"], ["172.16.0.1"], ["169.254.169.254"], ["0.0.0.0"],
        ["::1"], ["fe80::1"], ["fc00::1"], ["::ffff:127.0.0.1"], ["::ffff:10.0.0.1"], ["224.0.0.1"],
        ["100.64.0.1"], ["93.184.215.14", "10.0.0.1"], [],
    ],
    ids=",".join,
)  # fmt: skip
def test_a_name_that_leads_into_a_private_network_is_not_called(site, addresses):
    from inbound_webhooks.dispatch.key_fetch import KeyFetch

    site.asked.clear()
    fetch = KeyFetch(resolve=lambda host: addresses, port=site.port, ca_file=site.ca_file)
    assert (refused(fetch), site.asked) == (f"{HOST} has an address outside the public internet.", [])


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_an_address_of_the_internet_is_allowed(address):
    from inbound_webhooks.dispatch.key_fetch import is_public

    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        f"http://{HOST}{PATH}",
        f"https://{HOST}:8443{PATH}",
        f"https://user@{HOST}{PATH}",
        "file:///etc/passwd",
    ],
)
def test_only_https_with_a_plain_host_is_called(site, fetch, url):
    assert (refused(fetch, url), site.asked) == ("The address is not https with a plain host name.", [])


def test_a_name_without_an_address_is_a_failure_of_the_fetch():
    from inbound_webhooks.dispatch.key_fetch import KeyFetch

    assert "cannot be reached" in refused(KeyFetch(), "https://no-such-host.invalid/key")
