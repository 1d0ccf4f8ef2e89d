"""The index by which a delivery's replays are found.

Revision: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAME = "idx_inbound_webhook_delivery_replay_of"
REPLAYED = "replay_of IS NOT NULL"


def upgrade() -> None:
    op.create_index(
        NAME,
        "inbound_webhook_delivery",
        ["replay_of"],
        postgresql_where=sa.text(REPLAYED),
        sqlite_where=sa.text(REPLAYED),
    )


def downgrade() -> None:
    op.drop_index(NAME, "inbound_webhook_delivery")
