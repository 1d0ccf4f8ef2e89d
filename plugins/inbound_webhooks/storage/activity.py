"""The hourly counts as pages read them; hours that no dispatcher has counted yet are counted here and now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow.models.taskinstance import TaskInstance
from sqlalchemy import Connection, case, func, literal, null, select, union_all

from inbound_webhooks.records.activity import (
    HOUR_SECONDS,
    Activity,
    Counted,
    Histogram,
    hour_of,
    start_of,
)
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.listing import first_id_at

ALL_WEBHOOKS = ""
"""In the place of a webhook's id: the sums over all webhooks."""

MOST_COUNTED = 10_000
"""Newest deliveries of a webhook, or of all together, that a page counts; more would slow every page."""

MOST_TIMED = 1_000
"""Of these, the newest whose latencies a page looks up: each one reads Airflow's task instances."""

MOST_SUMMED = 1_000
"""Webhooks that are summed for a user who may not see all of them."""

Cells = dict[tuple[str, int], Counted]
"""(webhook, hour) -> its deliveries."""

_TIME_CHARS = 12  # of a UUID version 7: milliseconds since 1970
_COUNTS = tables.activity.c
_DELIVERY = tables.delivery.c


def counted_until(connection: Connection) -> int:
    """The first hour that has not been counted since it ended."""
    columns = tables.activity_hour.c
    counted = select(func.max(columns.hour)).where(columns.passes > 0).scalar_subquery()
    newest, begun = connection.execute(select(counted, func.min(columns.hour))).one()
    # Counting begins with the hour of the oldest delivery.
    return int(begun or 0) if newest is None else int(newest) + 1


def read_activity(
    connection: Connection, webhook_ids: Sequence[str], now: datetime, *, hours: int, latencies: bool = True
) -> dict[str, Activity]:
    """The last hours of some webhooks, the current one included.

    :param latencies: whether those of hours that are not counted yet are needed
    """
    first, last = hour_of(now) - hours + 1, hour_of(now)
    live_from = max(counted_until(connection), first)
    stored = _stored(connection, webhook_ids, first)
    newest = union_all(*(_newest(live_from, _DELIVERY.webhook_id == each) for each in webhook_ids))
    live = _live(connection, newest.subquery(), live_from, last)
    if latencies:
        _add_latencies(connection, live, live_from, _DELIVERY.webhook_id.in_(webhook_ids))
    return {
        each: _combined(_of(stored, each), _of(live, each), range(first, last + 1), live_from)
        for each in webhook_ids
    }


def read_total(
    connection: Connection, now: datetime, *, hours: int, among: Collection[str] | None = None
) -> Activity:
    """The last hours of all webhooks together, or of those ``among`` them, the current one included."""
    first, last = hour_of(now) - hours + 1, hour_of(now)
    live_from = max(counted_until(connection), first)
    if among is None:
        stored, condition = _stored(connection, [ALL_WEBHOOKS], first), _DELIVERY.id.is_not(None)
    else:
        stored, condition = _summed(connection, among, first), _DELIVERY.webhook_id.in_(sorted(among))
    live = _live(connection, _newest(live_from, condition, ALL_WEBHOOKS).subquery(), live_from, last)
    _add_latencies(connection, live, live_from, condition, ALL_WEBHOOKS)
    return _combined(_of(stored, ALL_WEBHOOKS), _of(live, ALL_WEBHOOKS), range(first, last + 1), live_from)


def _of(cells: Cells, webhook_id: str) -> dict[int, Counted]:
    return {hour: cell for (found, hour), cell in cells.items() if found == webhook_id}


def _combined(
    stored: Mapping[int, Counted], live: Mapping[int, Counted], hours: range, live_from: int
) -> Activity:
    """Stored counts up to ``live_from``, and counts of now from there on, as far as they are complete."""
    cut = min(live) if sum(cell.total for cell in live.values()) >= MOST_COUNTED else None
    by_hour = {hour: stored.get(hour, Counted()) for hour in hours}
    for hour in range(live_from, hours.stop):
        found = live.get(hour, Counted())
        # Where there are too many to be counted now, a count of a moment ago comes closer.
        if cut is None or found.total > by_hour[hour].total:
            by_hour[hour] = found
    if cut == live_from and by_hour[cut] is not live[cut]:
        cut = None
    return Activity(hours.start, tuple(by_hour.values()), cut, live_from)


# --- stored counts --------------------------------------------------------------------------


def _stored(connection: Connection, webhook_ids: Collection[str], first: int) -> Cells:
    columns = tables.activity.c
    query = select(tables.activity).where(columns.webhook_id.in_(webhook_ids), columns.hour >= first)
    return _cells(connection.execute(query))


