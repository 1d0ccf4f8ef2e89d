"""Problems that processes of the endpoint report.

Revision: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from airflow.utils.sqlalchemy import UtcDateTime
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbound_webhook_endpoint",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("host", sa.String(250), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.Column("problems", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("inbound_webhook_endpoint")
