"""Responses that wait for the run: how, the URLs of results, and headers of responses.

Revision: 0021
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inbound_webhook", sa.Column("wait_seconds", sa.Integer(), nullable=True))
    op.add_column(
        "inbound_webhook", sa.Column("prefer_wait", sa.Boolean(), nullable=False, server_default="0")
    )
    op.add_column("inbound_webhook", sa.Column("result_task", sa.String(250), nullable=True))
    op.add_column("inbound_webhook", sa.Column("result_status", sa.Text(), nullable=True))
    op.add_column(
        "inbound_webhook", sa.Column("response_headers", sa.Text(), nullable=False, server_default="{}")
    )
    op.add_column("inbound_webhook_response", sa.Column("status", sa.Integer(), nullable=True))
    op.create_table(
        "inbound_webhook_result_token",
        sa.Column("delivery_id", sa.String(32), primary_key=True),
        sa.Column("token_hash", sa.String(64), primary_key=True),
    )


def downgrade() -> None:
    op.drop_table("inbound_webhook_result_token")
    op.drop_column("inbound_webhook_response", "status")
    for name in ("response_headers", "result_status", "result_task", "prefer_wait", "wait_seconds"):
        op.drop_column("inbound_webhook", name)
