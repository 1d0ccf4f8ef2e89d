"""Replays of many deliveries, and the indexes to find them with.

Revision: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from airflow.utils.sqlalchemy import UtcDateTime
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ENDED = "state NOT IN ('accepted', 'dispatched')"
INDEXES = {
    "dag": (["dag_id", "id", "state"], ENDED),
    "unusual": (["state", "id"], "state NOT IN ('accepted', 'dispatched', 'succeeded')"),
    "event": (["event_type", "id"], f"event_type IS NOT NULL AND {ENDED}"),
}


def upgrade() -> None:
    for name, (columns, condition) in INDEXES.items():
        op.create_index(
            f"idx_inbound_webhook_delivery_{name}",
            "inbound_webhook_delivery",
            columns,
            postgresql_where=sa.text(condition),
            sqlite_where=sa.text(condition),
        )
    op.create_table(
        "inbound_webhook_replay_job",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("actor", sa.String(250), nullable=False),
        sa.Column("is_checked", sa.Boolean, nullable=False),
        sa.Column("claims", sa.Text, nullable=True),
        sa.Column("conditions", sa.Text, nullable=False),
        sa.Column("remap", sa.Boolean, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("dag_ids", sa.Text, nullable=False),
        sa.Column("next_at", UtcDateTime, nullable=False),
        sa.Column("finished_at", UtcDateTime, nullable=True),
    )
    running = sa.text("state = 'running'")
    op.create_index(
        "idx_inbound_webhook_replay_job_running",
        "inbound_webhook_replay_job",
        ["next_at"],
        postgresql_where=running,
        sqlite_where=running,
    )
    op.create_index(
        "idx_inbound_webhook_replay_job_finished_at", "inbound_webhook_replay_job", ["finished_at"]
    )
    op.create_table(
        "inbound_webhook_replay_item",
        sa.Column(
            "job_id",
            sa.String(32),
            sa.ForeignKey(
                "inbound_webhook_replay_job.id",
                name="inbound_webhook_replay_item_job_fkey",
                ondelete="CASCADE",
            ),
            primary_key=True,
        ),
        sa.Column("delivery_id", sa.String(32), primary_key=True),
        sa.Column("webhook_id", sa.String(10), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("replay_id", sa.String(32), nullable=True),
        sa.Column("reason", sa.Text, nullable=True),
    )
    waiting = sa.text("state = 'waiting'")
    op.create_index(
        "idx_inbound_webhook_replay_item_waiting",
        "inbound_webhook_replay_item",
        ["job_id", "delivery_id"],
        postgresql_where=waiting,
        sqlite_where=waiting,
    )


def downgrade() -> None:
    op.drop_table("inbound_webhook_replay_item")
    op.drop_table("inbound_webhook_replay_job")
    for name in INDEXES:
        op.drop_index(f"idx_inbound_webhook_delivery_{name}", "inbound_webhook_delivery")
