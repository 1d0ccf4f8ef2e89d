"""How runs ended, who gets a mail about it, which dispatchers there are.

Revision: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from airflow.utils.sqlalchemy import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UNFINISHED = sa.text("state = 'dispatched'")
FINISHED = sa.text("state IN ('succeeded', 'failed')")
ENDED = sa.text("state NOT IN ('accepted', 'dispatched')")
WAITING = sa.text("state = 'waiting'")


def upgrade() -> None:
    op.add_column(
        "inbound_webhook", sa.Column("notify_success", sa.Text, nullable=False, server_default="[]")
    )
    op.add_column(
        "inbound_webhook", sa.Column("notify_failure", sa.Text, nullable=False, server_default="[]")
    )

    delivery = "inbound_webhook_delivery"
    op.add_column(delivery, sa.Column("run_started_at", UtcDateTime, nullable=True))
    op.add_column(delivery, sa.Column("finished_at", UtcDateTime, nullable=True))
    op.add_column(delivery, sa.Column("failed_tasks", sa.Text, nullable=True))
    op.add_column(delivery, sa.Column("body_stored", sa.Boolean, nullable=False, server_default="1"))
    op.create_index(
        "idx_inbound_webhook_delivery_unfinished",
        delivery,
        ["id"],
        postgresql_where=UNFINISHED,
        sqlite_where=UNFINISHED,
    )
    op.create_index(
        "idx_inbound_webhook_delivery_finished",
        delivery,
        ["finished_at", "id"],
        postgresql_where=FINISHED,
        sqlite_where=FINISHED,
    )
    op.create_index(
        "idx_inbound_webhook_delivery_ended",
        delivery,
        ["received_at"],
        postgresql_where=ENDED,
        sqlite_where=ENDED,
    )

    op.create_table(
        "inbound_webhook_mail",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("webhook_id", sa.String(10), nullable=False),
        sa.Column("webhook_name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("recipient", sa.String(254), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", UtcDateTime, nullable=True),
        sa.Column("sent_at", UtcDateTime, nullable=True),
        sa.Column("error", sa.Text, nullable=True),
    )
    op.create_index(
        "idx_inbound_webhook_mail_waiting",
        "inbound_webhook_mail",
        ["next_attempt_at"],
        postgresql_where=WAITING,
        sqlite_where=WAITING,
    )
    op.create_index(
        "idx_inbound_webhook_mail_webhook_id", "inbound_webhook_mail", ["webhook_id", "kind", "due_at"]
    )
    op.create_index("idx_inbound_webhook_mail_created_at", "inbound_webhook_mail", ["created_at"])

    op.create_table(
        "inbound_webhook_mail_delivery",
        sa.Column(
            "mail_id",
            sa.String(32),
            sa.ForeignKey(
                "inbound_webhook_mail.id", name="inbound_webhook_mail_delivery_mail_fkey", ondelete="CASCADE"
            ),
            primary_key=True,
        ),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("delivery_id", sa.String(32), nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
    )
    op.create_index(
        "idx_inbound_webhook_mail_delivery_delivery_id", "inbound_webhook_mail_delivery", ["delivery_id"]
    )

    op.create_table(
        "inbound_webhook_dispatcher",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("host", sa.String(250), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("seen_at", UtcDateTime, nullable=False),
    )


def downgrade() -> None:
    for name in ("dispatcher", "mail_delivery", "mail"):
        op.drop_table(f"inbound_webhook_{name}")
    for name in ("ended", "finished", "unfinished"):
        op.drop_index(f"idx_inbound_webhook_delivery_{name}", "inbound_webhook_delivery")
    for name in ("body_stored", "failed_tasks", "finished_at", "run_started_at"):
        op.drop_column("inbound_webhook_delivery", name)
    for name in ("notify_failure", "notify_success"):
        op.drop_column("inbound_webhook", name)
