"""Statements on waits for events of webhooks; each runs on the caller's connection.

Whatever changes such a wait locks the webhook first, then the wait, then the delivery; several waits in the
order of their ids. Airflow's task instance is locked without waiting for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, literal_column, select, text, update

from inbound_webhooks.records.delivery import Delivery, State
from inbound_webhooks.records.wait import Wait, WaitState
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.deliveries import NEVER_MATCHED, with_request
from inbound_webhooks.storage.listing import first_id_at

_WAIT = tables.wait.c
_DELIVERY = tables.delivery.c
_WEBHOOK = tables.webhook.c

WAITS_ONLY = (_DELIVERY.dag_id == "", _DELIVERY.asset.is_(None), _DELIVERY.next_attempt_at.is_(None))
"""Of a delivery that starts nothing, whose outcome is that of the task that it resumes."""

_UNSEEN = (State.HELD,)
"""States in which a delivery is to be kept from everything that it would start."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A wait whose values, or condition, an event has; of those without ``broadcast`` the first one gets it.

    With ``match_paths``, its ``match_expression`` has to be true as well.
    """

    id: str
    broadcast: bool
    match_paths: str | None
    match_expression: str | None
    result: str | None
    fail_when: str | None


# --- registration -------------------------------------------------------------------------------


def set_awaited(connection: Connection, webhook_id: str, awaited: bool) -> None:
    """Let events of a webhook that the caller has locked be matched, or not any more."""
    row = update(tables.webhook).where(_WEBHOOK.id == webhook_id)
    connection.execute(row.values(awaited=True if awaited else None))


def compared_with(connection: Connection, webhook_id: str) -> tuple[set[str], set[str]]:
    """The distinct lists of paths (JSON) of a webhook's waits, and the conditions of those without paths."""
    distinct = select(_WAIT.match_paths, _WAIT.match_expression).where(*_of(webhook_id)).distinct()
    rows = connection.execute(distinct).all()
    paths = {row.match_paths for row in rows if row.match_paths is not None}
    return paths, {row.match_expression for row in rows if row.match_paths is None}


def count_conditions(connection: Connection, webhook_id: str) -> int:
    """Number of waits with a condition alone."""
    conditions = select(func.count()).where(*_of(webhook_id), _WAIT.match_paths.is_(None))
    return connection.scalar(conditions) or 0


def count_waiting(connection: Connection, webhook_ids: Collection[str]) -> dict[str, int]:
    """Webhook id -> number of tasks that wait for its events."""
    query = select(_WAIT.webhook_id, func.count()).where(
        text(tables.MATCHED), _WAIT.webhook_id.in_(sorted(webhook_ids))
    )
    return {row[0]: row[1] for row in connection.execute(query.group_by(_WAIT.webhook_id))}


def has_waiting(connection: Connection) -> bool:
    """Whether a task waits for an event of any webhook."""
    return connection.scalar(select(_WAIT.id).where(text(tables.MATCHED)).limit(1)) is not None


def awaited_in_vain(connection: Connection) -> list[str]:
    """Webhooks for which no task waits any more."""
    waiting = select(_WAIT.id).where(
        _WAIT.state == literal_column(f"'{WaitState.WAITING}'"), _WAIT.webhook_id == _WEBHOOK.id
    )
    query = select(_WEBHOOK.id).where(_WEBHOOK.awaited.is_not(None), ~waiting.exists())
    return list(connection.scalars(query))


def fail_waits(
    connection: Connection, webhook_id: str, reason: str, *, dag_ids: Collection[str] | None = None
) -> None:
    """Let the tasks fail that wait for a webhook whose row the caller has locked to change or delete it.

    :param dag_ids: the DAGs of the tasks; None for all
    """
    values = {"failure": reason, "delivery_id": None, "outcome": None, "look_back_due": None}
    waits = update(tables.wait).where(*_of(webhook_id))
    if dag_ids is not None:
        waits = waits.where(_WAIT.dag_id.in_(sorted(dag_ids)))
    connection.execute(waits.values(**values))


# --- events -------------------------------------------------------------------------------------


def webhooks_with_events(connection: Connection, limit: int) -> list[str]:
    """Enabled webhooks with events that waits are still to be compared with."""
    ids = select(_DELIVERY.webhook_id).where(text(tables.TO_MATCH), _is_event()).distinct()
    query = select(_WEBHOOK.id).where(_WEBHOOK.id.in_(ids), _WEBHOOK.enabled)
    return list(connection.scalars(query.limit(limit)))


