"""Asset events as the target of a webhook.

Revision: 0024
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inbound_webhook", sa.Column("asset", sa.String(1_500), nullable=True))
    op.add_column("inbound_webhook", sa.Column("partition_key", sa.Text(), nullable=True))
    op.add_column("inbound_webhook_delivery", sa.Column("asset", sa.String(1_500), nullable=True))
    op.add_column("inbound_webhook_delivery", sa.Column("partition_key", sa.String(250), nullable=True))
    op.add_column("inbound_webhook_delivery", sa.Column("asset_event_id", sa.Integer(), nullable=True))


def downgrade() -> None:
    for name in ("asset_event_id", "partition_key", "asset"):
        op.drop_column("inbound_webhook_delivery", name)
    for name in ("partition_key", "asset"):
        op.drop_column("inbound_webhook", name)
