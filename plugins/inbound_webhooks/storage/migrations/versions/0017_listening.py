"""Listening for requests: until when a webhook listens, and what it has captured.

Revision: 0017
"""

from __future__ import annotations

import sqlalchemy as sa
from airflow.utils.sqlalchemy import UtcDateTime
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inbound_webhook", sa.Column("listening_until", UtcDateTime(), nullable=True))
    op.create_index(
        "idx_inbound_webhook_listening",
        "inbound_webhook",
        ["listening_until"],
        postgresql_where=sa.text("listening_until IS NOT NULL"),
        sqlite_where=sa.text("listening_until IS NOT NULL"),
    )
    op.create_table(
        "inbound_webhook_captured",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("webhook_id", sa.String(10), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("source_ip", sa.String(45), nullable=False),
        sa.Column("method", sa.String(20), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("query_string", sa.Text(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("body_bytes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["inbound_webhook.id"],
            name="inbound_webhook_captured_webhook_fkey",
            ondelete="CASCADE",
        ),
    )
    op.create_index("idx_inbound_webhook_captured_webhook_id", "inbound_webhook_captured", ["webhook_id", "id"])


def downgrade() -> None:
    op.drop_table("inbound_webhook_captured")
    op.drop_index("idx_inbound_webhook_listening", "inbound_webhook")
    op.drop_column("inbound_webhook", "listening_until")
