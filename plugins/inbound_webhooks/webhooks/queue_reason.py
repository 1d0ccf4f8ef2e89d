"""Why a delivery waits for Airflow's queue: the room in it, counted once a second in this process."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Connection

from inbound_webhooks.airflow_bridge.queued_runs import QueuedRuns
from inbound_webhooks.records.target import needs_room
from inbound_webhooks.settings import read_option
from inbound_webhooks.storage.threads import run_in_thread


def queue_reason(connection: Connection, target: Any) -> str | None:
    """The sentence about the queue that a webhook's deliveries, or one, wait for; None where they do not.

    :param target: a webhook or a delivery
    """
    if not needs_room(target):
        return None
    room = _queued_runs(*_limits()).room(lambda work: work(connection))
    return None if room is None else room.reason(target.dag_id)


async def count_queued() -> int | None:
    """Runs that wait for Airflow's scheduler, for the health report; None without a limit on them."""
    room = await run_in_thread(_queued_runs(*_limits()).room)
    return None if room is None else room.queued


def _limits() -> tuple[int, int]:
    # Pages open, and health answers, where another option is unusable.
    return read_option("max_queued_runs"), read_option("dag_queue_percent")


@cache
def _queued_runs(limit: int, dag_percent: int) -> QueuedRuns:
    return QueuedRuns(limit, dag_percent)
