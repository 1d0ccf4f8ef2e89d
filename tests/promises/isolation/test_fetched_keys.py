"""A sender of forged messages keeps no real key from being fetched, and no fetch takes longer than it may."""

from __future__ import annotations

import gc
import json
import socket
import ssl
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from inbound_webhooks.errors import KeyFetchFailed, VerificationFailed
from inbound_webhooks.event.verification.public_keys import is_key_url
from inbound_webhooks.event.verification.scheme import SignedRequest
from inbound_webhooks.event.verification.sns import Sns, is_certificate_url
from tests.infrastructure.tls_server import certificate, certificate_files, pem
from tests.infrastructure.webhooks_builder import rows, store_webhook

REGIONS = (
    "eu-west-1",
    "us-west-2",
    "ap-southeast-2",
    "us-gov-west-1",
    "sa-east-1",
    "eu-north-1",
    "me-south-1",
)
HOST = "sns.eu-west-1.amazonaws.com"
CASE = json.loads((Path(__file__).parents[2] / "unit/presets/cases/aws-sns.json").read_text())[0]
FORGER, SENDER = "198.51.100.7", "192.0.2.1"


def url_of(number: int, region: str = "eu-west-1") -> str:
    return f"https://sns.{region}.amazonaws.com/SimpleNotificationService-{number:032x}.pem"


REAL = url_of(0xABC)


class Vendor:
    """Serves certificates at some URLs; ``asked`` are all URLs in order."""

    def __init__(self, *urls: str) -> None:
        self.pages = dict.fromkeys(urls, pem(certificate("sns.amazonaws.com")[0]).decode())
        self.asked: list[str] = []

    def __call__(self, url: str) -> str:
        self.asked.append(url)
        if url not in self.pages:
            raise KeyFetchFailed("There is nothing.")
        return self.pages[url]


@pytest.fixture
def hook(database):
    return store_webhook(preset="aws-sns", refresh_keys=True)


def name_keys(hook, *urls: str | None, address: str = FORGER) -> None:
    """Note rejected requests that named these keys, as the endpoint does."""
    from inbound_webhooks.records.delivery import Rejection
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.rejections import insert_rejections

    at = datetime.now(timezone.utc)
    noted = [
        Rejection(
            webhook_id=hook.id,
            rejected_at=at,
            source_ip=address,
            method="POST",
            status=503,
            reason="The key is unknown.",
            key_url=url,
        )
        for url in urls
    ]
    with transaction() as connection:
        insert_rejections(connection, noted)


def refresher_of(vendor: Vendor, moment: list[datetime] | None = None):
    from inbound_webhooks.dispatch.key_refresher import KeyRefresher

    return KeyRefresher(vendor, now=lambda: moment[0] if moment else datetime.now(timezone.utc))


def held() -> list[str]:
    return sorted(row.source_url for row in rows("secret"))


# --- which URLs -----------------------------------------------------------------------------


@pytest.mark.parametrize("region", [*REGIONS, "us-iso-east-1", "ap-southeast-4"])
def test_the_certificate_of_each_region_is_one(region):
    assert is_certificate_url(url_of(1, region))
    assert is_certificate_url(url_of(1, "cn-north-1").replace(".com/", ".com.cn/"))


@pytest.mark.parametrize(
    "host",
    [
        "sns.s3-us-west-2.amazonaws.com",
        "sns.s3.amazonaws.com",
        "sns.s3-accelerate.amazonaws.com",
        "sns.s3-website-us-west-2.amazonaws.com",
        "sns.execute-api.amazonaws.com",
        "sns.elb.amazonaws.com",
        "sns.us-west.amazonaws.com",
        "sns.us-west-2.amazonaws.com.cn",
        "sns.cn-north-1.amazonaws.com",
        "sns.us-west-2.s3.amazonaws.com",
        "SNS.us-west-2.amazonaws.com",
        "sns.us-west-2.amazonaws.com.",
    ],
)
def test_a_host_that_anyone_can_have_is_none_of_theirs(host):
    assert not is_certificate_url(f"https://{host}/SimpleNotificationService-{1:032x}.pem")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        f"/SimpleNotificationService-{1:031x}.pem",
        f"/SimpleNotificationService-{1:033x}.pem",
        f"/SimpleNotificationService-{'G' * 32}.pem",
        f"/SimpleNotificationService-{1:032x}.pem/x",
        f"/x/SimpleNotificationService-{1:032x}.pem",
        f"/SimpleNotificationService-{1:032x}.pem?a=b",
        f"/SimpleNotificationService-{1:032x}.pem#a",
    ],
)
def test_a_path_that_is_no_certificates_is_not_fetched(path):
    assert not is_certificate_url(f"https://{HOST}{path}")


