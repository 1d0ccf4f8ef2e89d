"""Limits of a webhook, and the indexes by which its waiting deliveries and active runs are found.

Revision: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLE = "inbound_webhook_delivery"
BY_TIME = "idx_inbound_webhook_delivery_due"
BY_WEBHOOK = "idx_inbound_webhook_delivery_waiting"
ACTIVE = "idx_inbound_webhook_delivery_active"
IS_ACCEPTED = "state = 'accepted'"
IS_DISPATCHED = "state = 'dispatched'"


def upgrade() -> None:
    op.add_column("inbound_webhook", sa.Column("max_backlog", sa.Integer, nullable=True))
    op.add_column("inbound_webhook", sa.Column("max_active_runs", sa.Integer, nullable=True))
    _index(BY_WEBHOOK, ["webhook_id", "next_attempt_at", "id"], IS_ACCEPTED)
    _index(ACTIVE, ["webhook_id"], IS_DISPATCHED)
    # No query goes along the deliveries of all webhooks by age any more.
    op.drop_index(BY_TIME, TABLE)


def downgrade() -> None:
    _index(BY_TIME, ["next_attempt_at", "id"], IS_ACCEPTED)
    op.drop_index(ACTIVE, TABLE)
    op.drop_index(BY_WEBHOOK, TABLE)
    op.drop_column("inbound_webhook", "max_active_runs")
    op.drop_column("inbound_webhook", "max_backlog")


def _index(name: str, columns: list[str], condition: str) -> None:
    op.create_index(
        name, TABLE, columns, postgresql_where=sa.text(condition), sqlite_where=sa.text(condition)
    )
