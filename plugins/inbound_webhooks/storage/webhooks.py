"""Statements on webhooks; each runs on the caller's connection."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    text,
    update,
)

from inbound_webhooks.records.webhook import FIELDS, Webhook
from inbound_webhooks.records.webhook_fields import json_value
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.database import waiting_is_limited


def insert_webhook(connection: Connection, webhook: Webhook) -> None:
    """Insert a webhook; raises IntegrityError if its name is taken."""
    connection.execute(insert(tables.webhook), _webhook_row(webhook))
    raise_source(connection, webhook.source)


def update_webhook(connection: Connection, webhook: Webhook, changed_at: datetime) -> None:
    """Write a webhook's fields and raise its version.

    The row lock waits for every receiver and dispatcher that is about to commit on the old definition.
    """
    row = _webhook_row(webhook) | {"version": tables.webhook.c.version + 1, "updated_at": changed_at}
    del row["route_count"]  # only raise_source counts
    connection.execute(update(tables.webhook).where(tables.webhook.c.id == webhook.id).values(row))
    raise_source(connection, webhook.source)


def raise_source(connection: Connection, source: str | None) -> None:
    """Raise the version of the webhook whose events a changed one gets, and count its routes again.

    The endpoint judges an event by all routes, and commits it if the version of their source is the same. So
    nothing is committed for a route as it was before, once the change has returned.
    """
    if source is None:
        return
    columns = tables.webhook.c
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(change_lock_key(literal(source)))))
    route = tables.webhook.alias("route").c
    number = select(func.count()).where(route.source.is_not(None), route.source == source).scalar_subquery()
    values = {"version": columns.version + 1, "route_count": number}
    connection.execute(update(tables.webhook).where(columns.id == source).values(values))


def routes_of(connection: Connection, source_id: str) -> list[Webhook]:
    """The webhooks that get the events of another one, in their order."""
    columns = tables.webhook.c
    of_source = (text(tables.ROUTE), columns.source == source_id)
    order = (columns.position.is_(None), columns.position, func.lower(columns.name), columns.id)
    return [
        read_webhook(row)
        for row in connection.execute(select(tables.webhook).where(*of_source).order_by(*order))
    ]


def all_routes(connection: Connection) -> list[Webhook]:
    """All webhooks that get the events of another one."""
    query = select(tables.webhook).where(text(tables.ROUTE))
    return [read_webhook(row) for row in connection.execute(query)]


def delete_webhook(connection: Connection, webhook_id: str) -> None:
    """Delete a webhook with its tokens and secrets (by cascade); its deliveries stay."""
    columns = tables.webhook.c
    source = connection.scalar(select(columns.source).where(columns.id == webhook_id))
    connection.execute(delete(tables.webhook).where(columns.id == webhook_id))
    raise_source(connection, source)


def set_confirm_url(connection: Connection, webhook_id: str, url: str) -> None:
    """Store the link that a user has to open; no change of the definition, so the version stays."""
    connection.execute(
        update(tables.webhook).where(tables.webhook.c.id == webhook_id).values(confirm_url=url)
    )


class ById(str):
    """The id of a webhook, never to be taken for another webhook's name."""

    __slots__ = ()


def find_webhook(connection: Connection, name_or_id: str, *, locked: bool = False) -> Webhook | None:
    """Find a webhook by id, else by name.

    :param locked: lock its row until the transaction ends, after transactions that hold it FOR SHARE
    """
    columns = tables.webhook.c
    condition = columns.id == name_or_id
    if not isinstance(name_or_id, ById):
        condition |= (columns.name == name_or_id) & ~_has_id(name_or_id)
    if locked and connection.dialect.name == "postgresql":
        # Dispatchers and requests that lock the row FOR SHARE in turn would starve this exclusive lock: they
        # skip webhooks whose advisory lock is held.
        connection.execute(select(func.pg_advisory_xact_lock(change_lock_key(columns.id))).where(condition))
    query = select(tables.webhook).where(condition)
    row = connection.execute(query.with_for_update() if locked else query).first()
    return read_webhook(row) if row else None


