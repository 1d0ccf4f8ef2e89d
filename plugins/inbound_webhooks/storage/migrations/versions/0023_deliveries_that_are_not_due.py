"""Deliveries that are not due: an index of their own, and no place among those that have ended.

Revision: 0023
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

TABLE = "inbound_webhook_delivery"
NOT_DUE = "state IN ('held', 'batched', 'settling', 'in_turn')"
OLD = "'accepted', 'dispatched'"
NEW = "'accepted', 'dispatched', 'held', 'batched', 'settling', 'in_turn'"


def upgrade() -> None:
    _replace_indexes(NEW)
    _create("not_due", ["webhook_id", "id"], NOT_DUE)


def downgrade() -> None:
    op.drop_index("idx_inbound_webhook_delivery_not_due", TABLE)
    _replace_indexes(OLD)


def _replace_indexes(open_states: str) -> None:
    ended = f"state NOT IN ({open_states})"
    indexes = {
        "ended": (["received_at"], ended),
        "dag": (["dag_id", "id", "state"], ended),
        "unusual": (["state", "id"], f"state NOT IN ({open_states}, 'succeeded')"),
        "event": (["event_type", "id"], f"event_type IS NOT NULL AND {ended}"),
    }
    for name, (columns, condition) in indexes.items():
        op.drop_index(f"idx_inbound_webhook_delivery_{name}", TABLE)
        _create(name, columns, condition)


def _create(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(
        f"idx_inbound_webhook_delivery_{name}", TABLE, columns, postgresql_where=where, sqlite_where=where
    )
