"""Statements on deliveries that wait for others of their group: batches, the latest of a key, one at a time.

Like the dispatcher's (storage/claims.py), they go from webhook to webhook, and here from key to key, with a
probe of an index for each: neither a long queue nor the webhooks without groups cost anything.

Whatever changes a group locks the webhook FOR SHARE, then its advisory lock, then deliveries, then Airflow's
run and task instances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Text, bindparam, case, func, literal_column, select, text, update

from inbound_webhooks.records.delivery import State
from inbound_webhooks.storage import tables

MAX_PARAMETERS = 500
"""Ids of a statement: old versions of SQLite take fewer than a thousand values."""

_DELIVERY = tables.delivery.c


@dataclass(frozen=True, kw_only=True)
class Group:
    """Deliveries of a webhook in one state with one key; ``count`` up to the query's limit.

    Its first and newest delivery are those with the smallest and the largest id. ``is_busy``: a delivery of
    its key is due, or its run has not ended; ``is_left``: one of those is not being cancelled. ``cancels``:
    one of its own is to cancel the others. ``first_event_id`` and ``newest_event_id`` leave replays out; None
    where there are only replays, or where the query was not to look for them.
    """

    state: str
    group_key: str
    count: int
    first_id: str
    first_at: datetime
    newest_id: str
    newest_at: datetime
    is_busy: bool
    is_left: bool
    cancels: bool
    first_event_id: str | None = None
    newest_event_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Member:
    """A delivery of a group; ``size`` is that of its conf in characters, 0 without one.

    ``replay_of`` is what it repeats, by itself or as a child of a repeated delivery.
    """

    id: str
    received_at: datetime
    size: int
    cancels: bool
    replay_of: str | None


@dataclass(frozen=True, kw_only=True)
class Active:
    """A delivery that keeps its key busy: it is due, or its run has not ended.

    ``replay_of`` is as of a member.
    """

    id: str
    state: str
    dag_id: str
    run_id: str | None
    cancelled_by: str | None
    replay_of: str | None


def grouped_webhooks(connection: Connection, *, after: str, limit: int) -> list[str]:
    """Webhooks with deliveries that wait for others of their group, by id, beginning behind ``after``."""
    return list(connection.scalars(_WEBHOOKS, {"after": after, "limit": limit}))


def read_groups(
    connection: Connection,
    webhook_id: str,
    state: str,
    *,
    after: str,
    limit: int,
    most: int,
    may_cancel: bool,
    may_replace: bool = False,
) -> list[Group]:
    """The groups of a webhook in a state, by key, beginning behind ``after``.

    :param most: to count deliveries of a group up to
    :param may_cancel: whether to look for deliveries that cancel the others
    :param may_replace: whether to look for the first and newest one that is no replay
    """
    values = {
        "webhook_id": webhook_id,
        "after": after,
        "limit": limit,
        "most": most,
        "may_cancel": may_cancel,
        "may_replace": may_replace,
    }
    return [Group(state=state, **row._mapping) for row in connection.execute(_GROUPS[state], values)]


def find_group(
    connection: Connection,
    webhook_id: str,
    state: str,
    group_key: str,
    *,
    most: int,
    may_cancel: bool,
    may_replace: bool = False,
) -> Group | None:
    """One group as it is now; None where it has no deliveries any more."""
    values = {
        "webhook_id": webhook_id,
        "key": group_key,
        "most": most,
        "may_cancel": may_cancel,
        "may_replace": may_replace,
    }
    row = connection.execute(_ONE_GROUP[state], values).first()
    return None if row is None or row.first_id is None else Group(state=state, **row._mapping)


def members(
    connection: Connection, webhook_id: str, state: str, group_key: str, *, limit: int
) -> list[Member]:
    """The first deliveries of a group, in the order of their ids."""
    return _members(connection, *_of_group(_DELIVERY, state, webhook_id, group_key), limit=limit)


def first_cancelling(connection: Connection, webhook_id: str, state: str, group_key: str) -> Member | None:
    """The first delivery of a group that cancels what came before it."""
    of_group = _of_group(_DELIVERY, state, webhook_id, group_key)
    return next(iter(_members(connection, *of_group, _DELIVERY.conf.is_(None), limit=1)), None)


def _members(connection: Connection, *where: Any, limit: int) -> list[Member]:
    size = func.octet_length if connection.dialect.name == "postgresql" else func.length
    rows = connection.execute(
        select(
            _DELIVERY.id,
            _DELIVERY.received_at,
            func.coalesce(size(_DELIVERY.conf), 0).label("size"),
            _DELIVERY.conf.is_(None).label("cancels"),
            _replay_of(_DELIVERY).label("replay_of"),
        )
        .where(*where)
        .order_by(*_in_order(_DELIVERY))
        .limit(limit)
    )
    return [Member(**row._mapping) for row in rows]


def original_of(connection: Connection, delivery_id: str) -> str:
    """The id of the event that a delivery repeats, through replays of replays; its own where it is none."""
    while True:
        query = select(_replay_of(_DELIVERY)).where(_DELIVERY.id == delivery_id)
        replay_of = connection.scalar(query)
        if replay_of is None:
            return delivery_id
        delivery_id = replay_of


def confs_of(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """The confs of these deliveries by id."""
    found: dict[str, str] = {}
    for some in _portions(ids):
        rows = connection.execute(select(_DELIVERY.id, _DELIVERY.conf).where(_DELIVERY.id.in_(some)))
        found |= {row.id: row.conf or "{}" for row in rows}
    return found


def active_of_key(connection: Connection, webhook_id: str, group_key: str, *, limit: int) -> list[Active]:
    """The deliveries that keep a key busy, oldest first."""
    return [Active(**row._mapping) for row in connection.execute(_active(webhook_id, group_key, limit))]


def lock_active(connection: Connection, webhook_id: str, group_key: str, *, limit: int) -> list[Active]:
    """Lock the deliveries that keep a key busy; those that another transaction has locked are left out."""
    query = _active(webhook_id, group_key, limit).with_for_update(skip_locked=True)
    return [Active(**row._mapping) for row in connection.execute(query)]


def count_due(connection: Connection, webhook_id: str, limit: int) -> int:
    """Count a webhook's deliveries, or batches, that have been made due and not dispatched, up to a limit."""
    due = select(_DELIVERY.id).where(
        text(tables.ACCEPTED), _DELIVERY.webhook_id == webhook_id, _DELIVERY.next_attempt_at.is_not(None)
    )
    order = (_DELIVERY.webhook_id, _DELIVERY.next_attempt_at, _DELIVERY.id)
    counted = due.order_by(*order).limit(limit).subquery()
    return connection.scalar(select(func.count()).select_from(counted)) or 0


