"""Statements for a batch of concurrent requests, one statement for all of them; PostgreSQL only.

They are compiled once from the tables: SQLAlchemy's own execution costs a multiple per row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    Integer,
    LargeBinary,
    String,
    Text,
    any_,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql

from inbound_webhooks.records.credential import Credential
from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.credentials import webhook_with_credentials, with_credentials
from inbound_webhooks.storage.database import waiting_is_limited
from inbound_webhooks.storage.deliveries import is_awaited, to_match
from inbound_webhooks.storage.statement import Executor, Statement, StatementRefused

WebhookAndCredentials = tuple[Webhook, Sequence[Credential]]
Stamp = list[Any]
"""A webhook's version, the id of its newest fetched key, and until when it listens: every change that matters
to a request changes one of them."""

MAX_CACHED_WEBHOOKS = 20_000
"""Upper limit of cached webhooks."""

BATCH_LOCK_SECONDS = 0.5
"""Longest wait of a batch for another transaction that is about to commit one of its events. Rows of webhooks
are skipped while they are locked."""


class WebhookCache:
    """Webhooks with their credentials: stamps are read for each batch, rows only for changed webhooks."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[Stamp, WebhookAndCredentials]] = {}

    async def find(
        self, connection: Executor, webhook_ids: Sequence[str]
    ) -> dict[str, WebhookAndCredentials | Exception]:
        """The current webhooks by id, without unknown ids; an unreadable webhook maps to its error."""
        wanted = list(set(webhook_ids))
        rows = await connection.fetch(_STAMPS, {"ids": wanted})
        found: dict[str, WebhookAndCredentials | Exception] = {}
        changed: dict[str, Stamp] = {}
        for webhook_id, *stamp in rows:
            held = self._held.get(webhook_id)
            if held is not None and held[0] == stamp:
                found[webhook_id] = held[1]
            else:
                changed[webhook_id] = stamp
        return found | await self._read(connection, changed) if changed else found

    async def _read(
        self, connection: Executor, stamps: Mapping[str, Stamp]
    ) -> dict[str, WebhookAndCredentials | Exception]:
        """Read changed webhooks; those that are deleted by now are missing."""
        read: dict[str, WebhookAndCredentials | Exception] = {}
        rows: dict[str, list[Mapping[str, Any]]] = {}
        for row in await connection.fetch(_WITH_CREDENTIALS, {"ids": list(stamps)}):
            named = dict(zip(_WITH_CREDENTIALS.columns, row, strict=True))
            rows.setdefault(named["id"], []).append(named)
        for webhook_id, stamp in stamps.items():
            # A webhook that was deleted or damaged must not be answered from the cache.
            self._held.pop(webhook_id, None)
            if webhook_id not in rows:
                continue
            try:
                found = webhook_with_credentials(rows[webhook_id])
            except Exception as error:  # noqa: BLE001 - an unreadable row must not fail the rest of the batch
                read[webhook_id] = error
                continue
            read[webhook_id] = found
            # A change between the two statements leaves the older stamp: the webhook is read again next time.
            self._held[webhook_id] = (stamp, found)
        # The oldest entry first: dicts keep the order of insertion.
        while len(self._held) > MAX_CACHED_WEBHOOKS:
            self._held.pop(next(iter(self._held)))
        return read


VersionedDelivery = tuple[Delivery, int, Sequence[Delivery]]
"""A delivery, the version that its webhook must have, and its children."""


