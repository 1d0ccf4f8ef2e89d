"""Name and DAG of the webhook of a rejection, kept when the webhook is deleted.

Revision: 0022
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

TABLE = "inbound_webhook_rejection"


def upgrade() -> None:
    op.add_column(TABLE, sa.Column("webhook_name", sa.String(200), nullable=True))
    op.add_column(TABLE, sa.Column("dag_id", sa.String(250), nullable=True))


def downgrade() -> None:
    op.drop_column(TABLE, "dag_id")
    op.drop_column(TABLE, "webhook_name")
