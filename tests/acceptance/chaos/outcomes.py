"""Proves from the tables that each event of a stream for webhooks of all modes has exactly one outcome."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from tests.acceptance.chaos.checker import RUN_PREFIX, ask
from tests.acceptance.chaos.modes import (
    ASSET,
    BATCH,
    BATCH_SIZE,
    CANCEL_RUNNING,
    LATEST,
    MODES,
    QUEUE,
    ROUTES,
    RUN,
    SKIP,
    SPLIT,
    Mode,
    name_of,
)
from tests.acceptance.chaos.stream import Sent

ALL_MODES: Mapping[str, Mode] = {**MODES, **ROUTES}

STATES = {
    None: {"succeeded"},
    BATCH: {"succeeded"},
    LATEST: {"succeeded", "superseded"},
    QUEUE: {"succeeded"},
    SKIP: {"succeeded", "skipped"},
    CANCEL_RUNNING: {"succeeded", "superseded", "cancelled", "skipped"},
}
"""The final states of a webhook's events, by grouping; those of a request that is split are `split`."""

ONE_AT_A_TIME = (QUEUE, SKIP, CANCEL_RUNNING)
FAIR = (0, 429, 503)
"""Statuses instead of a 2xx: the process had died, there was no room, or no database."""


@dataclass(frozen=True)
class Row:
    """A delivery's row; ``webhook`` is the name, ``number`` that of the request, its parent's for a child."""

    id: str
    webhook: str
    number: int
    state: str
    parent_id: str | None = None
    item_index: int | None = None
    group_key: str | None = None
    run_id: str | None = None
    asset_event_id: int | None = None
    batch_id: str | None = None
    superseded_by: str | None = None
    cancelled_by: str | None = None
    cancels: bool = False
    dispatched_at: datetime | None = None
    received_at: datetime | None = None

    @property
    def mode(self) -> Mode:
        """What becomes of it; a child of a list is an event of the same webhook."""
        return Mode() if self.webhook == "each" and self.parent_id else ALL_MODES[self.webhook]

    @property
    def started(self) -> bool:
        """Whether it has started its target."""
        return self.run_id is not None or self.asset_event_id is not None

    def __str__(self) -> str:
        return f"number {self.number} ({self.webhook}, {self.id}, {self.state})"


@dataclass(frozen=True)
class Run:
    """A DAG run; ``deliveries`` are those that its conf names, in its order."""

    run_id: str
    deliveries: tuple[str, ...]
    state: str
    ended_at: datetime | None
    run_after: datetime | None = None


@dataclass(frozen=True)
class AssetEvent:
    """An event of the asset, with the delivery that its extra names."""

    id: int
    delivery_id: str


@dataclass(frozen=True)
class OnHold:
    """From the return of a hold until the call of its release."""

    begin: datetime
    end: datetime


@dataclass(frozen=True)
class Tables:
    """What the database holds once all is quiet."""

    rows: Sequence[Row]
    runs: Sequence[Run]
    events: Sequence[AssetEvent] = ()


def check(sent: Sequence[Sent], tables: Tables, held: OnHold | None = None) -> list[str]:
    """A sentence for each thing that is wrong."""
    return [
        *_lost(sent, tables),
        *_states(tables),
        *_targets(tables),
        *_strange_targets(tables),
        *_families(tables),
        *_successors(tables),
        *_batches(sent, tables),
        *_turns(tables),
        *_order(sent, tables),
        *_starts(tables, held),
    ]


def _lost(sent: Sequence[Sent], tables: Tables) -> Iterator[str]:
    """Each number is stored once, for the webhook that it was sent to, and its senders got its id."""
    roots: dict[int, list[Row]] = defaultdict(list)
    for row in tables.rows:
        if row.parent_id is None:
            roots[row.number].append(row)
    for event in sent:
        stored = roots.pop(event.number, [])
        ids = [row.id for row in stored]
        if len(stored) != 1 or stored[0].webhook != name_of(event.number):
            yield f"number {event.number} is stored as {[str(row) for row in stored]}"
        if not event.taken_ids or not set(event.taken_ids) <= set(ids):
            yield f"number {event.number} was taken as {event.taken_ids} and is stored as {ids}"
        strange = {each.status for each in event.responses if not each.is_taken} - set(FAIR)
        if strange:
            yield f"number {event.number} got {sorted(strange)}"
    for number in roots:
        yield f"number {number} is stored and was not sent"


