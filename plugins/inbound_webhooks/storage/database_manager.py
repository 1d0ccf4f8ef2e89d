"""Creates and migrates our tables as part of ``airflow db migrate``."""

from __future__ import annotations

from pathlib import Path

from airflow.utils.db_manager import BaseDBManager
from alembic import command
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, Table, inspect

from inbound_webhooks.errors import DatabaseUnsupported, TablesUnknown
from inbound_webhooks.monitoring.log_lines import one_line
from inbound_webhooks.storage.revisions import actual_revision
from inbound_webhooks.storage.tables import metadata

_HERE = Path(__file__).parent

SUPPORTED_DIALECTS = ("postgresql", "sqlite")


class WebhookDBManager(BaseDBManager):
    """Named in the provider's ``db-managers`` (or in ``[database] external_db_managers``).

    Airflow believes the version table: without one, it takes existing tables for those of the first revision
    (3.3) or of the newest one (3.2, and 3.3 where its own tables are new). A backup may lack the version
    table, so here the tables themselves decide.
    """

    metadata = metadata
    # A version table of our own, beside Airflow's and other providers'.
    version_table_name = "alembic_version_inbound_webhooks"
    migration_dir = (_HERE / "migrations").as_posix()
    alembic_file = (_HERE / "alembic.ini").as_posix()
    supports_table_dropping = True
    revision_heads_map = {"0.1.0": "0028"}

    def initdb(self, use_migration_files: bool = False) -> None:
        """Create the tables, or migrate existing ones."""
        self._refuse_other_databases()
        self._correct_version()
        super().initdb(use_migration_files=use_migration_files)

    def upgradedb(
        self,
        to_revision: str | None = None,
        from_revision: str | None = None,
        show_sql_only: bool = False,
        use_migration_files: bool = False,
    ) -> None:
        """Migrate the tables, or create them."""
        self._refuse_other_databases()
        if not show_sql_only:
            self._correct_version()
        super().upgradedb(to_revision, from_revision, show_sql_only, use_migration_files)

    def check_migration(self) -> bool:
        """Whether the version table names the newest revision, and rightly."""
        recorded = self.get_current_revision()
        return bool(super().check_migration()) and self._actual_revision(recorded) == recorded

    def get_current_revision(self) -> str | None:
        """The revision in the version table, which is in the schema of our tables; None if it has not one."""
        options = {"version_table": self.version_table_name, "version_table_schema": self.metadata.schema}
        context = MigrationContext.configure(self.session.connection(), opts=options)
        heads = context.get_current_heads()
        return heads[0] if len(heads) == 1 else None

    def drop_tables(self, connection: Connection) -> None:
        """Drop our tables and the version table."""
        self.metadata.drop_all(connection)
        version_table = Table(self.version_table_name, MetaData(schema=self.metadata.schema))
        version_table.drop(connection, checkfirst=True)

    # Airflow's commands know no errors of ours: SystemExit makes them print one line and exit with 1.

    def _refuse_other_databases(self) -> None:
        dialect_name: str = self.session.get_bind().dialect.name
        if dialect_name not in SUPPORTED_DIALECTS:
            raise SystemExit(DatabaseUnsupported(dialect_name).message)

    def _correct_version(self) -> None:
        """Make the version table name the revision that the tables have.

        :raises SystemExit: with a sentence, where they have none
        """
        recorded = self.get_current_revision()
        try:
            actual = self._actual_revision(recorded)
        except TablesUnknown as error:
            raise SystemExit(error.message) from None
        if actual != recorded:
            self.log.warning(
                "Tables of inbound webhooks are at revision %s, their version table says %s: correcting it",
                one_line(actual or "none"),
                one_line(recorded or "none"),
            )
            command.stamp(self.get_alembic_config(), actual or "base", purge=True)

    def _actual_revision(self, recorded: str | None) -> str | None:
        engine = self.session.get_bind().engine
        scripts = self.get_script_object()
        return actual_revision(inspect(engine), scripts, recorded=recorded, schema=self.metadata.schema)
