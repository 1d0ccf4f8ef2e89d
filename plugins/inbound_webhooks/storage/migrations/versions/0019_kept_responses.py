"""The responses that senders got, where they differ from the standard ones, and when they were decided.

Revision: 0019
"""

from __future__ import annotations

import sqlalchemy as sa
from airflow.utils.sqlalchemy import UtcDateTime
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Null, not known: an older process accepted the delivery.
    op.add_column("inbound_webhook_delivery", sa.Column("custom_response", sa.Boolean(), nullable=True))
    op.add_column("inbound_webhook_delivery", sa.Column("accepted_at", UtcDateTime(), nullable=True))
    op.create_table(
        "inbound_webhook_response",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("body_bytes", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("inbound_webhook_response")
    op.drop_column("inbound_webhook_delivery", "accepted_at")
    op.drop_column("inbound_webhook_delivery", "custom_response")
