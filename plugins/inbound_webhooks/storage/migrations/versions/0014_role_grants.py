"""Built-in roles that were granted what the pages need of Airflow, once.

Revision: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from airflow.utils.sqlalchemy import UtcDateTime
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbound_webhook_role_grant",
        sa.Column("role_name", sa.String(64), primary_key=True),
        sa.Column("granted_at", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("inbound_webhook_role_grant")
