"""Deliveries that arrive together are committed together, at both endpoints; each gets its own response."""

from __future__ import annotations

import threading

from tests.infrastructure.asgi_endpoint import JSON
from tests.infrastructure.webhooks_builder import change_webhook, rows, store_webhook
from tests.promises.test_changes_between import hold_row

BODIES = [b'{"order": %d}' % number for number in range(6)]


def bodies_in(messages: list[bytes]) -> list[int]:
    """How many of our bodies each message to the database has that has any."""
    counts = [sum(message.count(body) for body in BODIES) for message in messages]
    return [count for count in counts if count]


def test_what_waits_for_a_change_of_its_webhook_is_committed_together(
    asgi, proxy, postgres_cluster, configure
):
    # One webhook has half of the slots.
    configure(max_waiting_requests=len(BODIES), max_concurrent_requests=2 * len(BODIES))
    hook = store_webhook()
    assert asgi.post(hook.path, b"{}").status == 202
    messages: list[bytes] = []
    proxy.lose_when(lambda message: bool(messages.append(message)), heard=False)
    holder, statuses = hold_row(postgres_cluster), []

    def send_all() -> None:
        sent = [asgi.send("POST", hook.path, headers=JSON, chunks=[body]) for body in BODIES]
        statuses.extend(reply.status for reply in asgi.together(*sent))

    sending = threading.Thread(target=send_all)
    sending.start()
    postgres_cluster.wait_until_blocked()
    # No commit waits for the row: it skips these deliveries, and one connection waits for all of them.
    sending.join(0.5)
    assert statuses == []
    skipped = bodies_in(messages)
    assert sum(skipped) == len(BODIES)
    messages.clear()
    holder.rollback()
    sending.join(10)
    assert statuses == [202] * len(BODIES)
    assert sorted(row.body for row in rows("delivery")) == [*sorted([*BODIES, b"{}"])]
    counts = bodies_in(messages)
    assert sum(counts) == len(BODIES)
    assert len(counts) <= 3


def test_a_request_whose_webhook_changed_is_judged_alone(asgi, proxy, postgres_cluster):
    """Two webhooks in one batch: what happened to one is no matter to the other."""
    kept, changed = store_webhook(name="kept"), store_webhook(name="changed")
    for hook in (kept, changed):
        assert asgi.post(hook.path, b"{}").status == 202
    change_webhook(changed.id, enabled=False)
    sent = [asgi.send("POST", hook.path, headers=JSON, chunks=[b"{}"]) for hook in (kept, changed, kept)]
    assert [reply.status for reply in asgi.together(*sent)] == [202, 403, 202]
    assert len(rows("delivery")) == 4
