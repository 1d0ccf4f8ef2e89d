"""Statements on holds: of webhooks, of all webhooks together, and on the deliveries that are held.

Lock order, as of every writer of deliveries: the webhook's row, then its deliveries. The advisory lock of a
release comes before both. Of several webhooks, routes come before their sources.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    String,
    delete,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    text,
    update,
)

from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.hold import Hold
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.deliveries import MAX_COUNTED, WAITING_ORDER
from inbound_webhooks.storage.webhooks import change_lock_key, raise_source, read_webhook

EVERYTHING = ""
"""The id under which the hold of all webhooks is stored."""

LONGEST_CATCH_UP = timedelta(seconds=2)
"""A release that was late by more, since no dispatcher ran, does not make up for the rest."""

_HELD: Any = text(f"state = '{State.HELD}'")
# SQLite would read the index of all deliveries, with the whole history, if that had every column.
_NOT_COVERED: Any = text("next_attempt_at IS NULL")
_IN_ORDER = (tables.delivery.c.webhook_id, tables.delivery.c.id)
"""The order of the index of deliveries that are not due."""


@dataclass(frozen=True)
class HoldOfAll:
    """Since when all webhooks are on hold, and who put them there."""

    held_at: datetime
    actor: str


@dataclass(frozen=True, kw_only=True)
class HeldDelivery:
    """What decides about the state that a held delivery goes on in."""

    id: str
    received_at: datetime
    attempts: int
    group_key: str | None


# --- all webhooks -----------------------------------------------------------------------------


def lock_hold_of_all(connection: Connection, *, shared: bool = False) -> None:
    """Make a hold of all webhooks and the creation of a webhook follow each other; SQLite has one writer."""
    if connection.dialect.name == "postgresql":
        lock = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
        connection.execute(select(lock(_lock_number("all webhooks"))))


def hold_of_all(connection: Connection) -> HoldOfAll | None:
    """The hold of all webhooks, None without one."""
    columns = tables.hold.c
    query = select(columns.held_at, columns.actor).where(columns.webhook_id == EVERYTHING)
    row = connection.execute(query).first()
    return None if row is None else HoldOfAll(*row)


def insert_hold_of_all(connection: Connection, *, actor: str, at: datetime) -> None:
    """Let webhooks that are created from now on be on hold; a hold that is there stays."""
    if hold_of_all(connection) is None:
        values = {"webhook_id": EVERYTHING, "held_at": at, "actor": actor[: tables.ACTOR_CHARS]}
        connection.execute(insert(tables.hold).values(values))


def delete_hold_of_all(connection: Connection) -> None:
    """Let webhooks that are created from now on start runs."""
    connection.execute(delete(tables.hold).where(tables.hold.c.webhook_id == EVERYTHING))


def webhook_ids(connection: Connection, *, after: str, limit: int) -> list[str]:
    """The next ids of webhooks, in order."""
    columns = tables.webhook.c
    query = select(columns.id).where(columns.id > after).order_by(columns.id).limit(limit)
    return list(connection.scalars(query))


def locked_webhooks(connection: Connection, ids: Sequence[str]) -> list[Webhook]:
    """Lock webhooks as :func:`storage.webhooks.find_webhook` locks one: routes before what is a source.

    The sources of the routes are locked too, for :func:`set_holds`.
    """
    columns = tables.webhook.c
    if connection.dialect.name == "postgresql":
        sources = dict(_sources(connection, ids))
        routes = sorted(sources)
        others = sorted({*ids, *sources.values()} - sources.keys())
        for webhook_id in (*routes, *others):
            connection.execute(select(func.pg_advisory_xact_lock(change_lock_key(literal(webhook_id)))))
    query = select(tables.webhook).where(columns.id.in_(ids)).order_by(columns.id).with_for_update()
    return [read_webhook(row) for row in connection.execute(query)]


def set_holds(connection: Connection, ids: Sequence[str], values: Mapping[str, Any], at: datetime) -> None:
    """Change the holds of webhooks that the caller has locked, and raise the versions of their sources.

    The endpoint judges an event by the holds of its source's routes.
    """
    columns = tables.webhook.c
    changed = {**values, "version": columns.version + 1, "updated_at": at}
    connection.execute(update(tables.webhook).where(columns.id.in_(ids)).values(changed))
    for source in sorted({source for _, source in _sources(connection, ids)}):
        raise_source(connection, source)


def _sources(connection: Connection, ids: Sequence[str]) -> list[tuple[str, str]]:
    """Id and source of those of these webhooks that get the events of another one."""
    columns = tables.webhook.c
    query = select(columns.id, columns.source).where(text(tables.ROUTE), columns.id.in_(ids))
    return [(row.id, row.source) for row in connection.execute(query)]


# --- the deliveries of a webhook ----------------------------------------------------------------


def webhooks_with_work(connection: Connection) -> list[Webhook]:
    """Webhooks with deliveries to hold back or to release, and those whose release may have ended."""
    columns = tables.webhook.c
    has_hold = or_(columns.hold.is_not(None), columns.held_by_all, columns.start_window.is_not(None))
    is_stopped = or_(columns.held_by_all, func.coalesce(columns.hold, "") == Hold.HELD)
    has_work = or_(
        has_hold & _any_of(columns.id, text(tables.ACCEPTED)),
        ~is_stopped & _any_of(columns.id, _HELD),
        ~is_stopped & (columns.hold == Hold.RELEASING),
    )
    with_held = columns.id.in_(_ids_with_held())
    query = select(tables.webhook).where(columns.enabled, or_(has_hold, with_held), has_work)
    return [read_webhook(row) for row in connection.execute(query.order_by(columns.id))]


def lock_for_release(connection: Connection, webhook_id: str) -> Webhook | None:
    """Lock a webhook FOR SHARE to hold back or release its deliveries; one dispatcher at a time.

    None where another dispatcher has it, or it is being changed.
    """
    columns = tables.webhook.c
    wanted = select(tables.webhook).where(columns.id == webhook_id, columns.enabled)
    if connection.dialect.name == "postgresql":
        number = _lock_number(f"release {webhook_id}")
        if not connection.scalar(select(func.pg_try_advisory_xact_lock(number))):
            return None
        wanted = wanted.where(func.pg_try_advisory_xact_lock_shared(change_lock_key(columns.id)))
    row = connection.execute(wanted.with_for_update(read=True, skip_locked=True)).first()
    return None if row is None else read_webhook(row)


def hold_back(connection: Connection, webhook_id: str, limit: int) -> int:
    """Hold deliveries that wait for their run; those that a dispatcher is creating a run for are skipped.

    A closed batch stays what it is: it is not started during a hold either, and a release in steps would tear
    it. Nor are events held that only waiting tasks are compared with.
    """
    columns = tables.delivery.c
    is_single = (columns.batch_id.is_(None), columns.next_attempt_at.is_not(None))
    waiting = select(columns.id).where(text(tables.ACCEPTED), columns.webhook_id == webhook_id, *is_single)
    waiting = waiting.order_by(*WAITING_ORDER).limit(limit).with_for_update(skip_locked=True)
    ids = list(connection.scalars(waiting))
    if ids:
        values = {"state": State.HELD, "next_attempt_at": None}
        connection.execute(update(tables.delivery).where(columns.id.in_(ids)).values(values))
    return len(ids)


def first_held(connection: Connection, webhook_id: str, limit: int) -> list[HeldDelivery]:
    """Lock a webhook's first held deliveries, in their order."""
    columns = tables.delivery.c
    names = (columns[name] for name in HeldDelivery.__dataclass_fields__)
    query = select(*names).where(*_held_of(webhook_id)).order_by(*_IN_ORDER).limit(limit)
    rows = connection.execute(query.with_for_update())
    return [HeldDelivery(**row._mapping) for row in rows]


