"""Creates and migrates our tables as part of ``airflow db migrate``."""

from __future__ import annotations

from pathlib import Path

from airflow.utils.db_manager import BaseDBManager

from inbound_webhooks.storage.tables import metadata

_HERE = Path(__file__).parent


class WebhookDBManager(BaseDBManager):
    """Named in the provider's ``db-managers`` (or in ``[database] external_db_managers``)."""

    metadata = metadata
    # A version table of our own, beside Airflow's and other providers'.
    version_table_name = "alembic_version_inbound_webhooks"
    migration_dir = (_HERE / "migrations").as_posix()
    alembic_file = (_HERE / "alembic.ini").as_posix()
    supports_table_dropping = True
    revision_heads_map = {"0.1.0": "0010"}
