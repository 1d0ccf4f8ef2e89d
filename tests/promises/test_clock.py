"""The machine's clock is set on or back, a day or a summer ends: nothing is lost, nothing runs twice."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
import time_machine

from tests.infrastructure.asgi_endpoint import JSON
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import Hook, now, rows, runs, states, store_delivery, store_webhook
from tests.integration.receiver.test_rotation import rotated
from tests.promises.test_limits import limits_of
from tests.promises.test_many_dispatchers import dispatcher, running, wait_until

ORDER = b'{"number": 1}'
HOUR = timedelta(hours=1)
JUMPS = pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["an hour on", "an hour back"])
SLACK_PROOF = [{"kind": "hmac", "header": "X-Signature", "signed": "{timestamp}.{body}"}]


def clock_set_to(moment: datetime) -> time_machine.travel:
    """A block in which it is that time, and goes on from there."""
    return time_machine.travel(moment, tick=True)


@pytest.fixture
def hook(database) -> Hook:
    store_dag("orders")
    return store_webhook(mapping={"at": "${Webhook::Delivery.received_at}"})


def post(asgi, hook: Hook) -> str:
    """Deliver; the delivery's id."""
    reply = asgi.post(hook.path, ORDER)
    assert reply.status == 202
    return str(reply.json["delivery_id"])


def each_ran_once(ids: list[str]) -> bool:
    return sorted(run.run_id for run in runs()) == sorted(f"webhook__{id_}" for id_ in ids)


@JUMPS
def test_what_comes_before_and_after_a_jump_runs_once_and_soon(asgi, hook, jump):
    ids = [post(asgi, hook)]
    with running(dispatcher(dispatcher_poll_seconds=0.05)), clock_set_to(now() + jump):
        ids.append(post(asgi, hook))
        wait_until(lambda: states() == ["dispatched"] * 2)
    assert each_ran_once(ids)


@JUMPS
def test_what_was_accepted_by_a_wrong_clock_runs_once_and_soon(asgi, hook, jump):
    """As a host does whose clock is wrong, or any until it is set right."""
    with clock_set_to(now() + jump):
        ids = [post(asgi, hook) for _ in range(2)]
    with running(dispatcher(dispatcher_poll_seconds=0.05)):
        wait_until(lambda: states() == ["dispatched"] * 2)
    assert each_ran_once(ids)


def test_an_attempt_of_a_clock_that_was_ahead_is_not_waited_for_longer_than_any(database):
    store_dag("orders")
    hook = store_webhook()
    tried = store_delivery(hook, attempts=3, next_attempt_at=now() + timedelta(hours=30))
    waits = store_delivery(hook, attempts=3, next_attempt_at=now() + timedelta(minutes=30))
    with running(dispatcher(dispatcher_poll_seconds=0.05)):
        wait_until(lambda: states() == ["accepted", "dispatched"])
    assert {row.id: row.state for row in rows("delivery")} == {tried: "dispatched", waits: "accepted"}


@JUMPS
def test_a_body_that_arrives_while_the_clock_jumps_is_taken(asgi, hook, jump):
    traveller = clock_set_to(now() + jump)

    async def the_clock_jumps():
        traveller.start()

    try:
        reply = asgi.post(hook.path, ORDER, before_each_chunk=the_clock_jumps)
    finally:
        traveller.stop()
    assert reply.status == 202


def admitted(limits, webhook, count: int) -> int:
    """How many of so many requests a limit lets in."""
    from inbound_webhooks.errors import RateLimited

    for done in range(count):
        try:
            limits.admit_webhook(webhook)
        except RateLimited:
            return done
    return count


@pytest.fixture
def limited(sqlite_database):
    """A webhook that takes two a second."""
    from inbound_webhooks.webhooks import service

    return service.get(store_webhook(max_per_second=2).id)


@JUMPS
def test_a_limit_counts_afresh_after_a_jump(limited, jump):
    limits = limits_of()
    assert admitted(limits, limited, 5) == 2
    with clock_set_to(now() + jump):
        assert admitted(limits, limited, 5) == 2
        time.sleep(1.1)
        assert admitted(limits, limited, 5) == 2


def test_a_small_correction_of_the_clock_forgets_no_limit(limited):
    limits = limits_of()
    assert admitted(limits, limited, 5) == 2
    with clock_set_to(now() - timedelta(seconds=0.2)):
        assert admitted(limits, limited, 5) == 0


