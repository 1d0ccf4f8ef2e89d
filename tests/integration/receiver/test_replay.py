"""A stored delivery once more: nothing that was sent is lost to a mistake in a mapping."""

from __future__ import annotations

import pytest

from tests.infrastructure.webhooks_builder import (
    ACTOR,
    audit_rows,
    change_webhook,
    delivery,
    now,
    rows,
    states,
    store_delivery,
    store_webhook,
)

SENT = b'{"number": "many", "count": 3}'


def replay(delivery_id: str, **how):
    from inbound_webhooks.deliveries.replay import replay
    from inbound_webhooks.receiver.instance import get_receiver

    return replay(get_receiver(), delivery_id, actor=ACTOR, **how)


@pytest.fixture
def refused(asgi, orders):
    """The id of a delivery that its webhook's mapping refused."""
    assert asgi.post(orders.path, SENT).status == 422
    return rows("delivery")[0].id


def test_a_refused_delivery_is_accepted_once_the_mapping_is_mended(orders, refused):
    change_webhook(orders.id, mapping={"number": "${Webhook::Body.count}"})
    again = replay(refused)
    stored = delivery(again.id)
    assert (stored.state, stored.conf, stored.replay_of, stored.body) == (
        "accepted",
        '{"number":3}',
        refused,
        SENT,
    )
    assert delivery(refused).state == "refused"


def test_the_senders_own_repetition_of_a_refused_event_that_was_replayed_is_a_duplicate(asgi, orders):
    change_webhook(orders.id, dedup="${Webhook::Body.count}")
    asgi.post(orders.path, SENT)
    change_webhook(orders.id, mapping={"number": "${Webhook::Body.count}"})
    again = replay(rows("delivery")[0].id)
    assert asgi.post(orders.path, SENT).json == {"status": "duplicate", "delivery_id": again.id}
    assert states() == ["accepted", "refused"]


def test_a_refused_event_that_its_sender_repeated_with_success_can_be_replayed_all_the_same(asgi, orders):
    change_webhook(orders.id, dedup="${Webhook::Body.count}")
    asgi.post(orders.path, SENT)
    refused_id = rows("delivery")[0].id
    change_webhook(orders.id, mapping={"number": "${Webhook::Body.count}"})
    asgi.post(orders.path, SENT)
    assert delivery(replay(refused_id).id).dedup_key is None
    assert states() == ["accepted", "accepted", "refused"]


def test_a_refused_delivery_stays_refused_while_the_mapping_is_as_it_was(orders, refused):
    from inbound_webhooks.errors import NotReplayable

    with pytest.raises(NotReplayable, match="number"):
        replay(refused)
    assert states() == ["refused"]


@pytest.mark.parametrize(("remap", "conf"), [(False, '{"number":1}'), (True, '{"number":2}')])
def test_an_accepted_delivery_is_replayed_with_the_conf_of_then_unless_mapped_anew(asgi, orders, remap, conf):
    asgi.post(orders.path, b'{"number": 1, "other": 2}')
    change_webhook(orders.id, mapping={"number": "${Webhook::Body.other}"})
    again = replay(rows("delivery")[0].id, remap=remap)
    assert delivery(again.id).conf == conf


def test_a_replay_runs_the_dag_that_the_webhook_has_today(database):
    hook = store_webhook()
    first = store_delivery(hook, dag_id="of then", state="dispatched", run_id="of then", attempts=3)
    change_webhook(hook.id, dag_id="of today")
    again = delivery(replay(first).id)
    assert (again.dag_id, again.state, again.run_id, again.attempts) == ("of today", "accepted", None, 0)


def test_a_replay_of_a_compressed_body_is_read_as_it_was_sent(asgi, database):
    import gzip

    hook = store_webhook(mapping={"number": "${Webhook::Body.number}"})
    headers = [("content-type", "application/json"), ("content-encoding", "gzip")]
    asgi.post(hook.path, gzip.compress(b'{"number": 4}'), headers)
    assert replay(rows("delivery")[0].id, remap=True).conf == '{"number":4}'


