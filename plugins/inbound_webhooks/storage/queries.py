"""Every statement on our own tables; each takes the connection of the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from airflow.models.log import Log
from sqlalchemy import (
    Connection,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    null,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from inbound_webhooks.storage import tables
from inbound_webhooks.storage.database import waiting_is_limited
from inbound_webhooks.storage.dispatchers import dispatchers_seen as dispatchers_seen

KEPT_REJECTIONS = 50
"""Newest rejections of a webhook that are kept."""

MAX_COUNTED = 100_000
"""Deliveries that are counted where a figure of the backlog is wanted."""


class State:
    """The states of a delivery."""

    REFUSED = "refused"
    FILTERED = "filtered"
    CANCELLED = "cancelled"
    ACCEPTED = "accepted"
    DISPATCHED = "dispatched"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNDELIVERABLE = "undeliverable"

    ALL = (REFUSED, FILTERED, CANCELLED, ACCEPTED, DISPATCHED, SUCCEEDED, FAILED, UNDELIVERABLE)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a person says of a webhook. ``mapping`` is parameter -> expression, empty for the whole event."""

    name: str
    dag_id: str
    enabled: bool = True
    mapping: Mapping[str, str] = field(default_factory=dict)
    response_content_type: str = "application/json"
    response_template: str | None = None
    response_status: int | None = None
    disabled_status: int = 403
    invalid_status: int = 422
    preset: str | None = None
    proofs: Sequence[Mapping[str, Any]] = ()
    handshake: str | None = None
    allowed_addresses: Sequence[str] = ()
    event_type: str | None = None
    filter: str | None = None
    dedup: str | None = None
    max_per_second: int | None = None
    notify_success: Sequence[str] = ()
    notify_failure: Sequence[str] = ()
    max_backlog: int | None = None
    max_active_runs: int | None = None


@dataclass(frozen=True, kw_only=True)
class Webhook(Draft):
    """A stored definition. ``confirm_url`` is a link of the vendor's that a person has to open."""

    id: str
    version: int = 1
    created_at: datetime
    updated_at: datetime
    confirm_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class Credential:
    """One of a webhook's tokens (``purpose`` is empty) or secrets, encrypted.

    ``source_url`` is where a public key was fetched, None for what a person gave.
    """

    id: int
    purpose: str
    encrypted: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    source_url: str | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it has not ended."""
        return self.expires_at is None or self.expires_at > now


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted or refused request. ``conf``, ``headers`` and ``credentials`` are as in the table."""

    id: str
    webhook_id: str
    webhook_name: str
    dag_id: str
    state: str
    received_at: datetime
    source_ip: str
    query_string: str
    headers: str
    credentials: str | None
    body: bytes
    conf: str | None
    answer_status: int
    error: str | None = None
    event_type: str | None = None
    dedup_key: str | None = None
    replay_of: str | None = None
    attempts: int = 0
    next_attempt_at: datetime | None = None
    run_id: str | None = None
    dispatched_at: datetime | None = None
    run_started_at: datetime | None = None
    finished_at: datetime | None = None
    failed_tasks: str | None = None
    body_stored: bool = True


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """One request that was refused before its content was looked at."""

    webhook_id: str
    rejected_at: datetime
    source_ip: str
    method: str
    status: int
    reason: str
    key_url: str | None = None


# --- webhooks -------------------------------------------------------------------------------


def insert_webhook(connection: Connection, webhook: Webhook) -> None:
    """Insert a webhook; IntegrityError where its name is taken."""
    connection.execute(insert(tables.webhook), _webhook_row(webhook))


def update_webhook(connection: Connection, webhook: Webhook, changed_at: datetime) -> None:
    """Write a webhook's fields and raise its version.

    The row lock that this takes waits for every receiver and dispatcher that is about to commit on the
    definition as it was.
    """
    row = _webhook_row(webhook) | {"version": tables.webhook.c.version + 1, "updated_at": changed_at}
    connection.execute(update(tables.webhook).where(tables.webhook.c.id == webhook.id).values(row))


def delete_webhook(connection: Connection, webhook_id: str) -> None:
    """Delete a webhook, its tokens and secrets (by cascade); its deliveries stay."""
    connection.execute(delete(tables.webhook).where(tables.webhook.c.id == webhook_id))