def move(connection: Connection, ids: Iterable[str], state: str, due_at: datetime | None) -> None:
    """Let held deliveries, which the caller has locked, go on in a state; None: they are not due."""
    where = tables.delivery.c.id.in_(list(ids))
    connection.execute(update(tables.delivery).where(where).values(state=state, next_attempt_at=due_at))


def has_held(connection: Connection, webhook_id: str) -> bool:
    """Whether deliveries of a webhook are held."""
    return count_held(connection, webhook_id, 1) > 0


def count_held(connection: Connection, webhook_id: str, limit: int) -> int:
    """Count a webhook's held deliveries, up to a limit."""
    query = select(tables.delivery.c.id).where(*_held_of(webhook_id)).order_by(*_IN_ORDER).limit(limit)
    return connection.scalar(select(func.count()).select_from(query.subquery())) or 0


def count_all_held(connection: Connection) -> int:
    """Count the held deliveries of all webhooks, up to MAX_COUNTED."""
    return connection.scalar(select(counted_held())) or 0


def counted_held() -> Any:
    """The same as an expression."""
    held = select(tables.delivery.c.id).where(text(tables.NOT_DUE), _HELD, _NOT_COVERED)
    held = held.order_by(*_IN_ORDER).limit(MAX_COUNTED)
    return select(func.count()).select_from(held.subquery()).scalar_subquery()


