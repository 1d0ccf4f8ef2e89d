"""Batches, debounce, and one run at a time for each key.

Revision: 0028
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

DELIVERY = "inbound_webhook_delivery"
WEBHOOK = "inbound_webhook"

GROUPED = "state IN ('batched', 'settling', 'in_turn')"
BUSY = "group_key IS NOT NULL AND state IN ('accepted', 'dispatched')"
IN_BATCH = "batch_id IS NOT NULL"

OF_WEBHOOK = (
    ("batch_by", sa.Text()),
    ("batch_size", sa.Integer()),
    ("batch_seconds", sa.Integer()),
    ("latest_by", sa.Text()),
    ("quiet_seconds", sa.Integer()),
    ("at_most_seconds", sa.Integer()),
    ("one_at_a_time", sa.Text()),
)
OF_DELIVERY = (
    ("group_key", 64),
    ("batch_id", 32),
    ("superseded_by", 32),
    ("cancelled_by", 32),
)


def upgrade() -> None:
    for name, kind in OF_WEBHOOK:
        op.add_column(WEBHOOK, sa.Column(name, kind, nullable=True))
    op.add_column(WEBHOOK, sa.Column("when_busy", sa.String(20), nullable=False, server_default="queue"))
    op.add_column(WEBHOOK, sa.Column("cancel_on", sa.Text(), nullable=True))
    for name, length in OF_DELIVERY:
        op.add_column(DELIVERY, sa.Column(name, sa.String(length), nullable=True))
    _create("grouped", ["webhook_id", "state", "group_key", "id"], GROUPED)
    _create("busy", ["webhook_id", "group_key", "id"], BUSY)
    _create("batch", ["batch_id", "id"], IN_BATCH)


def downgrade() -> None:
    for name in ("batch", "busy", "grouped"):
        op.drop_index(f"idx_inbound_webhook_delivery_{name}", DELIVERY)
    for name, _ in reversed(OF_DELIVERY):
        op.drop_column(DELIVERY, name)
    for name in ("cancel_on", "when_busy", *(name for name, _ in reversed(OF_WEBHOOK))):
        op.drop_column(WEBHOOK, name)


def _create(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(
        f"idx_inbound_webhook_delivery_{name}", DELIVERY, columns, postgresql_where=where, sqlite_where=where
    )
