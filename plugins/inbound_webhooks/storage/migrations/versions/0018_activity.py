"""Deliveries counted by the hour.

Revision: 0018
"""

from __future__ import annotations

import sqlalchemy as sa
from airflow.utils.sqlalchemy import UtcDateTime
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbound_webhook_activity",
        sa.Column("webhook_id", sa.String(10), primary_key=True),
        sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.String(16), primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("to_run", sa.Text, nullable=True),
        sa.Column("to_task", sa.Text, nullable=True),
    )
    op.create_index(
        "idx_inbound_webhook_activity_state", "inbound_webhook_activity", ["state", "hour", "webhook_id"]
    )
    op.create_table(
        "inbound_webhook_activity_hour",
        sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("passes", sa.Integer, nullable=False),
        sa.Column("counted_at", UtcDateTime, nullable=True),
    )


def downgrade() -> None:
    op.drop_table("inbound_webhook_activity_hour")
    op.drop_table("inbound_webhook_activity")