def events_to_match(
    connection: Connection, webhook_id: str, *, limit: int, limit_bytes: int
) -> list[Delivery]:
    """A webhook's next events, oldest first; the first one however long its body is."""
    of_webhook = (text(tables.TO_MATCH), _is_event(), _DELIVERY.webhook_id == webhook_id)
    size = _size(connection)
    found = connection.execute(
        select(_DELIVERY.id, size).where(*of_webhook).order_by(_DELIVERY.id).limit(limit)
    )
    return read_events(connection, _fitting(found.all(), limit_bytes))


def earlier_events(connection: Connection, webhook_id: str, since: datetime, limit: int) -> list[Any]:
    """Id and size of a webhook's newest events since then, oldest first."""
    of_webhook = (_DELIVERY.webhook_id == webhook_id, _DELIVERY.id >= first_id_at(since))
    query = select(_DELIVERY.id, _size(connection)).where(*of_webhook, _is_event())
    rows = connection.execute(query.order_by(_DELIVERY.id.desc()).limit(limit)).all()
    return list(reversed(rows))


def count_events(connection: Connection, webhook_id: str, since: datetime, limit: int) -> int:
    """Number of a webhook's events since then, up to a limit."""
    of_webhook = (_DELIVERY.webhook_id == webhook_id, _DELIVERY.id >= first_id_at(since))
    counted = select(_DELIVERY.id).where(*of_webhook, _is_event()).limit(limit).subquery()
    return connection.scalar(select(func.count()).select_from(counted)) or 0


def read_events(connection: Connection, ids: Collection[str]) -> list[Delivery]:
    """Deliveries with their bodies, oldest first."""
    query = select(tables.delivery).where(_DELIVERY.id.in_(ids)).order_by(_DELIVERY.id)
    if not ids:
        return []
    return [with_request(connection, Delivery(**row._mapping)) for row in connection.execute(query)]


def candidates(
    connection: Connection,
    webhook_id: str,
    keys: Collection[str],
    received_at: datetime,
    *,
    looking_back: bool = False,
) -> list[Candidate]:
    """The waits that an event matches and that have none yet, the oldest first.

    :param looking_back: only those that were registered since the event may have been compared with waits
    """
    if not keys:
        return []
    names = Candidate.__dataclass_fields__
    matching = (
        *_of(webhook_id),
        _WAIT.match_key.in_(sorted(keys)),
        _WAIT.delivery_id.is_(None),
        _WAIT.failure.is_(None),
        _WAIT.counts_from <= received_at,
        _WAIT.deadline > received_at,
    )
    query = select(*(_WAIT[name] for name in names)).where(*matching)
    if looking_back:
        query = query.where(text(tables.LOOKS_BACK))
    rows = connection.execute(query.order_by(_WAIT.created_at, _WAIT.id))
    return [Candidate(**row._mapping) for row in rows]


def lock_waiting(connection: Connection, wait_ids: Collection[str]) -> set[str]:
    """Lock waits; return those that still wait and have no event."""
    query = select(_WAIT.id, _WAIT.delivery_id, _WAIT.failure).where(
        _WAIT.id.in_(sorted(wait_ids)), text(tables.MATCHED)
    )
    rows = connection.execute(query.order_by(_WAIT.id).with_for_update())
    return {row.id for row in rows if row.delivery_id is None and row.failure is None}


def lock_event(connection: Connection, delivery_id: str) -> Any:
    """Lock an event; its state, and whether it is still to be matched; None if it is no event any more."""
    query = select(_DELIVERY.state, _DELIVERY.to_match).where(_DELIVERY.id == delivery_id, _is_event())
    return connection.execute(query.with_for_update()).first()


def is_taken(connection: Connection, delivery_id: str) -> bool:
    """Whether a wait without broadcast has got an event."""
    alone = (_WAIT.delivery_id == delivery_id, _WAIT.broadcast.is_(False))
    return connection.scalar(select(_WAIT.id).where(*alone).limit(1)) is not None


def take(connection: Connection, delivery_id: str, outcomes: Mapping[str, str]) -> None:
    """Give an event to waits that the caller has locked; ``outcomes`` is wait id -> outcome."""
    for wait_id, outcome in outcomes.items():
        values = {"delivery_id": delivery_id, "outcome": outcome}
        connection.execute(update(tables.wait).where(_WAIT.id == wait_id).values(values))


def give_back(connection: Connection, wait: Wait) -> None:
    """Let the event of a wait that the caller has locked be matched again: it has resumed no task."""
    values: dict[str, Any] = {"delivery_id": None, "outcome": None}
    connection.execute(update(tables.wait).where(_WAIT.id == wait.id).values(**values))
    event = update(tables.delivery).where(_DELIVERY.id == wait.delivery_id, _is_event())
    connection.execute(event.values(to_match=True))


