"""Deliveries, their states, and rejections."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec
import uuid_utils


class State:
    """The states of a delivery."""

    REFUSED = "refused"
    FILTERED = "filtered"
    CANCELLED = "cancelled"
    ACCEPTED = "accepted"
    DISPATCHED = "dispatched"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNDELIVERABLE = "undeliverable"

    HELD = "held"
    BATCHED = "batched"
    SETTLING = "settling"
    IN_TURN = "in_turn"

    SPLIT = "split"
    SUPERSEDED = "superseded"
    SKIPPED = "skipped"
    UNMATCHED = "unmatched"

    NOT_DUE = (HELD, BATCHED, SETTLING, IN_TURN)
    """Verified and stored, but not due: its webhook is on hold, its batch is not full yet, newer events of
    its key may follow, or the run of an earlier event of its key has not ended."""

    GROUPED = (BATCHED, SETTLING, IN_TURN)
    """Those that wait for other events of their webhook."""

    ALL = (
        *(REFUSED, FILTERED, CANCELLED, ACCEPTED, DISPATCHED, SUCCEEDED, FAILED, UNDELIVERABLE),
        *NOT_DUE,
        *(SPLIT, SUPERSEDED, SKIPPED, UNMATCHED),
    )


def new_delivery_id() -> str:
    """A UUID version 7 (RFC 9562) as 32 hex digits: ids sort by time, within a burst and across processes."""
    # uuid-utils follows the clock; uuid6's version 7 runs ahead by a millisecond per id of a burst.
    return uuid_utils.uuid7().hex


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A stored request. ``conf``, ``headers`` and ``credentials`` are encoded as in the table.

    ``dag_id`` is empty for a webhook without a DAG; ``asset`` is then the name or URI of its asset, or None.
    ``checked_dag_hash`` is that of the DAG's version whose params have accepted ``conf``. ``custom_response``
    tells whether the response is kept in a row of its own; None where that is not known. At ``accepted_at``
    the request was decided about and handed to the database. ``wait_id`` is the wait that it is the call of;
    its ``conf`` is what the call means for the task (event/task_wait.py). ``to_match`` says that waiting
    tasks are still to be compared with it; the database decides that when it stores the delivery.
    ``logical_date``, ``run_after`` and ``note`` are the run's, as far as the webhook has fields for them.

    ``parent_id`` is the delivery that it was split from, and whose request it shares: its own columns of the
    request are empty. ``child_index`` numbers the children of a parent, and is None for the replay of a
    child. ``item_index`` is its place in a list. ``routes`` has a line of JSON for each route of a parent.

    ``group_key`` is that of its group (event/grouping.py), ``batch_id`` the first delivery of its closed
    batch, ``superseded_by`` the delivery that ran instead of it, ``cancelled_by`` the one that cancelled it.
    """

    id: str
    webhook_id: str
    webhook_name: str
    dag_id: str
    state: str
    received_at: datetime
    source_ip: str
    query_string: str
    headers: str
    credentials: str | None
    body: bytes
    conf: str | None
    response_status: int
    error: str | None = None
    event_type: str | None = None
    dedup_key: str | None = None
    replay_of: str | None = None
    attempts: int = 0
    next_attempt_at: datetime | None = None
    run_id: str | None = None
    dispatched_at: datetime | None = None
    run_started_at: datetime | None = None
    finished_at: datetime | None = None
    failed_tasks: str | None = None
    body_stored: bool = True
    checked_dag_hash: str | None = None
    custom_response: bool | None = None
    accepted_at: datetime | None = None
    wait_id: str | None = None
    asset: str | None = None
    partition_key: str | None = None
    asset_event_id: int | None = None
    to_match: bool | None = None
    logical_date: datetime | None = None
    run_after: datetime | None = None
    note: str | None = None
    parent_id: str | None = None
    child_index: int | None = None
    item_index: int | None = None
    routes: str | None = None
    group_key: str | None = None
    batch_id: str | None = None
    superseded_by: str | None = None
    cancelled_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class KeptResponse:
    """A response that a sender got; credentials are masked.

    ``id`` is the delivery's, ``headers`` JSON as in the table, ``body`` the beginning of ``body_bytes``.
    ``status`` is None where an older process kept it, and the delivery's status counts.
    """

    id: str
    headers: str
    body: bytes
    body_bytes: int
    status: int | None = None


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A request that was refused before its content was examined."""

    webhook_id: str
    rejected_at: datetime
    source_ip: str
    method: str
    status: int
    reason: str
    key_url: str | None = None
