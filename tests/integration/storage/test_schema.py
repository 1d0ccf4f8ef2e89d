"""A fresh install is made from the tables, an older one is migrated: both have to give the same schema."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Inspector

FRESH, MIGRATED = {}, {"use_migration_files": True}


def install(**how: Any) -> None:
    """What `airflow db migrate` does with our database manager."""
    from airflow import settings

    from inbound_webhooks.storage.database_manager import WebhookDBManager

    with settings.NonScopedSession() as session:
        WebhookDBManager(session).initdb(**how)


def reflected_schema() -> dict[str, Any]:
    """Everything that the database itself says of our tables."""
    from airflow import settings
    from sqlalchemy import inspect

    from inbound_webhooks.storage.tables import metadata

    looking = inspect(settings.engine)
    return {
        table.name: _described(looking, table.name, table.schema)
        for table in metadata.tables.values()
        if looking.has_table(table.name, table.schema)  # an older revision lacks later tables
    }


def _described(looking: Inspector, *table: str | None) -> dict[str, Any]:
    return {
        "columns": [
            (column["name"], str(column["type"]), column["nullable"], column["default"])
            for column in looking.get_columns(*table)
        ],
        "primary key": looking.get_pk_constraint(*table)["constrained_columns"],
        "indexes": sorted(map(_index, looking.get_indexes(*table))),
        "foreign keys": sorted(map(_foreign_key, looking.get_foreign_keys(*table))),
        "checks": looking.get_check_constraints(*table),
        "uniques": looking.get_unique_constraints(*table),
    }


def _index(index: dict[str, Any]) -> tuple[str, str, bool, str]:
    where = [str(value) for name, value in index["dialect_options"].items() if name.endswith("_where")]
    return index["name"], ",".join(index["column_names"]), bool(index["unique"]), "".join(where)


def _foreign_key(key: dict[str, Any]) -> tuple[str, ...]:
    columns, referred = ",".join(key["constrained_columns"]), ",".join(key["referred_columns"])
    return key["name"], columns, key["referred_table"], referred, str(key["options"])


def test_a_fresh_and_a_migrated_database_have_the_same_schema(empty_database):
    empty_database("fresh")
    install(**FRESH)
    fresh = reflected_schema()
    empty_database("migrated")
    install(**MIGRATED)
    assert reflected_schema() == fresh


def test_the_indexes_of_waiting_deliveries_and_active_runs_are_partial(empty_database):
    empty_database("fresh")
    install(**FRESH)
    indexes = reflected_schema()["inbound_webhook_delivery"]["indexes"]
    conditions = {name: where for name, _, _, where in indexes}
    assert "accepted" in conditions["idx_inbound_webhook_delivery_waiting"]
    assert "dispatched" in conditions["idx_inbound_webhook_delivery_active"]


def test_a_webhooks_tokens_and_secrets_go_with_it_in_either_schema(empty_database):
    empty_database("migrated")
    install(**MIGRATED)
    for table in ("inbound_webhook_token", "inbound_webhook_secret"):
        (key,) = reflected_schema()[table]["foreign keys"]
        assert "CASCADE" in key[-1]


@pytest.mark.parametrize("how", [FRESH, MIGRATED], ids=["fresh", "migrated"])
def test_alembic_finds_nothing_left_to_migrate(empty_database, how):
    from airflow import settings
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from inbound_webhooks.storage.tables import metadata

    empty_database("compared")
    install(**how)
    ours = {"include_object": lambda _o, name, kind, *_: kind != "table" or name in metadata.tables}
    with settings.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, **ours}
        )
        assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize("how", [FRESH, MIGRATED], ids=["fresh", "migrated"])
def test_an_installed_database_counts_as_migrated(empty_database, how):
    from airflow import settings

    from inbound_webhooks.storage.database_manager import WebhookDBManager

    empty_database("installed")
    install(**how)
    with settings.NonScopedSession() as session:
        assert WebhookDBManager(session).check_migration()


def test_installing_again_changes_nothing(empty_database):
    empty_database("again")
    install(**FRESH)
    before = reflected_schema()
    install(**FRESH)
    assert reflected_schema() == before


def test_a_downgrade_to_nothing_leaves_none_of_our_tables(empty_database):
    from airflow import settings
    from alembic import command
    from sqlalchemy import inspect

    from inbound_webhooks.storage.database_manager import WebhookDBManager

    empty_database("down")
    install(**MIGRATED)
    with settings.NonScopedSession() as session:
        command.downgrade(WebhookDBManager(session).get_alembic_config(), "base")
    left = {name for name in inspect(settings.engine).get_table_names() if name.startswith("inbound_")}
    assert left == set()


def test_the_version_of_the_package_names_the_newest_migration():
    from inbound_webhooks import __version__
    from inbound_webhooks.storage.database_manager import WebhookDBManager

    heads = WebhookDBManager(session=None).get_script_object(_offline_config()).get_heads()
    assert [WebhookDBManager.revision_heads_map[__version__]] == heads


def _offline_config() -> Any:
    from alembic.config import Config

    from inbound_webhooks.storage.database_manager import WebhookDBManager

    config = Config(WebhookDBManager.alembic_file)
    config.set_main_option("script_location", WebhookDBManager.migration_dir)
    return config


def test_our_tables_are_not_in_airflows_metadata():
    from airflow.models.base import metadata as airflow_metadata

    from inbound_webhooks.storage.tables import metadata

    assert not set(metadata.tables) & set(airflow_metadata.tables)
