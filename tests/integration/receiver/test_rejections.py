"""What is noted of requests that were refused: enough to find out why, little under load, no secrets."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone

from tests.infrastructure.loop import answer_of, new_receiver
from tests.infrastructure.webhooks_builder import rows

AT = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def rejection(webhook_id: str = "aaaaaaaaaa", reason: str = "a reason"):
    from inbound_webhooks.records.delivery import Rejection

    return Rejection(
        webhook_id=webhook_id, rejected_at=AT, source_ip="::1", method="PUT", status=405, reason=reason
    )


def rejection_log(clock=None):
    from inbound_webhooks.receiver.rejections import RejectionLog

    return RejectionLog(clock or Clock())


def test_a_rejection_names_what_was_refused_and_why(asgi, sqlite_orders):
    from inbound_webhooks.receiver.instance import get_receiver

    asgi.request("PUT", sqlite_orders.path)
    get_receiver().rejections.flush()
    (noted,) = rows("rejection")
    assert (noted.webhook_id, noted.method, noted.status) == (sqlite_orders.id, "PUT", 405)
    assert (noted.source_ip, noted.reason) == (
        "192.0.2.7",
        "Only GET, HEAD, OPTIONS and POST are supported.",
    )


def test_a_rejection_holds_nothing_that_the_sender_sent(asgi, database):
    from inbound_webhooks.receiver.instance import get_receiver
    from tests.infrastructure.webhooks_builder import store_webhook

    hook = store_webhook(enabled=False)
    headers = [("authorization", "canary"), ("cookie", "canary"), ("content-type", "application/json")]
    asgi.request("POST", hook.path, query=b"key=canary", headers=headers, chunks=[b'"canary"'])
    get_receiver().rejections.flush()
    (noted,) = rows("rejection")
    assert not [value for value in map(str, noted) if "canary" in value or hook.token in value]


def test_ten_rejections_of_a_webhook_are_noted_in_a_second(database):
    clock = Clock()
    log = rejection_log(clock)
    for _ in range(25):
        log.add(rejection())
    log.flush()
    assert len(rows("rejection")) == 10
    clock.seconds += 1
    log.add(rejection())
    log.flush()
    assert len(rows("rejection")) == 11


def test_the_limit_of_one_webhook_leaves_the_others_theirs(sqlite_database):
    log = rejection_log()
    for _ in range(25):
        log.add(rejection("aaaaaaaaaa"))
    log.add(rejection("bbbbbbbbbb"))
    log.flush()
    assert [row.webhook_id for row in rows("rejection")].count("bbbbbbbbbb") == 1


def test_what_waits_is_bounded_whatever_comes(sqlite_database):
    from inbound_webhooks.receiver.rejections import MAX_WAITING

    log = rejection_log()
    for number in range(MAX_WAITING + 500):
        log.add(rejection(f"{number:010}"))
    log.flush()
    assert len(rows("rejection")) == MAX_WAITING


def test_a_flush_of_nothing_needs_no_database():
    from airflow import settings

    settings.dispose_orm()
    rejection_log().flush()


def test_the_thread_writes_what_is_left_when_it_ends(sqlite_database):
    log = rejection_log()
    log.start()
    log.add(rejection())
    log.stop()
    assert len(rows("rejection")) == 1
    assert [thread for thread in threading.enumerate() if "rejections" in thread.name] == []


def test_the_thread_writes_without_being_asked(sqlite_database):
    log = rejection_log(time.monotonic)
    log.start()
    log.add(rejection())
    give_up_at = time.monotonic() + 5
    while not rows("rejection") and time.monotonic() < give_up_at:
        time.sleep(0.05)
    written = len(rows("rejection"))
    log.stop()
    assert written == 1


def test_our_own_problems_are_no_rejections(asgi, sqlite_orders, configure):
    from inbound_webhooks.receiver.instance import get_receiver

    configure(max_buffered_bytes=1, max_body_bytes=100_000)
    assert asgi.post(sqlite_orders.path, b"x" * 90_000).status == 503
    get_receiver().rejections.flush()
    assert rows("rejection") == []


# --- the time of last use -------------------------------------------------------------------


def used_at(hook, at: datetime, method: str = "POST") -> datetime:
    """Send a request at this time; return what the token then says."""
    from inbound_webhooks.event.request import InboundRequest
    from inbound_webhooks.receiver.admission import RequestHead

    receiver = new_receiver(now=lambda: at)
    head = RequestHead(
        method=method, webhook_id=hook.id, token=hook.token, declared_length=None, source_ip="::1"
    )
    request = InboundRequest(
        method=method, query_string="", headers=(), body=b"", source_ip="::1", received_at=at
    )
    assert answer_of(receiver, head, request).status // 100 == 2
    return rows("token")[0].last_used_at


def test_the_time_of_last_use_is_written_at_most_once_a_minute(orders):
    assert used_at(orders, AT) == AT
    assert used_at(orders, AT + timedelta(seconds=59)) == AT
    assert used_at(orders, AT + timedelta(seconds=60)) == AT + timedelta(seconds=60)


def test_a_burst_writes_the_time_of_last_use_once(orders, asgi):
    asgi.post(orders.path, b'{"number": 1}')
    first = rows("token")[0].last_used_at
    for _ in range(3):
        asgi.post(orders.path, b'{"number": 1}')
    assert rows("token")[0].last_used_at == first


def test_a_verification_counts_as_use(sqlite_orders):
    assert used_at(sqlite_orders, AT, "GET") == AT


def test_no_delivery_writes_to_the_webhooks_row(orders, asgi):
    before = rows("webhook")
    asgi.post(orders.path, b'{"number": 1}')
    assert rows("webhook") == before
