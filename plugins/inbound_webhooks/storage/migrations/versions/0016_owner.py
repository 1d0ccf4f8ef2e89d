"""Who is responsible for a webhook.

Revision: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inbound_webhook", sa.Column("owner", sa.String(250), nullable=True))


def downgrade() -> None:
    op.drop_column("inbound_webhook", "owner")