def set_confirm_url(connection: Connection, webhook_id: str, url: str) -> None:
    """Keep the link that a person has to open; no change of the definition, so no new version."""
    connection.execute(
        update(tables.webhook).where(tables.webhook.c.id == webhook_id).values(confirm_url=url)
    )


class ById(str):
    """The id of a webhook that must not be taken for another one's name."""

    __slots__ = ()


def find_webhook(connection: Connection, name_or_id: str, *, locked: bool = False) -> Webhook | None:
    """A webhook by name, else by id; ``locked``: once nobody is about to commit on it, and kept so."""
    columns = tables.webhook.c
    which = columns.id == name_or_id
    if not isinstance(name_or_id, ById):
        which |= columns.name == name_or_id
    if locked and connection.dialect.name == "postgresql":
        # Those who lock the row FOR SHARE in turn would leave no moment for one who waits for it alone.
        connection.execute(select(func.pg_advisory_xact_lock(change_key(columns.id))).where(which))
    query = select(tables.webhook).where(which)
    rows = connection.execute(query.with_for_update() if locked else query).all()
    by_name = sorted(rows, key=lambda row: row.name != name_or_id)
    return read_webhook(by_name[0]) if by_name else None


def webhook_by_id(connection: Connection, webhook_id: str) -> Webhook | None:
    """A webhook by id alone."""
    row = connection.execute(select(tables.webhook).where(tables.webhook.c.id == webhook_id)).first()
    return read_webhook(row) if row else None


def list_webhooks(connection: Connection) -> list[Webhook]:
    """All webhooks by name."""
    return [
        read_webhook(row)
        for row in connection.execute(select(tables.webhook).order_by(tables.webhook.c.name))
    ]


def count_deliveries(connection: Connection, webhook_id: str) -> dict[str, int]:
    """How many deliveries of a webhook there are in each state."""
    rows = connection.execute(
        select(tables.delivery.c.state, func.count())
        .where(tables.delivery.c.webhook_id == webhook_id)
        .group_by(tables.delivery.c.state)
    )
    return {row[0]: row[1] for row in rows}


# --- tokens and secrets ---------------------------------------------------------------------


def insert_token(connection: Connection, webhook_id: str, encrypted: str, created_at: datetime) -> None:
    """Add a token to a webhook."""
    row = {"webhook_id": webhook_id, "encrypted": encrypted, "created_at": created_at}
    connection.execute(insert(tables.token), row)


def insert_secret(
    connection: Connection,
    webhook_id: str,
    purpose: str,
    encrypted: str,
    created_at: datetime,
    *,
    reference: str | None = None,
) -> None:
    """Add a secret to a webhook; ``reference`` is where a definition file says that it stands."""
    row = {"webhook_id": webhook_id, "purpose": purpose, "encrypted": encrypted, "created_at": created_at}
    connection.execute(insert(tables.secret), row | {"reference": reference})


def secret_references(connection: Connection, webhook_id: str) -> dict[int, str]:
    """Where a webhook's secrets stand of which a definition file says it, by their ids."""
    columns = tables.secret.c
    query = select(columns.id, columns.reference)
    rows = connection.execute(query.where(columns.webhook_id == webhook_id, columns.reference.is_not(None)))
    return {row.id: row.reference for row in rows}


def save_fetched_key(
    connection: Connection,
    webhook_id: str,
    purpose: str,
    source_url: str,
    encrypted: str,
    *,
    now: datetime,
    expires_at: datetime | None,
) -> None:
    """Keep a public key that was fetched, in place of the one that was fetched from there before."""
    columns = tables.secret.c
    connection.execute(
        delete(tables.secret).where(
            columns.webhook_id == webhook_id, columns.purpose == purpose, columns.source_url == source_url
        )
    )
    row = {
        "webhook_id": webhook_id,
        "purpose": purpose,
        "encrypted": encrypted,
        "created_at": now,
        "expires_at": expires_at,
        "source_url": source_url,
    }
    connection.execute(insert(tables.secret), row)


def wanted_key_urls(connection: Connection, webhook_id: str, since: datetime) -> list[str]:
    """Addresses of public keys that requests named since then, each once, the newest first."""
    columns = tables.rejection.c
    rows = connection.execute(
        select(columns.key_url)
        .where(columns.webhook_id == webhook_id, columns.key_url.is_not(None), columns.rejected_at >= since)
        .group_by(columns.key_url)
        .order_by(func.max(columns.id).desc())
    )
    return [row.key_url for row in rows]


