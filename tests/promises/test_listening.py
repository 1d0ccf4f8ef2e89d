"""A user who listens sees the next requests to a webhook's URL, and nothing that no user may see."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.infrastructure.asgi_endpoint import JSON
from tests.infrastructure.webhooks_builder import (
    Hook,
    audit_rows,
    change_webhook,
    now,
    rows,
    states,
    store_webhook,
)

SECRET = "a secret of the sender's"
WAIT_SECONDS = 10


def listen(hook: Hook, **changes: Any) -> Any:
    from inbound_webhooks.settings import Settings
    from inbound_webhooks.webhooks import listening, service

    return listening.start(service.get(hook.id), Settings.load(), actor="ada", **changes)


def captured(count: int = 1, *, seconds: float = WAIT_SECONDS) -> list[Any]:
    """What is captured, once there are as many; they are written after the response."""
    give_up_at = time.monotonic() + seconds
    while len(found := rows("captured")) < count and time.monotonic() < give_up_at:
        time.sleep(0.02)
    return found


def until_read_again(happens: Callable[[], bool]) -> bool:
    """Whether it happens within the time that a webhook stays cached, and a moment."""
    give_up_at = time.monotonic() + 3
    while not happens():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture
def signed(database) -> Hook:
    from tests.infrastructure.dags_builder import store_dag

    store_dag("orders")
    return store_webhook(preset="github", secrets={"signing": SECRET})


def test_an_accepted_request_is_shown_and_accepted_as_ever(asgi, orders) -> None:
    listen(orders)
    assert asgi.post(orders.path, b'{"number": 3}', query=b"a=1").status == 202
    [row] = captured()
    assert (row.status, row.reason, row.body, row.query_string) == (202, None, b'{"number": 3}', "a=1")
    assert states() == ["accepted"]


def test_a_request_that_is_not_verified_is_shown_with_the_reason(asgi, signed) -> None:
    listen(signed)
    assert asgi.post(signed.path, b'{"ref": "main"}').status == 401
    [row] = captured()
    assert (row.status, row.body) == (401, b'{"ref": "main"}')
    assert "X-Hub-Signature-256" in row.reason


def test_a_disabled_webhook_shows_its_requests_and_responds_as_documented(asgi, orders) -> None:
    change_webhook(orders.id, enabled=False, disabled_status=503)
    listen(orders)
    reply = asgi.post(orders.path, b'{"number": 3}')
    assert (reply.status, reply.header("Retry-After")) == (503, "60")
    [row] = captured()
    assert (row.status, row.body) == (503, b'{"number": 3}')
    assert rows("delivery") == []


def test_a_webhook_that_is_disabled_while_it_listens_accepts_nothing_more(asgi, orders) -> None:
    listen(orders)
    assert asgi.post(orders.path, b'{"number": 3}').status == 202
    # A gateway still has the enabled one in its cache, and finds out when it commits.
    change_webhook(orders.id, enabled=False)
    assert asgi.post(orders.path, b'{"number": 4}').status == 403
    assert len(rows("delivery")) == 1
    assert [row.status for row in captured(2)] == [202, 403]


def test_a_body_over_the_limit_does_not_change_the_response_of_a_disabled_webhook(
    asgi, orders, configure
) -> None:
    configure(max_body_bytes=100)
    change_webhook(orders.id, enabled=False)
    listen(orders)
    chunks = [b"x" * 60, b"x" * 60]
    assert asgi.request("POST", orders.path, headers=JSON, chunks=chunks).status == 403


def test_a_request_without_the_right_token_is_never_shown(asgi, orders) -> None:
    listen(orders)
    assert asgi.post(f"{orders.path[:-4]}0000", b'{"number": 3}').status == 404
    assert asgi.post(orders.path, b'{"number": 4}').status == 202
    assert [row.body for row in captured()] == [b'{"number": 4}']


def test_credentials_are_masked_as_those_of_deliveries_are(asgi, signed) -> None:
    listen(signed)
    headers = (
        *JSON,
        ("Authorization", "Bearer abc"),
        ("X-Hub-Signature-256", "sha256=12"),
        ("X-Seen", "yes"),
    )
    asgi.post(signed.path, b"{}", headers=headers, query=b"token=abc&page=2")
    [row] = captured()
    held = dict(json.loads(row.headers))
    assert (held["Authorization"], held["X-Hub-Signature-256"], held["X-Seen"]) == ("***", "***", "yes")
    assert row.query_string == "token=***&page=2"


def test_keys_in_the_body_are_masked(asgi, database) -> None:
    hook = store_webhook(preset="microsoft-graph", secrets={"signing": "the-key"})
    listen(hook)
    asgi.post(hook.path, b'{"value": [{"clientState": "the-key", "id": 1}]}')
    [row] = captured()
    assert row.body == b'{"value": [{"clientState": "***", "id": 1}]}'


def test_no_more_requests_than_the_limit_are_kept(asgi, orders, configure) -> None:
    configure(max_captured_requests=3)
    listen(orders)
    for number in range(6):
        assert asgi.post(orders.path, b'{"number": %d}' % number).status == 202
    assert len(captured(3)) == 3
    assert len(captured(4, seconds=0.5)) == 3
    assert len(rows("delivery")) == 6


def test_a_long_body_is_answered_and_not_kept(asgi, orders, configure) -> None:
    configure(max_captured_bytes=20)
    listen(orders)
    assert asgi.post(orders.path, b'{"number": 3, "more": "0123456789"}').status == 202
    [row] = captured()
    assert (row.body, row.body_bytes) == (None, 35)


def test_bodies_are_not_kept_where_none_are_stored(asgi, orders, configure) -> None:
    configure(store_bodies=False)
    listen(orders)
    asgi.post(orders.path, b'{"number": 3}')
    assert captured()[0].body is None


def test_an_endpoint_learns_of_a_listener_within_the_time_of_its_cache(asgi, orders) -> None:
    asgi.post(orders.path, b'{"number": 1}')
    version = rows("webhook")[0].version
    listen(orders)

    def is_shown() -> bool:
        assert asgi.post(orders.path, b'{"number": 2}').status == 202
        return bool(rows("captured"))

    assert until_read_again(is_shown)
    # No change of the definition: a form that is open can still be saved.
    assert rows("webhook")[0].version == version


def test_nothing_is_shown_after_the_end(asgi, orders) -> None:
    listen(orders, now=now() - timedelta(seconds=121))
    assert asgi.post(orders.path, b'{"number": 3}').status == 202
    change_webhook(orders.id, enabled=False)
    assert asgi.request("POST", orders.path, headers=JSON, chunks=[b'{"number": 3}']).chunks_read <= 1
    assert rows("captured") == []


def test_as_many_webhooks_listen_as_may(database, configure) -> None:
    from inbound_webhooks.errors import TooManyListeners

    configure(max_listeners=2)
    first, second, third = (store_webhook(f"webhook {number}") for number in range(3))
    until = listen(first)
    assert listen(first) == until
    listen(second)
    with pytest.raises(TooManyListeners):
        listen(third)
    # Their time is over.
    listen(third, now=now() + timedelta(seconds=121))


def test_listening_is_in_the_audit_log(sqlite_orders) -> None:
    listen(sqlite_orders)
    [entry] = [row for row in audit_rows() if row.event == "webhook.listen"]
    assert (entry.owner, entry.dag_id) == ("ada", "orders")


def test_retention_deletes_what_was_captured_minutes_ago(asgi, orders) -> None:
    from inbound_webhooks.dispatch.retention import RetentionJob
    from inbound_webhooks.settings import Settings

    listen(orders)
    asgi.post(orders.path, b'{"number": 3}')
    captured()
    job = RetentionJob(Settings.load(), now=lambda: now() + timedelta(seconds=60))
    job.clean()
    assert len(rows("captured")) == 1
    job = RetentionJob(Settings.load(), now=lambda: now() + timedelta(seconds=300))
    job.clean()
    assert rows("captured") == []
    assert rows("webhook")[0].listening_until is None


def test_what_was_captured_goes_with_its_webhook(asgi, orders) -> None:
    from inbound_webhooks.storage.webhooks import ById
    from inbound_webhooks.webhooks import service

    listen(orders)
    asgi.post(orders.path, b'{"number": 3}')
    captured()
    service.delete(ById(orders.id), actor="ada")
    assert rows("captured") == []
