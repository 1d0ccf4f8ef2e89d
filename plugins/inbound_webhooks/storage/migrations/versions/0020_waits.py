"""Tasks that wait for a call, and the deliveries that are such calls.

Revision: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from airflow.utils.sqlalchemy import UtcDateTime
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

CALLED = "wait_id IS NOT NULL AND state = 'accepted'"
WAITING = "state = 'waiting'"


def upgrade() -> None:
    op.create_table(
        "inbound_webhook_wait",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("token_sha256", sa.String(64), nullable=True),
        sa.Column("dag_id", sa.String(250), nullable=False),
        sa.Column("run_id", sa.String(250), nullable=False),
        sa.Column("task_id", sa.String(250), nullable=False),
        sa.Column("map_index", sa.Integer(), nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("deadline", UtcDateTime(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("fail_when", sa.Text(), nullable=True),
        sa.Column("delivery_id", sa.String(32), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("refused_calls", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("refusal", sa.Text(), nullable=True),
    )
    op.create_index(
        "idx_inbound_webhook_wait_waiting",
        "inbound_webhook_wait",
        ["id"],
        postgresql_where=sa.text(WAITING),
        sqlite_where=sa.text(WAITING),
    )
    op.create_index("idx_inbound_webhook_wait_run", "inbound_webhook_wait", ["dag_id", "run_id", "task_id"])
    op.create_index("idx_inbound_webhook_wait_ended_at", "inbound_webhook_wait", ["ended_at"])
    op.add_column("inbound_webhook_delivery", sa.Column("wait_id", sa.String(32), nullable=True))
    op.create_index(
        "idx_inbound_webhook_delivery_called",
        "inbound_webhook_delivery",
        ["id"],
        postgresql_where=sa.text(CALLED),
        sqlite_where=sa.text(CALLED),
    )


def downgrade() -> None:
    op.drop_index("idx_inbound_webhook_delivery_called", "inbound_webhook_delivery")
    op.drop_column("inbound_webhook_delivery", "wait_id")
    op.drop_table("inbound_webhook_wait")