def test_a_replay_is_in_the_audit_log_with_its_user(orders, asgi):
    asgi.post(orders.path, b'{"number": 1}')
    again = replay(rows("delivery")[0].id)
    entry = audit_rows()[-1]
    assert (entry.event, entry.owner, entry.dag_id) == ("webhook.replay", ACTOR, "orders")
    assert again.id in entry.extra


def test_a_replay_wakes_the_dispatcher(orders, asgi):
    from inbound_webhooks.receiver.instance import get_receiver

    asgi.post(orders.path, b'{"number": 1}')
    states_when_woken: list[list[str]] = []
    get_receiver().inbox.on_accepted(lambda: states_when_woken.append(states()))
    replay(rows("delivery")[0].id)
    assert states_when_woken == [["accepted", "accepted"]]


@pytest.mark.parametrize("change", ["disable", "delete", "unknown"])
def test_what_cannot_be_replayed_says_why(orders, asgi, change):
    from inbound_webhooks.errors import DeliveryNotFound, NotReplayable
    from inbound_webhooks.webhooks import service

    asgi.post(orders.path, b'{"number": 1}')
    stored, expected = rows("delivery")[0].id, NotReplayable
    if change == "disable":
        service.set_enabled(orders.id, False, actor=ACTOR)
    elif change == "delete":
        service.delete(orders.id, actor=ACTOR)
    else:
        stored, expected = "0" * 32, DeliveryNotFound
    with pytest.raises(expected, match=r"disabled|deleted|no delivery"):
        replay(stored)
    assert len(rows("delivery")) == 1


def test_a_body_over_todays_limit_is_not_replayed_with_a_reason(orders, asgi, refused, configure):
    import gzip

    from inbound_webhooks.errors import WebhookError

    headers = [("content-type", "application/json"), ("content-encoding", "gzip")]
    asgi.post(orders.path, gzip.compress(b" " * 5000 + SENT), headers)
    configure(max_body_bytes=1000)
    with pytest.raises(WebhookError):
        replay(rows("delivery")[-1].id)


# --- without bodies, and with deduplication -------------------------------------------------


def test_without_stored_bodies_a_delivery_keeps_none_and_is_replayed_as_then(orders, asgi, configure):
    configure(store_bodies=False)
    asgi.post(orders.path, b'{"number": 1}')
    (first,) = rows("delivery")
    assert (first.body, first.body_stored, first.conf) == (b"", False, '{"number":1}')
    again = delivery(replay(first.id).id)
    assert (again.conf, again.state, again.body_stored) == ('{"number":1}', "accepted", False)


def test_without_its_body_a_delivery_is_not_mapped_anew_and_says_so(orders, asgi, configure):
    from inbound_webhooks.errors import NotReplayable

    configure(store_bodies=False)
    asgi.post(orders.path, b'{"number": 1}')
    with pytest.raises(NotReplayable, match="store_bodies"):
        replay(rows("delivery")[0].id, remap=True)


def test_without_its_body_a_refused_delivery_cannot_be_replayed_and_says_so(orders, asgi, configure):
    from inbound_webhooks.errors import NotReplayable

    configure(store_bodies=False)
    assert asgi.post(orders.path, SENT).status == 422
    with pytest.raises(NotReplayable, match="no conf"):
        replay(rows("delivery")[0].id)
    assert states() == ["refused"]


@pytest.mark.parametrize("remap", [False, True])
def test_a_deduplication_key_never_stops_a_replay(asgi, orders, remap):
    change_webhook(orders.id, dedup="${Webhook::Body.number}")
    asgi.post(orders.path, b'{"number": 1}')
    first = rows("delivery")[0].id
    replays = [replay(first, remap=remap).id for _ in range(2)]
    assert states() == ["accepted"] * 3
    assert {delivery(again).replay_of for again in replays} == {first}
    assert asgi.post(orders.path, b'{"number": 1}').status == 202
    assert len(rows("delivery")) == 3


def test_a_replay_of_what_has_ended_begins_anew(database):
    hook = store_webhook()
    ended = {"state": "failed", "run_id": "of then", "failed_tasks": "[]", "finished_at": now()}
    first = store_delivery(hook, run_started_at=now(), **ended)
    again = delivery(replay(first).id)
    assert (again.state, again.run_id, again.finished_at, again.run_started_at, again.failed_tasks) == (
        *("accepted", None, None, None, None),
    )