def count_grouped(connection: Connection, webhook_id: str, limit: int) -> int:
    """Count a webhook's deliveries that wait for others of their group, up to a limit."""
    waiting = select(_DELIVERY.id).where(text(tables.GROUPED), _DELIVERY.webhook_id == webhook_id)
    counted = waiting.order_by(*_in_order(_DELIVERY)).limit(limit).subquery()
    return connection.scalar(select(func.count()).select_from(counted)) or 0


# --- changes, by a caller that has locked the webhook ---------------------------------------


def close_batch(connection: Connection, ids: Sequence[str], at: datetime) -> None:
    """Make a batch of deliveries, in the order of their ids: the first one is due, and stands for all."""
    first = ids[0]
    values = {
        "state": State.ACCEPTED,
        "batch_id": first,
        "next_attempt_at": case((_DELIVERY.id == first, at), else_=None),
        # What was accepted is the conf of each event, and not their list.
        "checked_dag_hash": None,
    }
    _update(connection, ids, values)


def release(connection: Connection, ids: Sequence[str], at: datetime, **values: Any) -> None:
    """Make deliveries due, each for a run of its own."""
    _update(connection, ids, {"state": State.ACCEPTED, "next_attempt_at": at} | values)


def finish(connection: Connection, ids: Sequence[str], state: str, at: datetime, **values: Any) -> None:
    """End deliveries without a run, or with a run that was cancelled."""
    _update(connection, ids, {"state": state, "finished_at": at, "next_attempt_at": None} | values)


