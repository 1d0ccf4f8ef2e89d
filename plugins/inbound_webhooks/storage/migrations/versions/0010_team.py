"""The team whose DAG a webhook may start, in Airflow's multi-team mode.

Revision: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Null, no team: which DAG its user had the right to when the webhook was made is not known any more.
    op.add_column("inbound_webhook", sa.Column("team", sa.String(50), nullable=True))


def downgrade() -> None:
    op.drop_column("inbound_webhook", "team")