def take_pace(connection: Connection, webhook_id: str, per_minute: int, now: datetime, limit: int) -> int:
    """How many deliveries may go on now at a rate, at most ``limit``; the time of the next one is stored."""
    columns = tables.hold.c
    seconds = 60 / per_minute
    next_at = connection.scalar(select(columns.next_release_at).where(columns.webhook_id == webhook_id))
    begin = now if next_at is None else max(next_at, now - LONGEST_CATCH_UP)
    # Set by a clock that was ahead: a rate has at most one interval until the next release.
    begin = min(begin, now + timedelta(seconds=seconds))
    if begin > now:
        return 0
    taken = min(limit, int((now - begin).total_seconds() / seconds) + 1)
    next_at = begin + timedelta(seconds=seconds * taken)
    changed = update(tables.hold).where(columns.webhook_id == webhook_id).values(next_release_at=next_at)
    if not connection.execute(changed).rowcount:
        row = {"webhook_id": webhook_id, "held_at": now, "actor": "", "next_release_at": next_at}
        connection.execute(insert(tables.hold).values(row))
    return taken


def forget_pace(connection: Connection, webhook_id: str) -> None:
    """Delete what :func:`take_pace` has stored."""
    connection.execute(delete(tables.hold).where(tables.hold.c.webhook_id == webhook_id))


def _held_of(webhook_id: Any) -> tuple[Any, ...]:
    # The predicate of the index word for word, and the state, which the index does not have.
    # The id as a range, for which SQLite prefers that index; of one id it reads the index of all deliveries.
    is_of_webhook = tables.delivery.c.webhook_id.between(webhook_id, webhook_id)
    return text(tables.NOT_DUE), _HELD, _NOT_COVERED, is_of_webhook


def _any_of(webhook_id: Any, condition: Any) -> Any:
    """Whether a webhook has a delivery in a state; one probe of an index."""
    columns = tables.delivery.c
    if condition is _HELD:
        return select(columns.id).where(*_held_of(webhook_id)).exists()
    is_due = columns.next_attempt_at.is_not(None)
    return select(columns.id).where(condition, is_due, columns.webhook_id == webhook_id).exists()


def _ids_with_held() -> Any:
    """The ids of webhooks with deliveries that are not due, by one probe of their index for each."""

    def following(after: Any) -> Any:
        columns = tables.delivery.alias().c
        not_due = columns.state.in_(list(map(_literal, State.NOT_DUE)))
        is_held = (not_due, columns.next_attempt_at.is_(None), columns.webhook_id > after)
        first = select(columns.webhook_id).where(*is_held)
        return first.order_by(columns.webhook_id, columns.id).limit(1).scalar_subquery()

    walk = select(following(literal("", String())).label("webhook_id")).cte("held", recursive=True)
    walk = walk.union_all(select(following(walk.c.webhook_id)).where(walk.c.webhook_id.is_not(None)))
    return select(walk.c.webhook_id).where(walk.c.webhook_id.is_not(None))


def _literal(state: str) -> Any:
    # A planner uses a partial index only where it sees the index's predicate.
    return literal_column(f"'{state}'")


def _lock_number(of: str) -> int:
    # 64 bits of a hash: far away from the small numbers that Airflow uses for its own advisory locks.
    digest = hashlib.blake2b(f"inbound webhook hold {of}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