def _summed(connection: Connection, among: Collection[str], first: int) -> Cells:
    """Sums over some webhooks; their latencies are left out, because no database can sum those."""
    rows = connection.execute(
        select(
            literal(ALL_WEBHOOKS).label("webhook_id"),
            _COUNTS.hour,
            _COUNTS.state,
            func.sum(_COUNTS.count).label("count"),
            null().label("to_run"),
            null().label("to_task"),
        )
        .where(_COUNTS.webhook_id.in_(sorted(among)), _COUNTS.hour >= first)
        .group_by(_COUNTS.hour, _COUNTS.state)
    )
    return _cells(rows)


def _cells(rows: Iterable[Any]) -> Cells:
    parts: dict[tuple[str, int], list[Counted]] = {}
    for row in rows:
        # By position: a row has a method that is named like the column.
        webhook_id, hour, state, count, to_run, to_task = row
        found = Counted({state: int(count)}, Histogram.loads(to_run), Histogram.loads(to_task))
        parts.setdefault((webhook_id, hour), []).append(found)
    return {key: Counted.merged(found) for key, found in parts.items()}


# --- deliveries that are not counted yet ----------------------------------------------------


def _newest(first: int, condition: Any, webhook_id: str | None = None) -> Any:
    """The newest deliveries from an hour on; all of them under one ``webhook_id`` where it is given."""
    shown = _DELIVERY.webhook_id if webhook_id is None else literal(webhook_id).label("webhook_id")
    rows = (
        select(shown, _DELIVERY.id, _DELIVERY.state)
        .where(condition, _DELIVERY.id >= first_id_at(start_of(first)))
        .order_by(_DELIVERY.id.desc())
        .limit(MOST_COUNTED)
    )
    # SQLite accepts ORDER BY and LIMIT in a part of a UNION only inside a subquery.
    return select(rows.subquery())


def _live(connection: Connection, newest: Any, first: int, last: int) -> Cells:
    """Deliveries by webhook and hour."""
    columns = newest.c
    starts = {hour: columns.id >= first_id_at(start_of(hour)) for hour in range(last, first - 1, -1)}
    hour = case(*((is_later, hour) for hour, is_later in starts.items()), else_=first).label("hour")
    rows = connection.execute(
        select(columns.webhook_id, hour, columns.state, func.count(), null(), null()).group_by(
            columns.webhook_id, hour, columns.state
        )
    )
    return _cells(rows)


def _add_latencies(
    connection: Connection, cells: Cells, first: int, condition: Any, webhook_id: str | None = None
) -> None:
    """Add the latencies of the newest runs to the cells of their deliveries."""
    query = timed().where(condition, _DELIVERY.id >= first_id_at(start_of(first)))
    found: dict[tuple[str, int], list[Timed]] = {}
    for row in connection.execute(query.order_by(_DELIVERY.id.desc()).limit(MOST_TIMED)):
        one = Timed(*row)
        key = (one.webhook_id if webhook_id is None else webhook_id, hour_of_id(one.id))
        found.setdefault(key, []).append(one)
    for key, ones in found.items():
        if key in cells:
            cells[key] = Counted(cells[key].states, *latencies_of(ones))


def hour_of_id(delivery_id: str) -> int:
    """The hour of a delivery's id."""
    return int(delivery_id[:_TIME_CHARS], 16) // (HOUR_SECONDS * 1000)


@dataclass(frozen=True)
class Timed:
    """A delivery with a run; ``task_at`` is None before the first task, and where a task was repeated."""

    webhook_id: str
    id: str
    state: str
    received_at: datetime
    dispatched_at: datetime
    task_at: datetime | None


def timed() -> Any:
    """A query of :class:`Timed`."""
    # A task that is cleared or retried forgets when it started first.
    task = TaskInstance.__table__.c
    started = (
        select(case((func.max(task.try_number) > 1, None), else_=func.min(task.start_date)))
        .where(task.dag_id == _DELIVERY.dag_id, task.run_id == _DELIVERY.run_id)
        .correlate(tables.delivery)
        .scalar_subquery()
    )
    columns = (getattr(_DELIVERY, name) for name in ("webhook_id", "id", "state"))
    return select(*columns, _DELIVERY.received_at, _DELIVERY.dispatched_at, started.label("task_at")).where(
        _DELIVERY.dispatched_at.is_not(None)
    )


def latencies_of(ones: Sequence[Timed]) -> tuple[Histogram, Histogram]:
    """Until the run was created, and until its first task started."""
    return (
        Histogram.of(one.dispatched_at - one.received_at for one in ones),
        Histogram.of(one.task_at - one.received_at for one in ones if one.task_at is not None),
    )