def _states(tables: Tables) -> Iterator[str]:
    for row in tables.rows:
        allowed = {"split"} if row.mode.target == SPLIT else STATES[row.mode.grouping]
        if row.state not in allowed:
            yield f"{row} is in no final state of its webhook"
        if row.mode.grouping == CANCEL_RUNNING and (row.state == "skipped") != row.cancels:
            yield f"{row} is skipped, or cancels others, and not both"


def _targets(tables: Tables) -> Iterator[str]:
    """Each delivery has exactly the target of its state: a run, an asset event, or none."""
    runs_of = Counter(delivery_id for run in tables.runs for delivery_id in run.deliveries)
    events_of = Counter(event.delivery_id for event in tables.events)
    for row in tables.rows:
        is_started = row.state == "succeeded" or (row.state == "cancelled" and row.started)
        wanted = (
            int(is_started and row.mode.target == RUN),
            int(is_started and row.mode.target == ASSET),
        )
        found = (runs_of[row.id], events_of[row.id])
        if found != wanted:
            yield f"{row} has {found[0]} runs and {found[1]} asset events instead of {wanted}"
        if (row.run_id is not None, row.asset_event_id is not None) != (bool(wanted[0]), bool(wanted[1])):
            yield f"{row} names run {row.run_id} and asset event {row.asset_event_id}"


def _strange_targets(tables: Tables) -> Iterator[str]:
    """Runs and asset events are those of the deliveries that name them, and have ended as these say."""
    rows = {row.id: row for row in tables.rows}
    for run in tables.runs:
        named = [rows.get(delivery_id) for delivery_id in run.deliveries]
        if not named or any(row is None or row.run_id != run.run_id for row in named):
            yield f"run {run.run_id} is of {run.deliveries}, which do not name it"
        ended_in = {"success": "succeeded", "failed": "cancelled"}.get(run.state)
        if any(row is not None and row.state != ended_in for row in named):
            yield f"run {run.run_id} is {run.state}, and its deliveries {[str(row) for row in named]}"
    for event in tables.events:
        row = rows.get(event.delivery_id)
        if row is None or row.asset_event_id != event.id:
            yield f"asset event {event.id} is of {event.delivery_id}, which does not name it"


def _families(tables: Tables) -> Iterator[str]:
    children: dict[str, list[Row]] = defaultdict(list)
    for row in tables.rows:
        if row.parent_id is not None:
            children[row.parent_id].append(row)
    for row in tables.rows:
        found = children.pop(row.id, []) if row.parent_id is None else []
        wanted = row.mode.children if row.parent_id is None else ()
        if Counter(child.webhook for child in found) != Counter(wanted):
            yield f"{row} has the children {[str(child) for child in found]}"
        if row.webhook == "each" and sorted(child.item_index or 0 for child in found) != list(
            range(len(found))
        ):
            yield f"{row} has the items {[child.item_index for child in found]}"
    for parent_id, orphans in children.items():
        yield f"{[str(row) for row in orphans]} have no parent {parent_id}"


def _successors(tables: Tables) -> Iterator[str]:
    """What was superseded or cancelled names a newer delivery of its key, and the others name none."""
    rows = {row.id: row for row in tables.rows}
    for row in tables.rows:
        named = {"superseded": row.superseded_by, "cancelled": row.cancelled_by}
        for state, other_id in named.items():
            if (row.state == state) != (other_id is not None):
                yield f"{row} names {other_id} as the one by which it is {state}"
        for other_id in filter(None, named.values()):
            other = rows.get(other_id)
            if other is None or _group(other) != _group(row) or other.id <= row.id:
                yield f"{row} ended for {other}, which is no newer one of its key"


def _batches(sent: Sequence[Sent], tables: Tables) -> Iterator[str]:
    """Each batch has at most so many deliveries, of one key and in their order, and names its first one."""
    rows = {row.id: row for row in tables.rows}
    for run in tables.runs:
        some = [rows[each] for each in run.deliveries if each in rows]
        if not any(row.mode.grouping == BATCH for row in some):
            continue
        is_sound = (
            len({_group(row) for row in some}) == 1
            and len(some) <= BATCH_SIZE
            and list(run.deliveries) == sorted(run.deliveries)
            and {row.batch_id for row in some} == {run.deliveries[0]}
            and run.run_id == f"{RUN_PREFIX}batch_{run.deliveries[0]}"
        )
        if not is_sound:
            yield f"run {run.run_id} has the deliveries {[str(row) for row in some]}"
    for earlier, later in _in_sequence(sent, tables, BATCH):
        if (earlier.batch_id or "") > (later.batch_id or ""):
            yield f"{earlier} is in a later batch than {later}"


