"""Hold, and the scheduling fields of runs.

Revision: 0026
"""

from __future__ import annotations

import sqlalchemy as sa
from airflow.utils.sqlalchemy import UtcDateTime
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

WEBHOOK, DELIVERY, HOLD = "inbound_webhook", "inbound_webhook_delivery", "inbound_webhook_hold"


def upgrade() -> None:
    op.create_table(
        HOLD,
        sa.Column("webhook_id", sa.String(10), primary_key=True),
        sa.Column("held_at", UtcDateTime, nullable=False),
        sa.Column("actor", sa.String(250), nullable=False),
        sa.Column("next_release_at", UtcDateTime, nullable=True),
    )
    for column in (
        sa.Column("hold", sa.String(10), nullable=True),
        sa.Column("held_by_all", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("release_per_minute", sa.Integer, nullable=True),
        sa.Column("release_window", sa.String(11), nullable=True),
        sa.Column("start_window", sa.String(11), nullable=True),
        sa.Column("logical_date", sa.Text, nullable=True),
        sa.Column("run_after", sa.Text, nullable=True),
        sa.Column("note", sa.Text, nullable=True),
    ):
        op.add_column(WEBHOOK, column)
    op.add_column(DELIVERY, sa.Column("logical_date", UtcDateTime, nullable=True))
    op.add_column(DELIVERY, sa.Column("run_after", UtcDateTime, nullable=True))
    op.add_column(DELIVERY, sa.Column("note", sa.Text, nullable=True))


def downgrade() -> None:
    for name in ("note", "run_after", "logical_date"):
        op.drop_column(DELIVERY, name)
    names = ("note", "run_after", "logical_date", "start_window", "release_window", "release_per_minute")
    for name in (*names, "held_by_all", "hold"):
        op.drop_column(WEBHOOK, name)
    op.drop_table(HOLD)