async def insert_deliveries(connection: Executor, deliveries: Sequence[VersionedDelivery]) -> set[str]:
    """Insert deliveries whose webhooks still have the given versions; return the inserted ids.

    Webhooks are locked FOR SHARE in the order of their ids. Missing from the result are deliveries whose
    webhook has another version or is being changed, and events that are stored already: :func:`find_stored`
    tells which. Children are inserted with their delivery, without those whose events are stored already.

    Everything but the bodies is sent as one JSON text: the driver encodes arrays item by item.

    :raises StatementRefused: a text cannot be stored, or another transaction has not committed the same
        event within BATCH_LOCK_SECONDS; nothing was inserted
    """
    is_wide = any(own or delivery.routes for delivery, _, own in deliveries)
    statement = _STORE_FAMILIES if is_wide else _STORE
    names, values_of = (_PARENT_GIVEN, _PARENT_VALUES) if is_wide else (_GIVEN, _VALUES)
    rows, bodies, webhook_ids = [], [], set()
    for position, (delivery, version, _) in enumerate(deliveries, 1):
        rows.append(dict(zip(names, (*values_of(delivery), version, position), strict=True)))
        bodies.append(delivery.body)
        webhook_ids.add(delivery.webhook_id)
    values = {"rows": _json(rows), "bodies": bodies, "webhook_ids": list(webhook_ids)}
    if is_wide:
        children = (child for _, _, own in deliveries for child in own)
        named = [dict(zip(_CHILD_NAMES, _CHILD_VALUES(child), strict=True)) for child in children]
        values["children"] = _json(named)
    return set(map(_ID, await connection.fetch(statement, values)))


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    try:
        return msgspec.json.encode(rows).decode()
    except UnicodeError:  # a lone surrogate
        raise StatementRefused from None


async def find_stored(connection: Executor, deliveries: Sequence[VersionedDelivery]) -> dict[str, str | None]:
    """By delivery that an insert skipped: the id under which its event is stored, or None if its webhook has
    changed. A delivery whose webhook is being changed is missing.

    :raises StatementRefused: a text cannot be compared
    """
    versions = {delivery.id: version for delivery, version, _ in deliveries}
    rows = [dict(zip(_KEYS, _KEY_VALUES(given[0]), strict=True)) for given in deliveries]
    found: dict[str, str | None] = {}
    values = {"rows": msgspec.json.encode(rows).decode()}
    for delivery_id, own_id, version, first_id in await connection.fetch(_FIND_STORED, values):
        # In this order: an earlier attempt may have been committed although the webhook has changed since.
        if own_id is not None:
            found[delivery_id] = delivery_id
        elif version != versions[delivery_id]:
            found[delivery_id] = None
        elif first_id is not None:
            found[delivery_id] = first_id
    return found


# --- statements -----------------------------------------------------------------------------

_LATER = (
    *("replay_of", "run_id", "dispatched_at", "run_started_at", "finished_at", "failed_tasks"),
    *("batch_id", "superseded_by", "cancelled_by", "asset_event_id", "to_match"),
)
"""Columns that are null in a new delivery of a sender; the insert computes the last one."""

_OF_PARENTS, _OF_CHILDREN = ("routes",), ("parent_id", "child_index", "item_index")
"""Columns that only these have."""

_COLUMNS = [
    kept
    for kept in tables.delivery.c
    if kept.name in Delivery.__struct_fields__ and kept.name not in (*_LATER, *_OF_PARENTS, *_OF_CHILDREN)
]
_BODY = tables.delivery.c.body.name
_ID = itemgetter(0)
_NAMES = tuple(column.name for column in _COLUMNS if column.name != _BODY)
_PARENT_NAMES, _CHILD_NAMES = (*_NAMES, *_OF_PARENTS), (*_NAMES, *_OF_CHILDREN)
_VALUES, _PARENT_VALUES = attrgetter(*_NAMES), attrgetter(*_PARENT_NAMES)
_CHILD_VALUES = attrgetter(*_CHILD_NAMES)
_VERSION, _POSITION = "expected_version", "position"
_GIVEN = (*_NAMES, _VERSION, _POSITION)
_PARENT_GIVEN = (*_PARENT_NAMES, _VERSION, _POSITION)
_KEYS = ("id", "webhook_id", "dedup_key")
_KEY_VALUES = attrgetter(*_KEYS)


def _given(of: Column[Any]) -> Any:
    # VARCHAR(n) is declared as text: a cast to VARCHAR(n) would truncate silently instead of failing.
    return column(of.name, Text() if isinstance(of.type, String) else of.type)


def _among(name: str) -> Any:
    return tables.webhook.c.id == any_(bindparam(name, type_=ARRAY(Text())))


def _recordset(parameter: str, names: Sequence[str], *more: Any) -> Any:
    columns = [_given(tables.delivery.c[name]) for name in names]
    return (
        func.json_to_recordset(cast(bindparam(parameter, type_=Text()), JSON))
        .table_valued(*columns, *more, name=f"given_{parameter}")
        .render_derived(with_types=True)
    )


