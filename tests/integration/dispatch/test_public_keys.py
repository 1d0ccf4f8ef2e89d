"""Which keys are fetched, when, and what becomes of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from tests.infrastructure.tls_server import certificate, pem
from tests.infrastructure.webhooks_builder import change_webhook, rows, store_webhook

HOST = "https://sns.eu-west-1.amazonaws.com"
FIRST = f"{HOST}/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
SECOND = f"{HOST}/SimpleNotificationService-fedcba9876543210fedcba9876543210.pem"
GOOGLE = "https://www.googleapis.com/oauth2/v3/certs"
# The example of RFC 7517, appendix A.1, without its elliptic key.
KEY_SET = (
    '{"keys": [{"kty": "RSA", "kid": "2011-04-29", "alg": "RS256", "e": "AQAB", "n": "0vx7agoebGcQSuuPiLJXZp'
    "tN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W"
    "-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvR"
    "L5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU"
    '8awapJzKnqDKgw"}]}'
)


class Vendor:
    """What is served where; ``asked`` are the addresses in order."""

    def __init__(self):
        self.pages, self.asked = {}, []

    def __call__(self, url: str) -> str:
        from inbound_webhooks.errors import KeyFetchFailed

        self.asked.append(url)
        if url not in self.pages:
            raise KeyFetchFailed("There is nothing.")
        return self.pages[url]


class Clock:
    """A time that a test moves."""

    def __init__(self):
        self.time = datetime.now(timezone.utc)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def vendor():
    return Vendor()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def refresher(vendor, clock):
    from inbound_webhooks.dispatch.key_refresher import KeyRefresher

    return KeyRefresher(vendor, now=clock)


@pytest.fixture
def sns(database):
    return store_webhook(preset="aws-sns", refresh_keys=True)


def name_keys(hook, *urls):
    """Note rejected requests that named these keys, as the endpoint does."""
    from inbound_webhooks.records.delivery import Rejection
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.rejections import insert_rejections

    rejections = [
        Rejection(
            webhook_id=hook.id,
            rejected_at=datetime.now(timezone.utc),
            source_ip="127.0.0.1",
            method="POST",
            status=503,
            reason="The public key is not known.",
            key_url=url,
        )
        for url in urls
    ]
    with transaction() as connection:
        insert_rejections(connection, rejections)


def held() -> list[str]:
    return sorted(row.source_url for row in rows("secret"))


def test_a_certificate_that_a_request_named_is_fetched_once_and_ends_when_it_says(
    sns, vendor, refresher, clock
):
    ends = (clock.time + timedelta(days=9)).replace(microsecond=0)
    vendor.pages[FIRST] = pem(certificate("sns.amazonaws.com", ends=ends)[0]).decode()
    name_keys(sns, FIRST, FIRST)
    assert (refresher.refresh_due(), refresher.refresh_due()) == (1, 0)
    (secret,) = rows("secret")
    assert (vendor.asked, secret.source_url, secret.expires_at) == ([FIRST], FIRST, ends)


def test_a_key_is_encrypted_like_every_secret(sns, vendor, refresher):
    vendor.pages[FIRST] = pem(certificate("sns.amazonaws.com")[0]).decode()
    name_keys(sns, FIRST)
    refresher.refresh_due()
    assert "CERTIFICATE" not in rows("secret")[0].encrypted


def test_a_webhook_that_does_not_ask_for_it_has_nothing_fetched(database, vendor, refresher):
    certificate_text = pem(certificate("sns.amazonaws.com")[0]).decode()
    hook = store_webhook(preset="aws-sns", secrets={"signing": certificate_text})
    name_keys(hook, FIRST)
    assert (refresher.refresh_due(), vendor.asked) == (0, [])


def test_a_disabled_webhook_has_nothing_fetched(sns, vendor, refresher):
    change_webhook(sns.id, enabled=False)
    name_keys(sns, FIRST)
    assert (refresher.refresh_due(), vendor.asked) == (0, [])


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com.example.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com/other.pem",
        "https://169.254.169.254/latest/meta-data",
    ],
)
def test_an_address_that_is_not_the_vendors_is_never_called(sns, vendor, refresher, url):
    name_keys(sns, url)
    assert (refresher.refresh_due(), vendor.asked) == (0, [])


def test_what_is_no_certificate_is_not_kept_and_not_asked_for_again_at_once(sns, vendor, refresher, clock):
    vendor.pages[FIRST] = "<html>"
    name_keys(sns, FIRST)
    assert (refresher.refresh_due(), refresher.refresh_due(), held()) == (0, 0, [])
    clock.time += timedelta(minutes=10)
    refresher.refresh_due()
    assert vendor.asked == [FIRST, FIRST]


def test_one_address_that_leads_nowhere_does_not_hide_the_next(sns, vendor, refresher):
    vendor.pages[FIRST] = pem(certificate("sns.amazonaws.com")[0]).decode()
    name_keys(sns, FIRST, SECOND)
    assert [refresher.refresh_due(), refresher.refresh_due()] == [0, 1]
    assert (vendor.asked, held()) == ([SECOND, FIRST], [FIRST])


def test_a_webhook_gets_no_more_keys_than_a_vendor_has(sns, vendor, refresher):
    urls = [f"{HOST}/SimpleNotificationService-{number:032x}.pem" for number in range(8)]
    vendor.pages = dict.fromkeys(urls, pem(certificate("sns.amazonaws.com")[0]).decode())
    name_keys(sns, *urls)
    assert sum(refresher.refresh_due() for _ in urls) == 8
    assert len(held()) == 3


def test_the_key_set_of_an_issuer_is_fetched_before_any_request_and_again_when_it_is_old(
    database, vendor, refresher, clock
):
    store_webhook(preset="google-pubsub", refresh_keys=True)
    vendor.pages[GOOGLE] = KEY_SET
    assert (refresher.refresh_due(), refresher.refresh_due()) == (1, 0)
    first = rows("secret")[0].encrypted
    clock.time += timedelta(hours=6)
    assert (refresher.refresh_due(), held()) == (1, [GOOGLE])
    assert rows("secret")[0].encrypted != first


def test_a_key_set_that_cannot_be_fetched_leaves_the_one_that_is_held(database, vendor, refresher, clock):
    store_webhook(preset="google-pubsub", refresh_keys=True)
    vendor.pages[GOOGLE] = KEY_SET
    refresher.refresh_due()
    clock.time += timedelta(days=2)
    vendor.pages.clear()
    assert (refresher.refresh_due(), held()) == (0, [GOOGLE])


def test_a_sender_without_published_keys_cannot_have_them_fetched(sqlite_database):
    from inbound_webhooks.errors import InvalidDefinition

    with pytest.raises(InvalidDefinition, match="does not publish its public keys"):
        store_webhook(preset="github", refresh_keys=True)
