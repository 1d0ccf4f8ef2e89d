"""What is known of each mapping beside its DAG, mails about that, and where secrets of files stand.

Revision: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from airflow.utils.sqlalchemy import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inbound_webhook_mail", sa.Column("facts", sa.Text, nullable=True))
    op.add_column("inbound_webhook_secret", sa.Column("reference", sa.Text, nullable=True))
    op.create_table(
        "inbound_webhook_drift",
        sa.Column(
            "webhook_id",
            sa.String(10),
            sa.ForeignKey(
                "inbound_webhook.id", name="inbound_webhook_drift_webhook_fkey", ondelete="CASCADE"
            ),
            primary_key=True,
        ),
        sa.Column("dag_hash", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("mapping_hash", sa.String(64), nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("faults", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("inbound_webhook_drift")
    op.drop_column("inbound_webhook_secret", "reference")
    op.drop_column("inbound_webhook_mail", "facts")