def let_go(connection: Connection, delivery_ids: Collection[str], *, at: datetime) -> int:
    """Record that waits were compared with events; return how many of them become unmatched."""
    events = update(tables.delivery).where(_DELIVERY.id.in_(sorted(delivery_ids)))
    connection.execute(events.values(to_match=None))
    given = select(_WAIT.id).where(_WAIT.delivery_id == _DELIVERY.id).correlate(tables.delivery)
    alone = events.where(*WAITS_ONLY, _DELIVERY.state == State.ACCEPTED, ~given.exists())
    return connection.execute(alone.values(state=State.UNMATCHED, finished_at=at)).rowcount


def finish_event(connection: Connection, delivery_id: str, state: str, at: datetime) -> bool:
    """Record the outcome of an event that starts nothing itself and has resumed its first task."""
    open_states = (State.ACCEPTED, State.UNMATCHED)
    event = update(tables.delivery).where(
        _DELIVERY.id == delivery_id, *WAITS_ONLY, _DELIVERY.state.in_(open_states)
    )
    values = {"state": state, "dispatched_at": at, "finished_at": at, "attempts": _DELIVERY.attempts + 1}
    return connection.execute(event.values(values)).rowcount == 1


# --- looking back, and ends ---------------------------------------------------------------------


def looking_back(connection: Connection) -> dict[str, dict[str, datetime]]:
    """Webhook id -> wait id -> since when events count, of waits that are still to look back."""
    query = select(_WAIT.webhook_id, _WAIT.id, _WAIT.counts_from).where(
        text(tables.LOOKS_BACK), _WAIT.webhook_id.in_(select(_WEBHOOK.id).where(_WEBHOOK.enabled))
    )
    found: dict[str, dict[str, datetime]] = {}
    for row in connection.execute(query):
        found.setdefault(row.webhook_id, {})[row.id] = row.counts_from
    return found


def has_looked_back(connection: Connection, wait_ids: Collection[str]) -> None:
    """Record that waits were compared with all earlier events."""
    rows = update(tables.wait).where(_WAIT.id.in_(sorted(wait_ids)))
    connection.execute(rows.values(look_back_due=None))


def may_still_match(connection: Connection, wait: Wait) -> bool:
    """Whether an event that was received in time is still to be compared with a wait."""
    enabled = select(_WEBHOOK.enabled).where(_WEBHOOK.id == wait.webhook_id)
    if not connection.scalar(enabled):
        return False
    if wait.look_back_due:
        return True
    in_time = (
        text(tables.TO_MATCH),
        # One that is held came in time, too.
        _DELIVERY.state != State.CANCELLED,
        _DELIVERY.webhook_id == wait.webhook_id,
        _DELIVERY.received_at < wait.deadline,
    )
    return connection.scalar(select(_DELIVERY.id).where(*in_time).limit(1)) is not None


def webhook_of(connection: Connection, wait_id: str) -> Any:
    """Id of a wait's webhook, and whether that is enabled; None if it was deleted."""
    query = select(_WEBHOOK.id, _WEBHOOK.enabled).join(tables.wait, _WAIT.webhook_id == _WEBHOOK.id)
    return connection.execute(query.where(_WAIT.id == wait_id)).first()


def resumed_by(connection: Connection, delivery_id: str) -> list[Wait]:
    """The waits that an event has resumed, or is about to, oldest first."""
    query = select(tables.wait).where(_WAIT.delivery_id == delivery_id, _WAIT.webhook_id.is_not(None))
    return [Wait(**row._mapping) for row in connection.execute(query.order_by(_WAIT.created_at, _WAIT.id))]


def _of(webhook_id: str) -> tuple[ColumnElement[bool], ...]:
    return (text(tables.MATCHED), _WAIT.webhook_id == webhook_id)  # type: ignore[return-value]


def _is_event() -> ColumnElement[bool]:
    # The items of a list are no events of their own: the request is one.
    no_events = (*NEVER_MATCHED, *_UNSEEN, State.CANCELLED)
    return and_(_DELIVERY.state.not_in(no_events), _DELIVERY.parent_id.is_(None))


def _size(connection: Connection) -> Any:
    length = func.octet_length if connection.dialect.name == "postgresql" else func.length
    return length(_DELIVERY.body).label("size")


def _fitting(rows: Collection[Any], limit_bytes: int) -> list[str]:
    chosen: list[str] = []
    for row in rows:
        limit_bytes -= row.size
        if chosen and limit_bytes < 0:
            break
        chosen.append(row.id)
    return chosen
