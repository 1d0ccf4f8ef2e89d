"""Webhooks with their tokens and secrets, deliveries, rejections.

Revision: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from airflow.utils.sqlalchemy import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbound_webhook",
        sa.Column("id", sa.String(10), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("dag_id", sa.String(250), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("response_content_type", sa.String(100), nullable=False),
        sa.Column("response_template", sa.Text, nullable=True),
        sa.Column("response_status", sa.Integer, nullable=True),
        sa.Column("disabled_status", sa.Integer, nullable=False),
        sa.Column("invalid_status", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_index("idx_inbound_webhook_name", "inbound_webhook", ["name"], unique=True)
    op.create_index("idx_inbound_webhook_dag_id", "inbound_webhook", ["dag_id"])

    for name in ("token", "secret"):
        table = f"inbound_webhook_{name}"
        op.create_table(
            table,
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
            sa.Column(
                "webhook_id",
                sa.String(10),
                sa.ForeignKey("inbound_webhook.id", name=f"{table}_webhook_fkey", ondelete="CASCADE"),
                nullable=False,
            ),
            sa.Column("encrypted", sa.Text, nullable=False),
            sa.Column("created_at", UtcDateTime, nullable=False),
            sa.Column("expires_at", UtcDateTime, nullable=True),
            sa.Column("last_used_at", UtcDateTime, nullable=True),
        )
        op.create_index(f"idx_{table}_webhook_id", table, ["webhook_id"])

    op.create_table(
        "inbound_webhook_delivery",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("webhook_id", sa.String(10), nullable=False),
        sa.Column("webhook_name", sa.String(200), nullable=False),
        sa.Column("dag_id", sa.String(250), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("source_ip", sa.String(45), nullable=False),
        sa.Column("query_string", sa.Text, nullable=False),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("credentials", sa.Text, nullable=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("conf", sa.Text, nullable=True),
        sa.Column("answer_status", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=True),
        sa.Column("replay_of", sa.String(32), nullable=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", UtcDateTime, nullable=True),
        sa.Column("run_id", sa.String(250), nullable=True),
        sa.Column("dispatched_at", UtcDateTime, nullable=True),
    )
    op.create_index(
        "idx_inbound_webhook_delivery_webhook_id", "inbound_webhook_delivery", ["webhook_id", "id"]
    )
    op.create_index(
        "idx_inbound_webhook_delivery_due",
        "inbound_webhook_delivery",
        ["next_attempt_at", "id"],
        postgresql_where=sa.text("state = 'accepted'"),
        sqlite_where=sa.text("state = 'accepted'"),
    )

    op.create_table(
        "inbound_webhook_rejection",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("webhook_id", sa.String(10), nullable=False),
        sa.Column("rejected_at", UtcDateTime, nullable=False),
        sa.Column("source_ip", sa.String(45), nullable=False),
        sa.Column("method", sa.String(20), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index(
        "idx_inbound_webhook_rejection_webhook_id", "inbound_webhook_rejection", ["webhook_id", "id"]
    )


def downgrade() -> None:
    for name in ("rejection", "delivery", "secret", "token"):
        op.drop_table(f"inbound_webhook_{name}")
    op.drop_table("inbound_webhook")
