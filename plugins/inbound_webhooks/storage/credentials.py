"""Statements on tokens and secrets; each runs on the caller's connection."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    insert,
    literal,
    null,
    select,
    union_all,
    update,
)

from inbound_webhooks.records.credential import Credential
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage import tables
from inbound_webhooks.storage.webhooks import webhook_of


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
    """Add a secret to a webhook; ``reference`` is its location according to a definition file."""
    row = {"webhook_id": webhook_id, "purpose": purpose, "encrypted": encrypted, "created_at": created_at}
    connection.execute(insert(tables.secret), row | {"reference": reference})


def secret_references(connection: Connection, webhook_id: str) -> dict[int, str]:
    """Locations of a webhook's secrets that a definition file refers to, by the secret's id."""
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
    """Store a fetched public key; it replaces the one fetched from the same URL before."""
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


def delete_fetched_keys(connection: Connection, keys: Collection[Credential]) -> None:
    """Delete fetched public keys."""
    ids = [key.id for key in keys]
    connection.execute(delete(tables.secret).where(tables.secret.c.id.in_(ids)))


def delete_tokens(connection: Connection, webhook_id: str) -> None:
    """Delete all tokens of a webhook."""
    connection.execute(delete(tables.token).where(tables.token.c.webhook_id == webhook_id))


def delete_secrets(connection: Connection, webhook_id: str, purpose: str) -> None:
    """Delete all secrets of a webhook for one purpose."""
    columns = tables.secret.c
    connection.execute(
        delete(tables.secret).where(columns.webhook_id == webhook_id, columns.purpose == purpose)
    )


def delete_ending(connection: Connection, webhook_id: str) -> None:
    """Delete a webhook's tokens and secrets that have an expiry: those that a rotation replaced.

    Fetched public keys stay, whose expiry is their vendor's.
    """
    for table in (tables.token, tables.secret):
        replaced = (table.c.webhook_id == webhook_id) & table.c.expires_at.is_not(None)
        if table is tables.secret:
            replaced &= table.c.source_url.is_(None)
        connection.execute(delete(table).where(replaced))


def end_tokens(connection: Connection, webhook_id: str, end: datetime) -> None:
    """Set an expiry for all tokens of a webhook; earlier expiries stay."""
    _set_expiry(connection, tables.token, tables.token.c.webhook_id == webhook_id, end)


def end_secrets(connection: Connection, webhook_id: str, purpose: str, end: datetime) -> None:
    """Set an expiry for all secrets of a webhook for one purpose; earlier expiries stay."""
    columns = tables.secret.c
    _set_expiry(
        connection, tables.secret, (columns.webhook_id == webhook_id) & (columns.purpose == purpose), end
    )


def _set_expiry(connection: Connection, table: Any, condition: Any, end: datetime) -> None:
    later = table.c.expires_at.is_(None) | (table.c.expires_at > end)
    connection.execute(update(table).where(condition, later).values(expires_at=end))


def list_credentials(connection: Connection, webhook_id: str) -> list[Credential]:
    """A webhook's tokens and secrets, newest first, including expired ones."""
    rows = connection.execute(select(_CREDENTIALS).where(_CREDENTIALS.c.webhook_id == webhook_id))
    found = [_credential(row._mapping) for row in rows]
    return sorted(found, key=lambda credential: (credential.created_at, credential.id), reverse=True)


def note_use(connection: Connection, credential: Credential, used_at: datetime) -> None:
    """Note when a token or secret was last used.

    A row that is locked is skipped: the note is worth no wait while a person rotates the secret.
    """
    table = tables.secret if credential.purpose else tables.token
    unlocked = select(table.c.id).where(table.c.id == credential.id).with_for_update(skip_locked=True)
    condition = table.c.id.in_(unlocked.correlate(None))
    connection.execute(update(table).where(condition).values(last_used_at=used_at))


def encrypted_values(
    connection: Connection, table_name: str, *, after: int | str | None, limit: int
) -> list[tuple[Any, str]]:
    """(id, encrypted value) of a table's rows that have one, by id, beginning behind ``after``."""
    table, column = ENCRYPTED_COLUMNS[table_name]
    rows = select(table.c.id, table.c[column]).where(table.c[column].is_not(None)).order_by(table.c.id)
    if after is not None:
        rows = rows.where(table.c.id > after)
    return [(row[0], row[1]) for row in connection.execute(rows.limit(limit))]


def replace_encrypted(
    connection: Connection, table_name: str, values: Sequence[tuple[Any, str, str]]
) -> None:
    """Write new encrypted values (id, old, new) where the old ones are still stored."""
    table, column = ENCRYPTED_COLUMNS[table_name]
    # Retention may have deleted a value since it was read, and it must not come back.
    is_unchanged = (table.c.id == bindparam("row_id")) & (table.c[column] == bindparam("old"))
    rows = [{"row_id": row_id, "old": old, "new": new} for row_id, old, new in values]
    connection.execute(update(table).where(is_unchanged).values({column: bindparam("new")}), rows)


ENCRYPTED_COLUMNS = {
    "tokens": (tables.token, "encrypted"),
    "secrets": (tables.secret, "encrypted"),
    "deliveries": (tables.delivery, "credentials"),
    "replay jobs": (tables.replay_job, "claims"),
}


def _credential_columns(table: Any, purpose: Any, source_url: Any) -> Any:
    names = ("id", "webhook_id", "encrypted", "created_at", "expires_at", "last_used_at")
    own = (purpose.label("purpose"), source_url.label("source_url"))
    return select(*own, *(table.c[name] for name in names))


_ID = attrgetter("id")

_CREDENTIALS = union_all(
    _credential_columns(tables.token, literal(""), null()),
    _credential_columns(tables.secret, tables.secret.c.purpose, tables.secret.c.source_url),
).subquery("credential")


def with_credentials(condition: Any) -> Any:
    """Webhooks joined with credentials, a row for each; :func:`webhook_with_credentials` reads them."""
    credentials = (column.label(f"credential_{column.name}") for column in _CREDENTIALS.c)
    joined = tables.webhook.outerjoin(_CREDENTIALS, _CREDENTIALS.c.webhook_id == tables.webhook.c.id)
    return select(tables.webhook, *credentials).select_from(joined).where(condition)


_WITH_CREDENTIALS = with_credentials(tables.webhook.c.id == bindparam("webhook_id"))


def find_with_credentials(connection: Connection, webhook_id: str) -> tuple[Webhook, list[Credential]] | None:
    """A webhook and its credentials, newest first, in the single query that each request costs."""
    rows = connection.execute(_WITH_CREDENTIALS, {"webhook_id": webhook_id}).mappings().all()
    return webhook_with_credentials(rows) if rows else None


def webhook_with_credentials(rows: Sequence[Any]) -> tuple[Webhook, list[Credential]]:
    """Read the joined rows of one webhook (mappings of column to value); credentials newest first."""
    found = []
    for row in rows:
        if row["credential_id"] is not None:
            found.append(_credential(row, "credential_"))
    # By id instead of by time: two credentials created within one clock tick still have an order.
    return webhook_of(rows[0]), sorted(found, key=_ID, reverse=True)


def _credential(row: Any, prefix: str = "") -> Credential:
    values = {}
    for name in Credential.__dataclass_fields__:
        values[name] = row[prefix + name]
    return Credential(**values)
