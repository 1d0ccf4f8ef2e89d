"""The index that lists and statistics of deliveries are read from.

Revision: 0004
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "idx_inbound_webhook_delivery_history", "inbound_webhook_delivery", ["webhook_id", "id", "state"]
    )
    # The new one does all that this did.
    op.drop_index("idx_inbound_webhook_delivery_webhook_id", "inbound_webhook_delivery")


def downgrade() -> None:
    op.create_index(
        "idx_inbound_webhook_delivery_webhook_id", "inbound_webhook_delivery", ["webhook_id", "id"]
    )
    op.drop_index("idx_inbound_webhook_delivery_history", "inbound_webhook_delivery")