def webhooks_with_refreshed_keys(connection: Connection) -> list[Webhook]:
    """Enabled webhooks whose proofs ask for fetched keys; the caller looks at the settings again."""
    columns = tables.webhook.c
    query = select(tables.webhook).where(
        columns.enabled, columns.proofs.contains('"refresh_keys": true', autoescape=True)
    )
    return [read_webhook(row) for row in connection.execute(query)]


def delete_tokens(connection: Connection, webhook_id: str) -> None:
    """Take every token from a webhook."""
    connection.execute(delete(tables.token).where(tables.token.c.webhook_id == webhook_id))


def delete_secrets(connection: Connection, webhook_id: str, purpose: str) -> None:
    """Take every secret for one purpose from a webhook."""
    columns = tables.secret.c
    connection.execute(
        delete(tables.secret).where(columns.webhook_id == webhook_id, columns.purpose == purpose)
    )


def end_tokens(connection: Connection, webhook_id: str, end: datetime) -> None:
    """Let every token of a webhook end then, unless it ends before."""
    _end(connection, tables.token, tables.token.c.webhook_id == webhook_id, end)


def end_secrets(connection: Connection, webhook_id: str, purpose: str, end: datetime) -> None:
    """Let every secret of a webhook for one purpose end then, unless it ends before."""
    columns = tables.secret.c
    _end(connection, tables.secret, (columns.webhook_id == webhook_id) & (columns.purpose == purpose), end)


def _end(connection: Connection, table: Any, which: Any, end: datetime) -> None:
    later = table.c.expires_at.is_(None) | (table.c.expires_at > end)
    connection.execute(update(table).where(which, later).values(expires_at=end))


def list_credentials(connection: Connection, webhook_id: str) -> list[Credential]:
    """A webhook's tokens and secrets, ended ones too, newest first."""
    rows = connection.execute(select(_CREDENTIALS).where(_CREDENTIALS.c.webhook_id == webhook_id))
    found = [_credential(row._mapping) for row in rows]
    return sorted(found, key=lambda credential: (credential.created_at, credential.id), reverse=True)


def change_key(webhook_id: Any) -> Any:
    """The key of the advisory lock of a change: held alone by who changes the webhook or waits to do so."""
    return func.hashtextextended(literal("inbound webhook change ") + webhook_id, 0)


def touch(connection: Connection, credential: Credential, used_at: datetime) -> None:
    """Note when a token or secret was last used, unless somebody else is changing it."""
    table = tables.secret if credential.purpose else tables.token
    free = select(table.c.id).where(table.c.id == credential.id).with_for_update(skip_locked=True)
    which = table.c.id.in_(free.correlate(None))
    connection.execute(update(table).where(which).values(last_used_at=used_at))


def reencrypt(connection: Connection, table_name: str, reencrypted: Any) -> int:
    """Write ``reencrypted(old)`` for each encrypted value of a table; return how many."""
    table, column = ENCRYPTED_COLUMNS[table_name]
    rows = connection.execute(select(table.c.id, table.c[column]).where(table.c[column].is_not(None))).all()
    for row in rows:
        connection.execute(update(table).where(table.c.id == row.id).values({column: reencrypted(row[1])}))
    return len(rows)


ENCRYPTED_COLUMNS = {
    "tokens": (tables.token, "encrypted"),
    "secrets": (tables.secret, "encrypted"),
    "deliveries": (tables.delivery, "credentials"),
}


# --- receiving ------------------------------------------------------------------------------


def _credential_columns(table: Any, purpose: Any, source_url: Any) -> Any:
    names = ("id", "webhook_id", "encrypted", "created_at", "expires_at", "last_used_at")
    own = (purpose.label("purpose"), source_url.label("source_url"))
    return select(*own, *(table.c[name] for name in names))


_CREDENTIALS = union_all(
    _credential_columns(tables.token, literal(""), null()),
    _credential_columns(tables.secret, tables.secret.c.purpose, tables.secret.c.source_url),
).subquery("credential")


