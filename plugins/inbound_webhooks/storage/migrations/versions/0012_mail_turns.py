"""Mails of different webhooks take turns.

Revision: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

WAITING = sa.text("state = 'waiting'")


def upgrade() -> None:
    op.create_index(
        "idx_inbound_webhook_mail_turns",
        "inbound_webhook_mail",
        ["kind", "webhook_id", "next_attempt_at"],
        postgresql_where=WAITING,
        sqlite_where=WAITING,
    )


def downgrade() -> None:
    op.drop_index("idx_inbound_webhook_mail_turns", "inbound_webhook_mail")
