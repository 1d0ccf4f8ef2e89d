"""What proves a sender, which events count, when one is a repetition.

Revision: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

HOLDS_KEY = sa.text("dedup_key IS NOT NULL")


def upgrade() -> None:
    op.add_column("inbound_webhook", sa.Column("preset", sa.String(40), nullable=True))
    op.add_column("inbound_webhook", sa.Column("proofs", sa.Text, nullable=False, server_default="[]"))
    op.add_column("inbound_webhook", sa.Column("handshake", sa.String(40), nullable=True))
    op.add_column(
        "inbound_webhook", sa.Column("allowed_addresses", sa.Text, nullable=False, server_default="[]")
    )
    # An expression for what the sender calls the kind of event.
    op.add_column("inbound_webhook", sa.Column("event_type", sa.Text, nullable=True))
    op.add_column("inbound_webhook", sa.Column("filter", sa.Text, nullable=True))
    op.add_column("inbound_webhook", sa.Column("dedup", sa.Text, nullable=True))
    op.add_column("inbound_webhook", sa.Column("max_per_second", sa.Integer, nullable=True))
    # A link that a person has to open before the sender sends events.
    op.add_column("inbound_webhook", sa.Column("confirm_url", sa.Text, nullable=True))

    op.add_column(
        "inbound_webhook_secret",
        sa.Column("purpose", sa.String(40), nullable=False, server_default="signing"),
    )
    # Where a public key was fetched; null for what a person gave.
    op.add_column("inbound_webhook_secret", sa.Column("source_url", sa.Text, nullable=True))
    # Where the public key stands that the request named and that was not known.
    op.add_column("inbound_webhook_rejection", sa.Column("key_url", sa.Text, nullable=True))

    op.add_column("inbound_webhook_delivery", sa.Column("event_type", sa.String(200), nullable=True))
    op.add_column("inbound_webhook_delivery", sa.Column("dedup_key", sa.String(64), nullable=True))
    op.create_index(
        "idx_inbound_webhook_delivery_dedup",
        "inbound_webhook_delivery",
        ["webhook_id", "dedup_key"],
        unique=True,
        postgresql_where=HOLDS_KEY,
        sqlite_where=HOLDS_KEY,
    )


def downgrade() -> None:
    op.drop_index("idx_inbound_webhook_delivery_dedup", "inbound_webhook_delivery")
    op.drop_column("inbound_webhook_delivery", "dedup_key")
    op.drop_column("inbound_webhook_delivery", "event_type")
    op.drop_column("inbound_webhook_rejection", "key_url")
    op.drop_column("inbound_webhook_secret", "source_url")
    op.drop_column("inbound_webhook_secret", "purpose")
    for name in (
        "confirm_url",
        "max_per_second",
        "dedup",
        "filter",
        "event_type",
        "allowed_addresses",
        "handshake",
        "proofs",
        "preset",
    ):
        op.drop_column("inbound_webhook", name)