def supersede_older(
    connection: Connection, webhook_id: str, state: str, group_key: str, *, newest_id: str, at: datetime
) -> int:
    """End the deliveries of a group that are older than its newest one, but no replays; return how many."""
    of_group = _of_group(_DELIVERY, state, webhook_id, group_key)
    older = (*of_group, _DELIVERY.id < newest_id, _replay_of(_DELIVERY).is_(None))
    values = {"state": State.SUPERSEDED, "superseded_by": newest_id, "finished_at": at}
    return connection.execute(update(tables.delivery).where(*older).values(values)).rowcount


def note_cancellation(connection: Connection, delivery_id: str, cancelled_by: str) -> None:
    """Record which delivery has cancelled the run of this one, which has not ended yet."""
    _update(connection, [delivery_id], {"cancelled_by": cancelled_by})


# --- batches that are closed ----------------------------------------------------------------


def batch_confs(connection: Connection, batch_id: str) -> dict[str, str]:
    """The confs of a closed batch's deliveries that wait for its run, by id, in their order."""
    rows = connection.execute(
        select(_DELIVERY.id, _DELIVERY.conf).where(*_waiting_in_batch(batch_id)).order_by(_DELIVERY.id)
    )
    return {row.id: row.conf or "{}" for row in rows}


def mark_batch(connection: Connection, batch_id: str, values: Mapping[str, Any]) -> None:
    """Record an attempt, or its end, on all deliveries of a batch whose first one the caller has locked."""
    connection.execute(update(tables.delivery).where(*_waiting_in_batch(batch_id)).values(**values))


def list_batch(connection: Connection, batch_id: str, *, limit: int) -> tuple[int, list[Any]]:
    """The number of a closed batch's deliveries, and the first of them with id, state, DAG and time."""
    of_batch = (text(tables.IN_BATCH), _DELIVERY.batch_id == batch_id)
    count = connection.scalar(select(func.count()).where(*of_batch)) or 0
    named = (_DELIVERY.id, _DELIVERY.state, _DELIVERY.dag_id, _DELIVERY.received_at)
    rows = connection.execute(select(*named).where(*of_batch).order_by(_DELIVERY.batch_id, _DELIVERY.id))
    return count, list(rows.fetchmany(limit))


def _waiting_in_batch(batch_id: str) -> tuple[Any, ...]:
    return text(tables.IN_BATCH), _DELIVERY.batch_id == batch_id, _DELIVERY.state == State.ACCEPTED


# --- statements -----------------------------------------------------------------------------


def _update(connection: Connection, ids: Sequence[str], values: Mapping[str, Any]) -> None:
    for some in _portions(ids):
        connection.execute(update(tables.delivery).where(_DELIVERY.id.in_(some)).values(**values))


def _portions(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + MAX_PARAMETERS] for start in range(0, len(ids), MAX_PARAMETERS)]


def _in_order(columns: Any) -> tuple[Any, ...]:
    """All columns of the index, so that both databases read it instead of another one."""
    return columns.webhook_id, columns.state, columns.group_key, columns.id


def _is_grouped(columns: Any) -> Any:
    # Literals, as in the index's predicate: see storage/claims.py.
    return columns.state.in_([literal_column(f"'{state}'") for state in State.GROUPED])


def _of_group(columns: Any, state: str, webhook_id: Any, group_key: Any) -> tuple[Any, ...]:
    is_state = columns.state == literal_column(f"'{state}'")
    return _is_grouped(columns), is_state, columns.webhook_id == webhook_id, columns.group_key == group_key


def _busy(columns: Any, webhook_id: Any, group_key: Any) -> tuple[Any, ...]:
    states: list[Any] = [literal_column(f"'{state}'") for state in (State.ACCEPTED, State.DISPATCHED)]
    return (
        columns.group_key.is_not(None),
        columns.state.in_(states),
        columns.webhook_id == webhook_id,
        columns.group_key == group_key,
    )


def _replay_of(columns: Any) -> Any:
    """What a delivery repeats; a child says so by its parent."""
    parent = tables.delivery.alias().c
    of_parent = select(parent.replay_of).where(parent.id == columns.parent_id).scalar_subquery()
    return func.coalesce(columns.replay_of, of_parent)


