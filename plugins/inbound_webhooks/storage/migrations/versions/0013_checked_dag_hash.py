"""The version of the DAG whose params have accepted a delivery's conf.

Revision: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Null, not checked: the dispatcher checks the conf before it creates the run.
    op.add_column("inbound_webhook_delivery", sa.Column("checked_dag_hash", sa.String(64), nullable=True))


def downgrade() -> None:
    op.drop_column("inbound_webhook_delivery", "checked_dag_hash")