def _turns(tables: Tables) -> Iterator[str]:
    """One run of a key is active at a time: each began after the one before had ended."""
    runs = {run.run_id: run for run in tables.runs}
    groups: dict[tuple[str, str | None], list[Row]] = defaultdict(list)
    for row in tables.rows:
        if row.mode.grouping in ONE_AT_A_TIME and row.run_id in runs:
            groups[_group(row)].append(row)
    for some in groups.values():
        for before, after in pairwise(sorted(some, key=_began)):
            ended_at = runs[before.run_id or ""].ended_at
            if ended_at is None or _began(after) < ended_at:
                yield f"{after} began while the run of {before} was active"


def _order(sent: Sequence[Sent], tables: Tables) -> Iterator[str]:
    """Of two events of a key, of which one was taken before the other was sent, the first one runs first."""
    for grouping in (LATEST, *ONE_AT_A_TIME):
        for earlier, later in _in_sequence(sent, tables, grouping):
            if earlier.started and later.started and _began(earlier) > _began(later):
                yield f"{later} ran before {earlier}"
            if earlier.id in (later.superseded_by, later.cancelled_by) or earlier.id > later.id:
                yield f"{later} ended for {earlier}, which came before it"


def _in_sequence(sent: Sequence[Sent], tables: Tables, grouping: str) -> Iterator[tuple[Row, Row]]:
    """Pairs of deliveries of a key of which one was taken before the other was sent."""
    times = {event.number: event for event in sent}
    groups: dict[tuple[str, str | None], list[Row]] = defaultdict(list)
    for row in tables.rows:
        if row.mode.grouping == grouping and row.number in times:
            groups[_group(row)].append(row)
    for some in groups.values():
        for earlier in some:
            for later in some:
                if times[earlier.number].taken_at < times[later.number].began_at:
                    yield earlier, later


def _starts(tables: Tables, held: OnHold | None) -> Iterator[str]:
    """Nothing starts between a hold and its release, nor a run before its time."""
    runs = {run.run_id: run for run in tables.runs}
    for row in tables.rows:
        began_at = row.dispatched_at if row.mode.is_held else None
        if held is not None and began_at is not None and held.begin < began_at < held.end:
            yield f"{row} was dispatched at {began_at}, on hold"
        run = runs.get(row.run_id or "")
        if row.mode.run_after_seconds and run is not None and row.received_at is not None:
            wanted = row.received_at + timedelta(seconds=row.mode.run_after_seconds)
            if run.run_after != wanted:
                yield f"{row} may run after {run.run_after} instead of {wanted}"


def _group(row: Row) -> tuple[str, str | None]:
    return row.webhook, row.group_key


def _began(row: Row) -> datetime:
    assert row.dispatched_at is not None, f"{row} has a target and was not dispatched"
    return row.dispatched_at


# --- the database ---------------------------------------------------------------------------


def read(database_url: str) -> Tables:
    """All that a stream has left, over a connection of the checker's own."""
    stored = ask(database_url, _DELIVERIES)
    numbers = {row.id: json.loads(bytes(row.body))["number"] for row in stored if row.parent_id is None}
    return Tables(
        [_row(row, numbers) for row in stored],
        [_run(row) for row in ask(database_url, _RUNS)],
        [AssetEvent(row.id, _json(row.extra)["delivery_id"]) for row in ask(database_url, _EVENTS)],
    )


def unfinished(database_url: str) -> dict[str, int]:
    """How many deliveries are not in a final state, by state."""
    return {row.state: row.number for row in ask(database_url, _UNFINISHED)}


def _row(row: Any, numbers: Mapping[str, int]) -> Row:
    columns = {name: value for name, value in row._mapping.items() if name != "body"}
    return Row(**columns, number=numbers[row.parent_id or row.id])


def _run(row: Any) -> Run:
    conf = _json(row.conf)
    deliveries = tuple(each["delivery"] for each in conf.get("events", [conf]))
    return Run(row.run_id, deliveries, row.state, row.end_date, row.run_after)


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


_UNFINISHED = """
SELECT state, count(*) AS number FROM inbound_webhook_delivery
WHERE state IN ('accepted', 'held', 'batched', 'settling', 'in_turn', 'dispatched') GROUP BY state
"""
_DELIVERIES = """
SELECT id, webhook_name AS webhook, state, parent_id, item_index, group_key, run_id, asset_event_id, batch_id,
    superseded_by, cancelled_by, conf IS NULL AS cancels, dispatched_at, received_at, body
FROM inbound_webhook_delivery
"""
_RUNS = "SELECT run_id, conf, state, end_date, run_after FROM dag_run"
_EVENTS = "SELECT id, extra FROM asset_event"
