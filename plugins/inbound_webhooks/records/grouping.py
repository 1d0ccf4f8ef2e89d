"""Declares the fields of a webhook that make one run of several events, or order the events of a key."""

from __future__ import annotations

from collections.abc import Mapping

from inbound_webhooks.event.sizes import (
    CANCEL_RUNNING,
    MAX_AT_MOST_SECONDS,
    MAX_BATCH_SIZE,
    MAX_GROUP_SECONDS,
    MIN_BATCH_SIZE,
    QUEUE,
    SKIP,
)
from inbound_webhooks.records.webhook_fields import declared


def _when_busy() -> Mapping[str, str]:
    return {
        QUEUE: "Queue: its runs follow in order",
        SKIP: "Skip the event",
        CANCEL_RUNNING: "Cancel the running one",
    }


BATCH_SIZE = declared(
    label="Events of a batch",
    help=f"Makes one run of up to so many events, {MIN_BATCH_SIZE} to {MAX_BATCH_SIZE:,}; "
    "its conf has a list, events.",
    hint="One run gets up to so many events, as the list events of its conf. Empty: a run for each event.",
    flag="--batch-size",
    metavar="N",
    section="grouping",
    minimum=MIN_BATCH_SIZE,
    maximum=MAX_BATCH_SIZE,
)
BATCH_SECONDS = declared(
    label="Seconds of a batch",
    help="Closes a batch so many seconds after its first event, however few there are.",
    flag="--batch-seconds",
    metavar="S",
    section="grouping",
    minimum=1,
    maximum=MAX_GROUP_SECONDS,
)
BATCH_BY = declared(
    label="Batch by",
    help="An expression; events with the same value share a batch. Without it, all events do.",
    hint="An expression; events with the same value share a batch. Empty: all events do.",
    flag="--batch-by",
    metavar="EXPRESSION",
    section="grouping",
    wide=True,
    is_code=True,
    completes=True,
)
LATEST_BY = declared(
    label="Only the latest by",
    help="An expression; of the events with the same value, only the newest runs, once no more follow.",
    flag="--latest-by",
    metavar="EXPRESSION",
    section="grouping",
    wide=True,
    is_code=True,
    completes=True,
)
QUIET_SECONDS = declared(
    label="Quiet seconds",
    help="How long no newer event may follow before the newest one runs.",
    flag="--quiet-seconds",
    metavar="S",
    section="grouping",
    minimum=1,
    maximum=MAX_GROUP_SECONDS,
)
AT_MOST_SECONDS = declared(
    label="At most seconds",
    help="How long after the first event the newest one runs, even if more follow.",
    flag="--at-most-seconds",
    metavar="M",
    section="grouping",
    minimum=1,
    maximum=MAX_AT_MOST_SECONDS,
)
ONE_AT_A_TIME = declared(
    label="One at a time by",
    help="An expression; of the events with the same value, one run is active at a time.",
    flag="--one-at-a-time",
    metavar="EXPRESSION",
    section="grouping",
    wide=True,
    is_code=True,
    completes=True,
)
WHEN_BUSY = declared(
    label="When a run of the key is active",
    help="What an event does while a run of its key is active: wait in order, start nothing, or cancel it.",
    flag="--when-busy",
    metavar=f"{QUEUE}|{SKIP}|{CANCEL_RUNNING}",
    section="grouping",
    choices=_when_busy,
)
CANCEL_ON = declared(
    label="Cancel on",
    help="A condition; an event for which it is true starts nothing, and cancels what its key runs or waits "
    "for.",
    flag="--cancel-on",
    metavar="EXPRESSION",
    section="grouping",
    wide=True,
    is_code=True,
    completes=True,
    example='body.action == "closed"',
)
