"""Deliveries of routes and of the items of a list.

Revision: 0027
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

WEBHOOK, DELIVERY = "inbound_webhook", "inbound_webhook_delivery"
SOURCE, CHILD = "idx_inbound_webhook_source", "idx_inbound_webhook_delivery_child"


def upgrade() -> None:
    op.add_column(WEBHOOK, sa.Column("each", sa.Text, nullable=True))
    op.add_column(WEBHOOK, sa.Column("source", sa.String(10), nullable=True))
    op.add_column(WEBHOOK, sa.Column("route_count", sa.Integer, nullable=False, server_default="0"))
    op.add_column(WEBHOOK, sa.Column("routes", sa.String(10), nullable=True))
    op.add_column(WEBHOOK, sa.Column("position", sa.Integer, nullable=True))
    op.add_column(DELIVERY, sa.Column("parent_id", sa.String(32), nullable=True))
    op.add_column(DELIVERY, sa.Column("child_index", sa.Integer, nullable=True))
    op.add_column(DELIVERY, sa.Column("item_index", sa.Integer, nullable=True))
    op.add_column(DELIVERY, sa.Column("routes", sa.Text, nullable=True))
    _create(SOURCE, WEBHOOK, ["source"], "source IS NOT NULL")
    _create(CHILD, DELIVERY, ["parent_id", "child_index"], "parent_id IS NOT NULL")


def downgrade() -> None:
    op.drop_index(CHILD, DELIVERY)
    op.drop_index(SOURCE, WEBHOOK)
    for name in ("routes", "item_index", "child_index", "parent_id"):
        op.drop_column(DELIVERY, name)
    for name in ("position", "routes", "route_count", "source", "each"):
        op.drop_column(WEBHOOK, name)


def _create(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where)
