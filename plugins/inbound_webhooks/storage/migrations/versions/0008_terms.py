"""Columns and stored values under the terms of the field: verification, response, problem.

Revision: 0008
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

RENAMED = (
    ("inbound_webhook", "proofs", "verification"),
    ("inbound_webhook_delivery", "answer_status", "response_status"),
    ("inbound_webhook_drift", "faults", "problems"),
)


def upgrade() -> None:
    for table, old, new in RENAMED:
        _rename(table, old, new)
    _rename_keys({"faults": "problems", "what": "message"})


def downgrade() -> None:
    for table, old, new in RENAMED:
        _rename(table, new, old)
    _rename_keys({"problems": "faults", "message": "what"})


def _rename(table: str, old: str, new: str) -> None:
    # Both databases rename in place and keep indexes; alembic's batch mode would copy the table on SQLite.
    op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")


def _rename_keys(keys: dict[str, str]) -> None:
    """Rename keys in stored problems of mappings: a webhook's own, and those that a waiting mail lists."""
    connection = op.get_bind()
    for table, key, column in (
        ("inbound_webhook_drift", "webhook_id", "problems" if "what" in keys else "faults"),
        ("inbound_webhook_mail", "id", "facts"),
    ):
        stored = sa.table(table, sa.column(key), sa.column(column, sa.Text))
        rows = connection.execute(sa.select(stored.c[key], stored.c[column])).all()
        for identifier, text in rows:
            if text is not None:
                renamed = json.dumps(_renamed(json.loads(text), keys))
                connection.execute(
                    stored.update().where(stored.c[key] == identifier).values({column: renamed})
                )


def _renamed(value: object, keys: dict[str, str]) -> object:
    if isinstance(value, list):
        return [_renamed(item, keys) for item in value]
    if isinstance(value, dict):
        return {keys.get(key, key): _renamed(item, keys) for key, item in value.items()}
    return value
