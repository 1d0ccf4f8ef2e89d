"""Columns and stored problems under the terms of the product: verification, response, problem.

Purposes of secrets, states and the kinds of mails have kept their values.
What rejections and deliveries say in words stays as it was written.

An api-server or gateway of before this revision cannot work with the tables of this one.

Revision: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COLUMNS = (
    ("inbound_webhook", "proofs", "verification"),
    ("inbound_webhook_delivery", "answer_status", "response_status"),
    ("inbound_webhook_drift", "faults", "problems"),
)
KEYS = {"faults": "problems", "what": "message"}
"""Old key -> new one, in the problems of a mapping: a webhook's own, and those that a drift mail lists."""


def upgrade() -> None:
    for table, old, new in COLUMNS:
        _rename(table, old, new)
    for old, new in KEYS.items():
        _rename_key("inbound_webhook_drift", "problems", old, new)
        _rename_key("inbound_webhook_mail", "facts", old, new)


def downgrade() -> None:
    for old, new in KEYS.items():
        _rename_key("inbound_webhook_drift", "problems", new, old)
        _rename_key("inbound_webhook_mail", "facts", new, old)
    for table, old, new in COLUMNS:
        _rename(table, new, old)


def _rename(table: str, old: str, new: str) -> None:
    # Both databases rename in place and keep indexes; alembic's batch mode would copy the table on SQLite.
    op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")


def _rename_key(table: str, column: str, old: str, new: str) -> None:
    # Inside a value the quotes are escaped, so this text is a key wherever it stands.
    stored = sa.table(table, sa.column(column, sa.Text)).c[column]
    before, after = f'"{old}":', f'"{new}":'
    op.execute(
        sa.update(stored.table)
        .where(stored.contains(before, autoescape=True))
        .values({column: sa.func.replace(stored, before, after)})
    )
