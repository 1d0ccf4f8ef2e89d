"""Finds deliveries of all webhooks by conditions, newest first, a page after the other by their ids.

Each part of a query reads one index from its end: that of a webhook, of a DAG's ended deliveries, of event
types, of unusual states, of unfinished runs, of waiting deliveries; without a condition, the table's own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, LargeBinary, Select, func, literal, select, text, true, union_all

from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.target import Origin
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.listing import first_id_at, light
from inbound_webhooks.storage.origins import among

MAX_COUNTED = 10_000
"""Exact counts end here."""

MAX_PARTS = 60
"""Parts of a query; with more DAGs, one part has the deliveries of all of them."""

MAX_IDS = 1_000
"""Ids of one statement."""

_OPEN = {
    State.ACCEPTED: tables.ACCEPTED,
    State.DISPATCHED: tables.UNFINISHED,
    **{state: f"{tables.NOT_DUE} AND state = '{state}'" for state in State.NOT_DUE},
}
_ENDED = tuple(state for state in State.ALL if state not in _OPEN)


@dataclass(frozen=True, kw_only=True)
class SearchedDeliveries:
    """Conditions as the statements need them.

    ``origins`` are those that may occur, None for all; ``id_prefix`` is the beginning of an id.
    """

    webhook_id: str = ""
    webhook_name: str = ""
    origins: Collection[Origin] | None = None
    states: tuple[str, ...] = ()
    event_type: str = ""
    since: datetime | None = None
    until: datetime | None = None
    id_prefix: str = ""
    before: str = ""


def newest_ids(wanted: SearchedDeliveries, limit: int) -> Select[tuple[str, str, str]]:
    """A query of id, dag_id and webhook_id of the newest deliveries that match."""
    columns = tables.delivery.c
    everywhere = _everywhere(wanted)
    # SQLite accepts ORDER BY and LIMIT in a part of a UNION only inside a subquery.
    parts = [
        select(columns.id, columns.dag_id, columns.webhook_id)
        .where(*everywhere, *part)
        .order_by(columns.id.desc())
        .limit(limit)
        .subquery()
        for part in _parts(wanted)
    ]
    found = (parts[0] if len(parts) == 1 else union_all(*map(select, parts)).subquery()).c
    return select(found.id, found.dag_id, found.webhook_id).order_by(found.id.desc()).limit(limit)


def count(connection: Connection, wanted: SearchedDeliveries) -> int:
    """Number of matching deliveries; :data:`MAX_COUNTED` + 1 for more."""
    found = newest_ids(wanted, MAX_COUNTED + 1).subquery()
    return connection.scalar(select(func.count()).select_from(found)) or 0


def rows_of(connection: Connection, ids: Sequence[str]) -> list[Any]:
    """Deliveries without their large columns, newest first."""
    columns = tables.delivery.c
    newest_first = sorted(ids, reverse=True)
    found: list[Any] = []
    for start in range(0, len(newest_first), MAX_IDS):
        chosen = columns.id.in_(newest_first[start : start + MAX_IDS])
        found += connection.execute(light().where(chosen).order_by(columns.id.desc()))
    return found


@dataclass(frozen=True)
class BodyMatch:
    """Whether a body contains a text; ``is_encoded``: it is compressed, so only its content can tell."""

    id: str
    has_text: bool
    is_encoded: bool


def look_into_bodies(connection: Connection, ids: Sequence[str], needle: bytes) -> list[BodyMatch]:
    """Look for a text in the bodies of some deliveries, where they are stored."""
    columns = tables.delivery.c
    value = literal(needle, LargeBinary)
    place = (
        func.position(value.op("IN")(columns.body))
        if connection.dialect.name == "postgresql"
        else func.instr(columns.body, value)
    )
    is_encoded = func.lower(columns.headers).contains('"content-encoding"', autoescape=True)
    rows = connection.execute(
        select(columns.id, (place > 0).label("has_text"), is_encoded.label("is_encoded")).where(
            columns.id.in_(ids), columns.body_stored
        )
    )
    return [BodyMatch(row.id, bool(row.has_text), bool(row.is_encoded)) for row in rows]


def ended_dag_ids(connection: Connection) -> set[str]:
    """The DAGs of deliveries that have ended: one probe of the index for each."""
    walk = select(_next_dag("").label("dag_id")).cte("walk", recursive=True)
    walk = walk.union_all(select(_next_dag(walk.c.dag_id)).where(walk.c.dag_id.is_not(None)))
    return set(connection.scalars(select(walk.c.dag_id).where(walk.c.dag_id.is_not(None))))


def _next_dag(after: Any) -> Any:
    columns = tables.delivery.alias().c
    # All columns of the index, so that no other one serves.
    order = (columns.dag_id, columns.id, columns.state)
    first = select(columns.dag_id).where(text(tables.ENDED), columns.dag_id > after).order_by(*order)
    return first.limit(1).scalar_subquery()


def _everywhere(wanted: SearchedDeliveries) -> list[Any]:
    """Conditions of every part: a range of ids, and what no index has."""
    columns = tables.delivery.c
    found: list[Any] = []
    if wanted.since is not None:
        found.append(columns.id >= first_id_at(wanted.since))
    if wanted.until is not None:
        found.append(columns.id < first_id_at(wanted.until))
    if wanted.id_prefix:
        found.append(columns.id.between(wanted.id_prefix, wanted.id_prefix.ljust(32, "f")))
    if wanted.before:
        found.append(columns.id < wanted.before)
    if wanted.webhook_name:
        found.append(columns.webhook_name == wanted.webhook_name)
    return found


def _parts(wanted: SearchedDeliveries) -> list[list[Any]]:
    """The conditions of each part; no delivery matches two of them."""
    columns = tables.delivery.c
    origins = None if wanted.origins is None else sorted(set(wanted.origins))
    admitted = true() if origins is None else among(columns.dag_id, columns.webhook_id, origins)
    event = columns.event_type == wanted.event_type if wanted.event_type else true()
    if wanted.webhook_id or wanted.id_prefix:
        of_webhook = columns.webhook_id == wanted.webhook_id if wanted.webhook_id else true()
        in_state = columns.state.in_(wanted.states) if wanted.states else true()
        return [[of_webhook, in_state, admitted, event]]
    if not wanted.states and origins is None and not wanted.event_type:
        return [[]]
    states = _state_parts(wanted)
    if origins is not None and not wanted.event_type and 0 < len(origins) * len(states) <= MAX_PARTS:
        return [[state, _of_origin(each)] for each in origins for state in states]
    return [[state, admitted, event] for state in states]


def _of_origin(wanted: Origin) -> Any:
    columns = tables.delivery.c
    is_of_dag = columns.dag_id == wanted.dag_id
    return is_of_dag if wanted.dag_id else is_of_dag & (columns.webhook_id == wanted.webhook_id)


def _state_parts(wanted: SearchedDeliveries) -> list[Any]:
    """A condition for each index that has some of the states; each repeats its index's predicate."""
    chosen = wanted.states or State.ALL
    parts: list[Any] = [text(condition) for state, condition in _OPEN.items() if state in chosen]
    ended = [state for state in _ENDED if state in chosen]
    is_narrow = wanted.origins is not None or bool(wanted.event_type)
    if len(ended) == len(_ENDED):
        parts.append(text(tables.ENDED))
    elif is_narrow and ended:
        # The index of a DAG's deliveries has the state, too.
        parts.append(text(tables.ENDED) & tables.delivery.c.state.in_(ended))
    else:
        parts += [_of_one_state(state) for state in ended]
    return parts


def _of_one_state(state: str) -> Any:
    is_state = tables.delivery.c.state == state
    # The most frequent state needs no index: the newest deliveries have it.
    return is_state if state == State.SUCCEEDED else text(tables.UNUSUAL) & is_state