def _store(names: Sequence[str]) -> Any:
    """Inserts deliveries whose webhooks have the expected versions, and returns their ids."""
    given = _recordset("rows", names, column(_VERSION, Integer()), column(_POSITION, Integer()))
    bodies = (
        func.unnest(bindparam("bodies", type_=ARRAY(LargeBinary())))
        .table_valued(_BODY, with_ordinality=_POSITION, name="bodies")
        .render_derived()
    )
    locked = (
        select(tables.webhook.c.id, tables.webhook.c.version, is_awaited())
        .where(_among("webhook_ids"), waiting_is_limited("postgresql", BATCH_LOCK_SECONDS))
        .order_by(tables.webhook.c.id)
        .with_for_update(read=True, skip_locked=True)
        .cte("locked")
    )
    rows = (
        select(*(given.c[name] for name in names), bodies.c[_BODY], to_match(locked, given.c.state))
        .join_from(
            given,
            locked,
            (locked.c.id == given.c.webhook_id) & (locked.c.version == given.c[_VERSION]),
        )
        .join(bodies, bodies.c[_POSITION] == given.c[_POSITION])
        # Two batches with the same deduplication keys wait for each other in the same order: no deadlock.
        .order_by(given.c.webhook_id, given.c.dedup_key, given.c.id)
    )
    written = [*names, _BODY, tables.delivery.c.to_match.name]
    inserted = postgresql.insert(tables.delivery).from_select(written, rows).on_conflict_do_nothing()
    return inserted.returning(tables.delivery.c.id)


def _store_families() -> Any:
    """The same, and inserts the children of what was inserted, whose bodies are empty."""
    parents = _store(_PARENT_NAMES).cte("parents")
    given = _recordset("children", _CHILD_NAMES)
    rows = (
        select(*(given.c[name] for name in _CHILD_NAMES), literal_column("''::bytea"))
        # Only a parent that was inserted just now: the children of an earlier attempt are stored already.
        .where(given.c.parent_id.in_(select(parents.c.id)))
        .order_by(given.c.webhook_id, given.c.dedup_key, given.c.id)
    )
    inserted = (
        postgresql.insert(tables.delivery)
        .from_select([*_CHILD_NAMES, _BODY], rows)
        .on_conflict_do_nothing()
        .returning(tables.delivery.c.id)
        .cte("children")
    )
    return select(parents.c.id).add_cte(inserted)


def _find_stored() -> Any:
    columns, webhook = tables.delivery.c, tables.webhook.c
    given = (
        func.json_to_recordset(cast(bindparam("rows", type_=Text()), JSON))
        .table_valued(*(column(name, Text()) for name in _KEYS), name="given")
        .render_derived(with_types=True)
    ).c
    # Subqueries instead of joins: one probe of an index each, where a join may read the whole table.
    has_key = (columns.webhook_id == given.webhook_id) & (columns.dedup_key == given.dedup_key)
    return select(
        given.id,
        select(columns.id).where(columns.id == given.id).scalar_subquery().label("own_id"),
        select(webhook.version).where(webhook.id == given.webhook_id).scalar_subquery().label("version"),
        select(columns.id).where(has_key).scalar_subquery().label("first_id"),
    )


# A fetched key is no change of the definition, so it does not raise the version.
_NEWEST_FETCHED_KEY = (
    select(func.coalesce(func.max(tables.secret.c.id), 0))
    .where(tables.secret.c.webhook_id == tables.webhook.c.id, tables.secret.c.source_url.is_not(None))
    .scalar_subquery()
)
_STAMPS = Statement(
    select(
        tables.webhook.c.id,
        tables.webhook.c.version,
        _NEWEST_FETCHED_KEY,
        # Listening is no change of the definition either.
        tables.webhook.c.listening_until,
    ).where(_among("ids"))
)
_WITH_CREDENTIALS = Statement(with_credentials(_among("ids")))
_STORE = Statement(_store(_NAMES))
_STORE_FAMILIES = Statement(_store_families())
_FIND_STORED = Statement(_find_stored())