def test_a_message_cannot_ask_for_the_key_of_another_region_than_its_topics():
    message = json.loads(CASE["body"])
    sent = datetime.fromisoformat(message["Timestamp"].replace("Z", "+00:00"))
    message["SigningCertURL"] = url_of(1, "eu-west-1")
    body = json.dumps(message).encode()
    request = SignedRequest(method="POST", url="", query_string="", headers=(), body=body)
    with pytest.raises(VerificationFailed, match="not of the region"):
        Sns(refresh_keys=True).check(request, [], sent)


def test_a_webhook_with_topics_has_keys_of_their_regions_alone():
    scheme = Sns(refresh_keys=True, topic_arns=("arn:aws:sns:us-west-2:123456789012:uploads",))
    assert [is_key_url(scheme, url_of(1, region)) for region in ("us-west-2", "eu-west-1")] == [True, False]


# --- whose turn -----------------------------------------------------------------------------


def test_fifty_forged_urls_do_not_push_out_the_real_one(hook):
    vendor = Vendor(REAL)
    name_keys(hook, REAL, address=SENDER)
    name_keys(hook, *map(url_of, range(50)))
    refresher = refresher_of(vendor)
    assert sum(refresher.refresh_due() for _ in range(2)) == 1
    assert (held(), vendor.asked[-1], len(vendor.asked)) == ([REAL], REAL, 2)


def test_nor_where_all_of_them_seem_to_come_from_one_address(hook):
    vendor = Vendor(REAL)
    name_keys(hook, REAL)
    name_keys(hook, *map(url_of, range(50)))
    refresher = refresher_of(vendor)
    assert sum(refresher.refresh_due() for _ in range(51)) == 1
    assert (held(), len(set(vendor.asked))) == ([REAL], len(vendor.asked))


def test_nor_do_rejections_of_another_kind(hook):
    vendor = Vendor(REAL)
    name_keys(hook, REAL, address=SENDER)
    name_keys(hook, *[None] * 200)
    assert (refresher_of(vendor).refresh_due(), held()) == (1, [REAL])


def test_an_address_keeps_a_share_of_what_is_named_and_the_table_stays_small(hook):
    from inbound_webhooks.storage.rejections import (
        KEPT_KEY_URLS,
        KEPT_KEY_URLS_PER_ADDRESS,
        KEPT_REJECTIONS,
    )

    name_keys(hook, *map(url_of, range(KEPT_KEY_URLS_PER_ADDRESS + 200)))
    assert len(rows("rejection")) == KEPT_KEY_URLS_PER_ADDRESS
    for number in range(8):
        name_keys(hook, *map(url_of, range(100)), address=f"203.0.113.{number}")
    name_keys(hook, *[None] * 90)
    assert len(rows("rejection")) == KEPT_KEY_URLS + KEPT_REJECTIONS


def test_valid_keys_of_other_regions_do_not_block_the_next(hook):
    urls = [url_of(number, region) for number, region in enumerate(REGIONS)]
    vendor = Vendor(*urls)
    refresher = refresher_of(vendor)
    for url in urls:
        name_keys(hook, url)
        refresher.refresh_due()
    assert held() == sorted(urls)


def test_keys_that_verify_messages_stay_and_others_make_room(hook):
    from inbound_webhooks.dispatch.key_refresher import MAX_KEYS, MAX_KEYS_PER_GROUP
    from inbound_webhooks.storage.credentials import list_credentials, note_use
    from inbound_webhooks.storage.database import transaction

    urls = [url_of(number) for number in range(6)]
    others = [url_of(number, region) for number in range(6, 9) for region in REGIONS]
    refresher = refresher_of(Vendor(REAL, *urls, *others))
    name_keys(hook, REAL)
    refresher.refresh_due()
    with transaction() as connection:
        (used,) = [key for key in list_credentials(connection, hook.id) if key.source_url]
        note_use(connection, used, datetime.now(timezone.utc))
    for url in urls:
        name_keys(hook, url)
        refresher.refresh_due()
    assert (REAL in held(), len(held()), urls[-1] in held()) == (True, MAX_KEYS_PER_GROUP, True)
    for url in others:
        name_keys(hook, url)
        refresher.refresh_due()
    assert (REAL in held(), len(held()), others[-1] in held()) == (True, MAX_KEYS, True)


