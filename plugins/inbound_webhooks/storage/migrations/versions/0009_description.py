"""What a webhook is for, in its owner's words.

Revision: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inbound_webhook", sa.Column("description", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("inbound_webhook", "description")