def with_credentials(which: Any) -> Any:
    """Webhooks, a row for each of their credentials; :func:`webhook_with_credentials` reads them."""
    credentials = (column.label(f"credential_{column.name}") for column in _CREDENTIALS.c)
    joined = tables.webhook.outerjoin(_CREDENTIALS, _CREDENTIALS.c.webhook_id == tables.webhook.c.id)
    return select(tables.webhook, *credentials).select_from(joined).where(which)


_WITH_CREDENTIALS = with_credentials(tables.webhook.c.id == bindparam("webhook_id"))


def find_with_credentials(connection: Connection, webhook_id: str) -> tuple[Webhook, list[Credential]] | None:
    """What the door needs to know, in one query; the credentials newest first."""
    rows = connection.execute(_WITH_CREDENTIALS, {"webhook_id": webhook_id}).mappings().all()
    return webhook_with_credentials(rows) if rows else None


def webhook_with_credentials(rows: Sequence[Any]) -> tuple[Webhook, list[Credential]]:
    """What the rows of one webhook say, mappings from column to value; the credentials newest first."""
    found = [_credential(row, "credential_") for row in rows if row["credential_id"] is not None]
    return _webhook(rows[0]), sorted(found, key=lambda credential: credential.id, reverse=True)


def store(connection: Connection, delivery: Delivery, version: int) -> str | None:
    """Insert a delivery if its webhook is still at this version, in one statement that locks it FOR SHARE.

    Returns the id under which the event is stored: its own, or that of an earlier delivery which holds its
    deduplication key; None where the webhook has changed. Where somebody is about to commit the same key
    this waits for it. What was stored by an earlier try, whose answer got lost, is found.
    """
    values = msgspec.structs.asdict(delivery) | {"expected_version": version}
    if connection.execute(_STORE[connection.dialect.name], values).rowcount == 1:
        return delivery.id
    columns = tables.delivery.c
    # First of all: an earlier try may be committed although its webhook has changed since.
    if connection.scalar(select(columns.id).where(columns.id == delivery.id)) is not None:
        return delivery.id
    now_at = connection.scalar(
        select(tables.webhook.c.version).where(tables.webhook.c.id == delivery.webhook_id)
    )
    if now_at != version:
        return None
    holds_key = (columns.webhook_id == delivery.webhook_id) & (columns.dedup_key == delivery.dedup_key)
    return connection.scalar(select(columns.id).where(holds_key))


def _store(dialect_name: str, dialect_insert: Any) -> Any:
    locked = (
        select(tables.webhook.c.version)
        .where(tables.webhook.c.id == bindparam("webhook_id"), waiting_is_limited(dialect_name))
        .with_for_update(read=True)
        .cte("locked")
    )
    columns = [column for column in tables.delivery.c if column.name in Delivery.__struct_fields__]
    values: list[Any] = [bindparam(column.name, type_=column.type) for column in columns]
    if dialect_name == "postgresql":
        # It does not take the types of a SELECT from the table that it goes into.
        values = [cast(value, column.type) for value, column in zip(values, columns, strict=True)]
    row = select(*values).select_from(locked).where(locked.c.version == bindparam("expected_version"))
    inserted = dialect_insert(tables.delivery).from_select([column.name for column in columns], row)
    return inserted.on_conflict_do_nothing()


_STORE = {
    "postgresql": _store("postgresql", postgresql.insert),
    "sqlite": _store("sqlite", sqlite.insert),
}


def count_accepted(connection: Connection, limit: int, *, webhook_id: str | None = None) -> int:
    """How many deliveries, of one webhook or of all, wait for their run, counted up to a limit."""
    columns = tables.delivery.c
    waiting = select(columns.id).where(text(tables.ACCEPTED)).limit(limit)
    if webhook_id is not None:
        waiting = waiting.where(columns.webhook_id == webhook_id)
    return connection.scalar(select(func.count()).select_from(waiting.subquery())) or 0


def backlog(connection: Connection) -> tuple[int, datetime | None]:
    """How many deliveries wait for their run, counted up to MAX_COUNTED, and when the oldest of them came."""
    waiting = select(tables.delivery.c.received_at).where(text(tables.ACCEPTED))
    counted = waiting.limit(MAX_COUNTED).subquery()
    count, oldest = connection.execute(select(func.count(), func.min(counted.c.received_at))).one()
    return count, oldest