def webhooks_by_id(connection: Connection, ids: Collection[str]) -> dict[str, Webhook]:
    """Webhooks by their ids, without those that do not exist."""
    rows = connection.execute(select(tables.webhook).where(tables.webhook.c.id.in_(ids)))
    return {row.id: read_webhook(row) for row in rows}


def wait_for_change(connection: Connection, webhook_id: str) -> None:
    """Wait until no transaction changes a webhook, by locking its row as an insert of a delivery does."""
    dialect = connection.dialect.name
    row = select(tables.webhook.c.id).where(tables.webhook.c.id == webhook_id, waiting_is_limited(dialect))
    connection.execute(row.with_for_update(read=True))


def _has_id(given: str) -> ColumnElement[bool]:
    """Condition that a text is some webhook's id: an id is unique, so it wins over a name equal to it."""
    same_id = tables.webhook.alias("same_id")
    return exists().where(same_id.c.id == given)


def is_webhook_id(connection: Connection, given: str) -> bool:
    """Whether a text is a webhook's id, and so cannot name another webhook."""
    return bool(connection.scalar(select(_has_id(given))))


def webhook_by_name(connection: Connection, name: str) -> Webhook | None:
    """Find a webhook by name alone."""
    row = connection.execute(select(tables.webhook).where(tables.webhook.c.name == name)).first()
    return read_webhook(row) if row else None


def webhook_by_id(connection: Connection, webhook_id: str) -> Webhook | None:
    """Find a webhook by id alone."""
    row = connection.execute(select(tables.webhook).where(tables.webhook.c.id == webhook_id)).first()
    return read_webhook(row) if row else None


def list_webhooks(connection: Connection) -> list[Webhook]:
    """All webhooks by name."""
    return [
        read_webhook(row)
        for row in connection.execute(select(tables.webhook).order_by(tables.webhook.c.name))
    ]


def teams_by_dag(connection: Connection, dag_ids: Collection[str]) -> dict[str, set[str | None]]:
    """DAG id -> the teams of the webhooks that name it; None among them stands for no team."""
    columns = tables.webhook.c
    rows = connection.execute(
        select(columns.dag_id, columns.team).where(columns.dag_id.in_(dag_ids)).distinct()
    )
    found: dict[str, set[str | None]] = {}
    for dag_id, team in rows:
        found.setdefault(dag_id, set()).add(team)
    return found


def webhooks_with_refreshed_keys(connection: Connection) -> list[Webhook]:
    """Enabled webhooks that have public keys fetched; the caller checks the parsed settings again."""
    columns = tables.webhook.c
    query = select(tables.webhook).where(
        # A rough filter on the JSON text: the databases have different operators for JSON.
        columns.enabled,
        columns.verification.contains('"refresh_keys": true', autoescape=True),
    )
    return [read_webhook(row) for row in connection.execute(query)]


def change_lock_key(webhook_id: Any) -> Any:
    """Key of the advisory lock that a change of the webhook holds, and waits for."""
    return func.hashtextextended(literal("inbound webhook change ") + webhook_id, 0)


_JSON_COLUMNS = tuple(name for name, field in FIELDS.items() if field.is_json)


def read_webhook(row: Any) -> Webhook:
    """A row of the table as a webhook."""
    return webhook_of(row._mapping)


_FIELDS = tuple(Webhook.__dataclass_fields__)


def webhook_of(row: Any) -> Webhook:
    """A mapping of column to value as a webhook."""
    values: dict[str, Any] = dict(zip(_FIELDS, map(row.__getitem__, _FIELDS), strict=True))
    for name in _JSON_COLUMNS:
        value = json.loads(values[name])
        values[name] = tuple(value) if isinstance(value, list) else value
    return Webhook(**values)


def _webhook_row(webhook: Webhook) -> dict[str, Any]:
    written = {name: json.dumps(json_value(getattr(webhook, name))) for name in _JSON_COLUMNS}
    return vars(webhook) | written