def test_a_url_is_fetched_once_in_a_while_even_where_its_key_has_made_room(hook):
    moment = [datetime.now(timezone.utc)]
    urls = [url_of(number) for number in range(5)]
    vendor = Vendor(*urls)
    refresher = refresher_of(vendor, moment)
    name_keys(hook, *urls)
    for _ in range(20):
        refresher.refresh_due()
    assert sorted(vendor.asked) == urls
    moment[0] += timedelta(minutes=10)
    refresher.refresh_due()
    assert len(vendor.asked) == 6


def test_the_failures_of_one_webhook_keep_no_other_waiting(hook):
    other = store_webhook("another", preset="aws-sns", refresh_keys=True)
    vendor = Vendor()
    refresher = refresher_of(vendor)
    name_keys(hook, REAL)
    refresher.refresh_due()
    vendor.pages = Vendor(REAL).pages
    name_keys(other, REAL)
    assert [row.webhook_id for row in (refresher.refresh_due(), rows("secret"))[1]] == [other.id]


# --- how long -------------------------------------------------------------------------------


class SlowServer:
    """Sends one byte at a time, with a pause that is shorter than any time-out of a single read."""

    def __init__(self, folder: Path, answer: bytes, *, handshakes: bool = True) -> None:
        self.ca_file, key_file = certificate_files(HOST, folder)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.ca_file, key_file)
        self._answer, self._handshakes = answer, handshakes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        raw, _ = self._listener.accept()
        with raw:
            if not self._handshakes:
                self._stop.wait(30)
                return
            try:
                with self._context.wrap_socket(raw, server_side=True) as connection:
                    connection.recv(65536)
                    for byte in self._answer:
                        connection.sendall(bytes((byte,)))
                        self.sent += 1
                        if self._stop.wait(0.05):
                            return
            except OSError:
                pass  # the client has gone, as it should

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
        self._listener.close()
        assert not self._thread.is_alive()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"
SLOW = {
    "status line": (b"HTTP/1.1 200 OK" + b"O" * 1000, True),
    "headers": (b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 1000, True),
    "content": (HEAD + b"k" * 1000, True),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nk\r\n" * 200, True),
    "TLS": (b"", False),
}


@pytest.mark.parametrize("what", SLOW)
def test_a_server_that_sends_byte_by_byte_gets_no_more_time_than_another(tmp_path, what):
    from inbound_webhooks.dispatch.key_fetch import KeyFetch

    server = SlowServer(tmp_path, SLOW[what][0], handshakes=SLOW[what][1])
    fetch = KeyFetch(
        resolve=lambda _: ["127.0.0.1"],
        allows=lambda _: True,
        port=server.port,
        ca_file=str(server.ca_file),
        seconds=0.4,
    )
    with pytest.raises(KeyFetchFailed, match=r"took longer than|ConnectTimeout"):
        fetch(REAL)
    gc.collect()  # a connection that is left open is a warning, and so a failure
    server.close()
    # At most 8 pauses of 0.05 s fit, and what was on its way when the connection was closed.
    assert server.sent < 14


def test_a_look_up_that_never_ends_is_abandoned_and_few_of_them_are_under_way():
    from inbound_webhooks.dispatch.key_fetch import MAX_LOOKUPS, KeyFetch

    answer, asked = threading.Event(), []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        answer.wait(30)
        return []

    fetch = KeyFetch(resolve=resolve, seconds=0.05)
    for _ in range(MAX_LOOKUPS):
        with pytest.raises(KeyFetchFailed, match="took longer than"):
            fetch(REAL)
    with pytest.raises(KeyFetchFailed, match="have not ended"):
        fetch(REAL)
    assert len(asked) == MAX_LOOKUPS
    answer.set()
    for _ in range(100):
        with pytest.raises(KeyFetchFailed) as caught:
            fetch(REAL)
        if "outside the public internet" in caught.value.message:
            return
        time.sleep(0.01)
    pytest.fail("The look-ups that have ended still count.")
