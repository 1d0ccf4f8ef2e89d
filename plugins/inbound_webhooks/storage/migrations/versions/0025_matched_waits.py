"""Tasks that wait for an event of a webhook.

Revision: 0025
"""

from __future__ import annotations

import sqlalchemy as sa
from airflow.utils.sqlalchemy import UtcDateTime
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

WEBHOOK, DELIVERY, WAIT = "inbound_webhook", "inbound_webhook_delivery", "inbound_webhook_wait"
INDEXES = (
    ("delivery_to_match", DELIVERY, ["webhook_id", "id"], "to_match IS NOT NULL"),
    ("wait_matched", WAIT, ["webhook_id", "match_key"], "state = 'waiting' AND webhook_id IS NOT NULL"),
    ("wait_taken", WAIT, ["id"], "state = 'waiting' AND outcome IS NOT NULL"),
    ("wait_look_back", WAIT, ["webhook_id"], "look_back_due IS NOT NULL"),
    ("wait_delivery", WAIT, ["delivery_id"], "delivery_id IS NOT NULL"),
)


def upgrade() -> None:
    op.add_column(WEBHOOK, sa.Column("waiting_dags", sa.Text, nullable=False, server_default="[]"))
    op.add_column(WEBHOOK, sa.Column("awaited", sa.Boolean, nullable=True))
    op.add_column(DELIVERY, sa.Column("to_match", sa.Boolean, nullable=True))
    for column in _of_waits():
        op.add_column(WAIT, column)
    for name, table, columns, condition in INDEXES:
        where = sa.text(condition)
        op.create_index(
            f"idx_inbound_webhook_{name}", table, columns, postgresql_where=where, sqlite_where=where
        )


def downgrade() -> None:
    for name, table, _, _ in INDEXES:
        op.drop_index(f"idx_inbound_webhook_{name}", table)
    for column in _of_waits():
        op.drop_column(WAIT, column.name)
    op.drop_column(DELIVERY, "to_match")
    op.drop_column(WEBHOOK, "awaited")
    op.drop_column(WEBHOOK, "waiting_dags")


def _of_waits() -> list[sa.Column]:
    return [
        sa.Column("webhook_id", sa.String(10), nullable=True),
        sa.Column("webhook_name", sa.String(200), nullable=True),
        sa.Column("match_paths", sa.Text, nullable=True),
        sa.Column("match_values", sa.Text, nullable=True),
        sa.Column("match_key", sa.String(64), nullable=True),
        sa.Column("match_expression", sa.Text, nullable=True),
        sa.Column("broadcast", sa.Boolean, nullable=True),
        sa.Column("counts_from", UtcDateTime, nullable=True),
        sa.Column("look_back_due", sa.Boolean, nullable=True),
        sa.Column("outcome", sa.Text, nullable=True),
        sa.Column("failure", sa.Text, nullable=True),
    ]
