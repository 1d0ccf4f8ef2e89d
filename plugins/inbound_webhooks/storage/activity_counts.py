"""Statements of the activity counter: which hours are due, count some webhooks of one, store what was found.

A count replaces what an earlier one stored, so it may be repeated at any time. To store one, a counter
names the version that the hour had before it counted: of two counters, the one whose view may be older
stores nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    String,
    cast,
    delete,
    func,
    insert,
    null,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from inbound_webhooks.records.activity import Counted, Histogram, start_of
from inbound_webhooks.records.delivery import State
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.activity import ALL_WEBHOOKS, Timed, hour_of_id, latencies_of, timed
from inbound_webhooks.storage.listing import OPEN_STATES, first_id_at

_DELIVERY = tables.delivery.c
_COUNTS = tables.activity.c
_HOURS = tables.activity_hour.c

Counts = Mapping[tuple[str, str], Counted]
"""(webhook, state) -> the deliveries of an hour."""


@dataclass(frozen=True)
class HourRow:
    """An hour that is counted: its version, how many planned counts are done, and when the last one was."""

    hour: int
    version: int
    passes: int
    counted_at: datetime | None


def hour_rows(connection: Connection, since: int) -> list[HourRow]:
    """The hours from one on, oldest first."""
    rows = connection.execute(select(tables.activity_hour).where(_HOURS.hour >= since).order_by(_HOURS.hour))
    return [HourRow(**row._mapping) for row in rows]


def add_hours(connection: Connection, hours: Iterable[int]) -> None:
    """Note hours to count; another counter may have noted them too."""
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = [{"hour": hour, "version": 0, "passes": 0, "counted_at": None} for hour in hours]
    connection.execute(dialect.insert(tables.activity_hour).on_conflict_do_nothing(), rows)


def oldest_hour(connection: Connection, default: int) -> int:
    """The hour of the oldest delivery, ``default`` if there is none."""
    oldest = connection.scalar(select(func.min(_DELIVERY.id)))
    return default if oldest is None else hour_of_id(oldest)


def hours_with_unfinished(connection: Connection, since: int) -> set[int]:
    """Hours in which the last count found deliveries whose state will change."""
    query = select(_COUNTS.hour).distinct()
    return set(connection.scalars(query.where(_COUNTS.state.in_(OPEN_STATES), _COUNTS.hour >= since)))


def webhooks_with_deliveries(connection: Connection, hour: int, *, after: str, limit: int) -> list[str]:
    """Webhooks with deliveries of an hour, in order of their ids, beginning behind ``after``."""
    columns = tables.webhook.c
    any_delivery = select(_DELIVERY.id).where(_DELIVERY.webhook_id == columns.id, *_within(hour))
    query = select(columns.id).where(columns.id > after, any_delivery.correlate(tables.webhook).exists())
    return list(connection.scalars(query.order_by(columns.id).limit(limit)))


def webhooks_with_unfinished(connection: Connection, hour: int, *, after: str, limit: int) -> list[str]:
    """Webhooks in whose deliveries of an hour the last count found some whose state will change."""
    query = select(_COUNTS.webhook_id).distinct()
    unfinished = (_COUNTS.state.in_(OPEN_STATES), _COUNTS.hour == hour, _COUNTS.webhook_id > after)
    return list(connection.scalars(query.where(*unfinished).order_by(_COUNTS.webhook_id).limit(limit)))


def count_hour(connection: Connection, hour: int, webhook_ids: Collection[str]) -> Counts:
    """Count the deliveries of an hour: one statement, so each of them is in one state."""
    mine = (_DELIVERY.webhook_id.in_(webhook_ids), *_within(hour))
    numbers = (
        select(
            _DELIVERY.webhook_id,
            cast(null(), String),
            _DELIVERY.state,
            *(cast(null(), _DELIVERY.received_at.type) for _ in range(3)),
            func.count(),
        )
        .where(_DELIVERY.dispatched_at.is_(None), *mine)
        .group_by(_DELIVERY.webhook_id, _DELIVERY.state)
    )
    runs = timed().where(*mine).add_columns(cast(null(), Integer))
    states: dict[tuple[str, str], int] = {}
    ones: dict[tuple[str, str], list[Timed]] = {}
    for *values, number in connection.execute(union_all(runs, numbers)):
        one = Timed(*values)
        key = (one.webhook_id, one.state)
        states[key] = states.get(key, 0) + (1 if number is None else number)
        if number is None:
            ones.setdefault(key, []).append(one)
    return {
        key: Counted({key[1]: number}, *latencies_of(ones.get(key, ()))) for key, number in states.items()
    }


def _within(hour: int) -> tuple[Any, Any]:
    return _DELIVERY.id >= first_id_at(start_of(hour)), _DELIVERY.id < first_id_at(start_of(hour + 1))


def claim_hour(connection: Connection, row: HourRow) -> bool:
    """Lock an hour, if no other counter has stored anything since it was read."""
    seen = (_HOURS.hour == row.hour, _HOURS.version == row.version)
    done = connection.execute(update(tables.activity_hour).where(*seen).values(version=row.version + 1))
    return done.rowcount == 1


def store_counts(connection: Connection, hour: int, webhook_ids: Collection[str], counts: Counts) -> None:
    """Replace what is stored about some webhooks in an hour that the caller has claimed."""
    mine = (_COUNTS.webhook_id.in_(webhook_ids), _COUNTS.hour == hour)
    connection.execute(delete(tables.activity).where(*mine))
    rows = [
        {
            "webhook_id": webhook_id,
            "hour": hour,
            "state": state,
            "count": counted.total,
            "to_run": counted.to_run.dumps(),
            "to_task": counted.to_task.dumps(),
        }
        for (webhook_id, state), counted in counts.items()
    ]
    if rows:
        connection.execute(insert(tables.activity), rows)


def finish_hour(connection: Connection, row: HourRow, *, passes: int, at: datetime) -> None:
    """Store the sums over all webhooks for an hour that the caller has claimed, and that it is counted."""
    store_counts(connection, row.hour, [ALL_WEBHOOKS], _sums(connection, row.hour))
    values = {"passes": passes, "counted_at": at}
    connection.execute(update(tables.activity_hour).where(_HOURS.hour == row.hour).values(values))


def _sums(connection: Connection, hour: int) -> Counts:
    # All states by name, for the index. The join leaves out a webhook that was deleted while it was counted.
    rows = connection.execute(
        select(_COUNTS.state, tables.activity.c["count"], _COUNTS.to_run, _COUNTS.to_task)
        .join(tables.webhook, tables.webhook.c.id == _COUNTS.webhook_id)
        .where(_COUNTS.state.in_(State.ALL), _COUNTS.hour == hour)
    )
    parts: dict[tuple[str, str], list[Counted]] = {}
    for state, number, to_run, to_task in rows:
        found = Counted({state: number}, Histogram.loads(to_run), Histogram.loads(to_task))
        parts.setdefault((ALL_WEBHOOKS, state), []).append(found)
    return {key: Counted.merged(found) for key, found in parts.items()}


def forget_webhook(connection: Connection, webhook_id: str) -> None:
    """Delete the counts of a webhook; its hours are due, for their sums over all webhooks."""
    hours = select(_COUNTS.hour).where(_COUNTS.webhook_id == webhook_id).distinct()
    # In order, so that two deletions do not wait for each other.
    locked = select(_HOURS.hour).where(_HOURS.hour.in_(hours)).order_by(_HOURS.hour).with_for_update()
    found = list(connection.scalars(locked))
    connection.execute(delete(tables.activity).where(_COUNTS.webhook_id == webhook_id))
    changed = update(tables.activity_hour).where(_HOURS.hour.in_(found))
    connection.execute(changed.values(version=_HOURS.version + 1, counted_at=None))


def delete_counts(connection: Connection, *, before: int, limit: int) -> int:
    """Delete counts of hours before one; return how many."""
    key = (_COUNTS.webhook_id, _COUNTS.hour, _COUNTS.state)
    old = select(*key).where(_COUNTS.state.in_(State.ALL), _COUNTS.hour < before).limit(limit)
    chosen: Sequence[Any] = connection.execute(old.with_for_update(skip_locked=True)).all()
    if chosen:
        connection.execute(delete(tables.activity).where(tuple_(*key).in_([tuple(row) for row in chosen])))
    connection.execute(delete(tables.activity_hour).where(_HOURS.hour < before))
    return len(chosen)
