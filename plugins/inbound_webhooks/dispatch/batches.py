"""Batches among claimed deliveries: the first delivery of a batch is claimed, and stands for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from inbound_webhooks.airflow_bridge.dag_runs import run_id_of
from inbound_webhooks.event.conf.of_batch import batch_conf
from inbound_webhooks.records.delivery import State
from inbound_webhooks.storage import groups, tables
from inbound_webhooks.storage.claims import ClaimedDelivery


def with_batches(
    connection: Connection, claimed: list[ClaimedDelivery], *, limit_bytes: int
) -> list[ClaimedDelivery]:
    """The claimed deliveries, with the conf of the whole batch where one stands for a batch.

    Batches for which ``limit_bytes`` has no room are left out, and are due in the next round as well.
    """
    if all(delivery.batch_id is None for delivery in claimed):
        return claimed
    left = limit_bytes - sum(len(each.conf or "") for each in claimed if each.batch_id is None)
    found: list[ClaimedDelivery] = []
    for delivery in claimed:
        if delivery.batch_id is not None:
            if left <= 0 and found:
                continue
            confs = groups.batch_confs(connection, delivery.batch_id)
            conf = batch_conf(confs.values())
            delivery = replace(delivery, conf=conf, deliveries=len(confs))
            left -= len(conf)
        found.append(delivery)
    return found


def mark_batches_dispatched(connection: Connection, batch: Sequence[ClaimedDelivery], at: datetime) -> None:
    """Record the runs of batches on all of their deliveries."""
    for delivery in batch:
        if delivery.batch_id is not None:
            values = {
                "state": State.DISPATCHED,
                "attempts": tables.delivery.c.attempts + 1,
                "next_attempt_at": None,
                "run_id": run_id_of(delivery),
                "dispatched_at": at,
                "error": None,
            }
            groups.mark_batch(connection, delivery.batch_id, values)