def _active(webhook_id: str, group_key: str, limit: int) -> Any:
    named = [_DELIVERY[name] for name in Active.__dataclass_fields__ if name != "replay_of"]
    named.append(_replay_of(_DELIVERY).label("replay_of"))
    order = (_DELIVERY.webhook_id, _DELIVERY.group_key, _DELIVERY.id)
    return select(*named).where(*_busy(_DELIVERY, webhook_id, group_key)).order_by(*order).limit(limit)


def _webhooks() -> Any:
    def next_webhook(after: Any) -> Any:
        columns = tables.delivery.alias().c
        first = select(columns.webhook_id).where(_is_grouped(columns), columns.webhook_id > after)
        return first.order_by(*_in_order(columns)).limit(1).scalar_subquery()

    walk = select(next_webhook(bindparam("after")).label("webhook_id")).cte("walk", recursive=True)
    walk = walk.union_all(select(next_webhook(walk.c.webhook_id)).where(walk.c.webhook_id.is_not(None)))
    return select(walk.c.webhook_id).where(walk.c.webhook_id.is_not(None)).limit(bindparam("limit"))


def _groups(state: str) -> Any:
    webhook_id = bindparam("webhook_id", type_=Text())

    def next_key(after: Any) -> Any:
        columns = tables.delivery.alias().c
        of_state = (_is_grouped(columns), columns.state == literal_column(f"'{state}'"))
        first = select(columns.group_key).where(*of_state, columns.webhook_id == webhook_id)
        first = first.where(columns.group_key > after)
        return first.order_by(*_in_order(columns)).limit(1).scalar_subquery()

    walk = select(next_key(bindparam("after", type_=Text())).label("group_key")).cte("walk", recursive=True)
    walk = walk.union_all(select(next_key(walk.c.group_key)).where(walk.c.group_key.is_not(None)))
    facts = _facts(state, webhook_id, walk.c.group_key, walk)
    found = select(walk.c.group_key, *facts).where(walk.c.group_key.is_not(None))
    return found.limit(bindparam("limit"))


def _one_group(state: str) -> Any:
    key = bindparam("key", type_=Text())
    return select(key.label("group_key"), *_facts(state, bindparam("webhook_id", type_=Text()), key))


def _facts(state: str, webhook_id: Any, group_key: Any, outer: Any = None) -> list[Any]:
    """What is said of a group, a scalar subquery each; ``outer`` is what the key is a column of."""

    def of_group(columns: Any, *also: Any) -> tuple[Any, ...]:
        return *_of_group(columns, state, webhook_id, group_key), *also

    def end(name: str, *, newest: bool, is_event: bool = False) -> Any:
        columns = tables.delivery.alias().c
        order = [column.desc() if newest else column for column in _in_order(columns)]
        also = (bindparam("may_replace").is_(True), _replay_of(columns).is_(None)) if is_event else ()
        found = select(columns[name]).where(*of_group(columns, *also))
        return found.order_by(*order).limit(1).scalar_subquery()

    def exists(*conditions: Any) -> Any:
        return select(literal_column("1")).where(*conditions).exists()

    counted, busy, left, cancelling = (tables.delivery.alias().c for _ in range(4))
    up_to_most = select(counted.id).where(*of_group(counted)).limit(bindparam("most"))
    some = (up_to_most if outer is None else up_to_most.correlate(outer)).subquery()
    return [
        select(func.count()).select_from(some).scalar_subquery().label("count"),
        end("id", newest=False).label("first_id"),
        end("received_at", newest=False).label("first_at"),
        end("id", newest=True).label("newest_id"),
        end("received_at", newest=True).label("newest_at"),
        exists(*_busy(busy, webhook_id, group_key)).label("is_busy"),
        exists(*_busy(left, webhook_id, group_key), left.cancelled_by.is_(None)).label("is_left"),
        exists(bindparam("may_cancel").is_(True), *of_group(cancelling, cancelling.conf.is_(None))).label(
            "cancels"
        ),
        end("id", newest=False, is_event=True).label("first_event_id"),
        end("id", newest=True, is_event=True).label("newest_event_id"),
    ]


_WEBHOOKS = _webhooks()
_GROUPS = {state: _groups(state) for state in State.GROUPED}
_ONE_GROUP = {state: _one_group(state) for state in State.GROUPED}
