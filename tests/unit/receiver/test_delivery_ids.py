"""Ids of deliveries: history and dispatch go by them, those of several processes together."""

from __future__ import annotations

import time

from inbound_webhooks.records.delivery import new_delivery_id


def milliseconds_of(delivery_id: str) -> int:
    """When a UUID of version 7 was made (RFC 9562, section 5.7)."""
    return int(delivery_id[:12], 16)


def test_in_a_burst_each_id_is_of_its_time_and_after_the_one_before() -> None:
    """Ids that run ahead would put what another process accepts later before them."""
    started = time.time_ns() // 1_000_000
    ids = [new_delivery_id() for _ in range(3_000)]
    ended = time.time_ns() // 1_000_000
    assert started <= milliseconds_of(ids[0])
    assert milliseconds_of(ids[-1]) <= ended
    assert ids == sorted(set(ids))