@JUMPS
def test_a_signed_time_counts_again_when_the_clock_is_right_again(asgi, sqlite_database, jump):
    import hashlib
    import hmac

    verification = [SLACK_PROOF[0] | {"timestamp_from": "X-Timestamp", "tolerance_seconds": 300}]
    hook = store_webhook(verification=verification, secrets={"signing": "a secret"})
    at = str(int(time.time()))
    signature = hmac.new(b"a secret", f"{at}.".encode() + ORDER, hashlib.sha256).hexdigest()
    signed = [*JSON, ("x-timestamp", at), ("x-signature", signature)]
    with clock_set_to(now() + jump):
        assert asgi.post(hook.path, ORDER, signed).status == 401
    assert asgi.post(hook.path, ORDER, signed).status == 202


@JUMPS
def test_a_grace_of_a_day_outlives_a_jump(asgi, hook, jump):
    new = rotated(hook, grace_hours=24)
    with clock_set_to(now() + jump):
        assert [asgi.post(each.path, ORDER).status for each in (hook, new)] == [202, 202]


def test_a_grace_that_a_jump_has_ended_counts_again_when_the_clock_is_right_again(asgi, hook):
    new = rotated(hook, grace_hours=0.5)
    with clock_set_to(now() + HOUR):
        assert [asgi.post(each.path, ORDER).status for each in (hook, new)] == [404, 202]
    assert asgi.post(hook.path, ORDER).status == 202


@JUMPS
def test_what_was_rotated_without_grace_opens_nothing_whatever_the_clock_says(asgi, hook, jump):
    new = rotated(hook)
    with clock_set_to(now() + jump):
        assert [asgi.post(each.path, ORDER).status for each in (hook, new)] == [404, 202]


@JUMPS
def test_an_event_that_is_sent_again_after_a_jump_is_the_same(asgi, database, jump):
    store_dag("orders")
    hook = store_webhook(mapping={}, dedup="${Webhook::Body.number}")
    first = asgi.post(hook.path, ORDER).json
    with clock_set_to(now() + jump):
        assert asgi.post(hook.path, ORDER).json == first | {"status": "duplicate"}


@JUMPS
def test_a_dispatcher_shows_life_again_soon_after_a_jump(sqlite_database, jump):
    import asyncio

    from inbound_webhooks.monitoring.health import Health
    from tests.infrastructure.database_status import database_status

    with running(dispatcher(dispatcher_poll_seconds=0.05)), clock_set_to(now() + jump):
        wait_until(lambda: asyncio.run(Health(database_status).report()).status == 200)


def test_a_day_ends_between_request_commit_and_run(asgi, hook):
    late = datetime(2026, 12, 31, 23, 59, 57, tzinfo=timezone.utc)
    with clock_set_to(late), running(dispatcher(dispatcher_poll_seconds=0.05)):
        ids = [post(asgi, hook) for _ in range(2)]
        wait_until(lambda: datetime.now(timezone.utc).year == 2027)
        ids += [post(asgi, hook) for _ in range(2)]
        wait_until(lambda: states() == ["dispatched"] * 4)
    assert each_ran_once(ids)
    assert {row.received_at.year for row in rows("delivery")} == {2026, 2027}
    assert [row.id for row in rows("delivery")] == ids


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's own time is one with a summer."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    os.environ.pop("TZ", None)
    time.tzset()


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 10, 25, 0, 59, 59, tzinfo=timezone.utc),  # 02:59:59, then 02:00:00 once more
        datetime(2026, 3, 29, 0, 59, 59, tzinfo=timezone.utc),  # 01:59:59, then 03:00:00
    ],
    ids=["the hour that comes twice", "the hour that is left out"],
)
def test_a_summer_begins_or_ends_between_two_deliveries(asgi, hook, in_berlin, moment):
    with clock_set_to(moment), running(dispatcher(dispatcher_poll_seconds=0.05)):
        ids = [post(asgi, hook)]
        time.sleep(1.1)
        ids.append(post(asgi, hook))
        wait_until(lambda: states() == ["dispatched"] * 2)
    first, second = rows("delivery")
    assert each_ran_once(ids)
    assert timedelta(seconds=1) < second.received_at - first.received_at < timedelta(seconds=30)
    written = [json.loads(row.conf)["at"] for row in (first, second)]
    assert [datetime.fromisoformat(at) for at in written] == [first.received_at, second.received_at]
    assert all(at.endswith("+00:00") for at in written)