def insert_rejections(connection: Connection, rejections: Sequence[Rejection]) -> None:
    """Insert rejections, and keep the newest of each webhook only."""
    connection.execute(insert(tables.rejection), [asdict(rejection) for rejection in rejections])
    columns = tables.rejection.c
    for webhook_id in {rejection.webhook_id for rejection in rejections}:
        newest = (
            select(columns.id)
            .where(columns.webhook_id == webhook_id)
            .order_by(columns.id.desc())
            .limit(KEPT_REJECTIONS)
        )
        connection.execute(
            delete(tables.rejection).where(columns.webhook_id == webhook_id, columns.id.not_in(newest))
        )


def list_rejections(connection: Connection, webhook_id: str, limit: int) -> list[Rejection]:
    """The newest rejections of a webhook, newest first."""
    columns = tables.rejection.c
    rows = connection.execute(
        select(*(columns[name] for name in Rejection.__dataclass_fields__))
        .where(columns.webhook_id == webhook_id)
        .order_by(columns.id.desc())
        .limit(limit)
    )
    return [Rejection(**row._mapping) for row in rows]


# --- deliveries -----------------------------------------------------------------------------


def find_delivery(connection: Connection, delivery_id: str) -> Delivery | None:
    """A delivery by id."""
    row = connection.execute(select(tables.delivery).where(tables.delivery.c.id == delivery_id)).first()
    return Delivery(**row._mapping) if row else None


def list_deliveries(
    connection: Connection, *, webhook_id: str | None, state: str | None, limit: int
) -> list[Any]:
    """The newest deliveries, newest first, as rows without body, headers, query and conf."""
    columns = tables.delivery.c
    heavy = {"body", "headers", "credentials", "conf", "query_string"}
    query = select(*(column for column in columns if column.name not in heavy))
    if webhook_id is not None:
        query = query.where(columns.webhook_id == webhook_id)
    if state is not None:
        query = query.where(columns.state == state)
    return list(connection.execute(query.order_by(columns.id.desc()).limit(limit)))


def cancel_accepted(connection: Connection, webhook_id: str) -> int:
    """Turn a webhook's undispatched deliveries into cancelled ones; return how many."""
    columns = tables.delivery.c
    done = connection.execute(
        update(tables.delivery)
        .where(columns.webhook_id == webhook_id, columns.state == State.ACCEPTED)
        .values(state=State.CANCELLED, next_attempt_at=None, error="The webhook was deleted.")
    )
    return done.rowcount


# --- audit ----------------------------------------------------------------------------------


def audit(
    connection: Connection,
    *,
    event: str,
    dag_id: str | None,
    actor: str,
    at: datetime,
    details: Mapping[str, Any],
) -> None:
    """Write a change to Airflow's audit log; ``details`` hold no secrets."""
    connection.execute(
        insert(Log.__table__),
        {
            "dttm": at,
            "event": event,
            "dag_id": dag_id,
            "owner": actor,
            "owner_display_name": actor,
            "extra": json.dumps(details),
        },
    )


_JSON_COLUMNS = ("mapping", "proofs", "allowed_addresses", "notify_success", "notify_failure")


def read_webhook(row: Any) -> Webhook:
    """A row of the table as a webhook."""
    return _webhook(row._mapping)


def _webhook(row: Any) -> Webhook:
    values = {name: row[name] for name in Webhook.__dataclass_fields__}
    parsed = {name: json.loads(values[name]) for name in _JSON_COLUMNS}
    lists = {name: tuple(value) for name, value in parsed.items() if isinstance(value, list)}
    return Webhook(**values | parsed | lists)


def _webhook_row(webhook: Webhook) -> dict[str, Any]:
    written = {name: json.dumps(value) for name, value in _json_values(webhook).items()}
    return vars(webhook) | written


def _json_values(webhook: Webhook) -> dict[str, Any]:
    return {
        "mapping": dict(webhook.mapping),
        "proofs": [dict(proof) for proof in webhook.proofs],
        "allowed_addresses": list(webhook.allowed_addresses),
        "notify_success": list(webhook.notify_success),
        "notify_failure": list(webhook.notify_failure),
    }


def _credential(row: Any, prefix: str = "") -> Credential:
    return Credential(**{name: row[prefix + name] for name in Credential.__dataclass_fields__})
