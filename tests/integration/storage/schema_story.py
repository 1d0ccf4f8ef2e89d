"""An Airflow with `[database] sql_alchemy_schema`: `python -m tests.integration.storage.schema_story STEP…`.

A process of its own, because the schema is read at import. Prints the result of each step as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from tests.infrastructure.databases import URL_VARIABLE, connect_airflow, disconnect_airflow


def make_airflows_tables() -> None:
    """As `airflow db migrate` makes them in an empty database."""
    from airflow import settings
    from airflow.models import import_all_models
    from airflow.models.base import Base

    import_all_models()
    Base.metadata.create_all(settings.engine)


def install() -> None:
    """Our tables, as in an empty database."""
    _manage("initdb")


def install_by_migrations() -> None:
    """Our tables, made by the migrations."""
    _manage("initdb", use_migration_files=True)


def upgrade_the_first_release() -> dict[str, int]:
    """Tables and rows of the first release without a version table, migrated: the number of rows."""
    from tests.integration.storage.old_rows import make_tables_of, read_rows, write_rows
    from tests.integration.storage.test_upgrade import WRITTEN

    make_tables_of("0001")
    write_rows(WRITTEN)
    _lose_version_table()
    _manage("upgradedb")
    return {name: len(read_rows(name)) for name in WRITTEN}


def drop() -> None:
    """Our tables dropped, as `airflow db reset` does."""
    from airflow import settings

    with settings.engine.begin() as connection:
        _manager_class()(settings.NonScopedSession()).drop_tables(connection)


def deliver() -> dict[str, Any]:
    """A request through the api-server's endpoint and the dispatcher."""
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings
    from inbound_webhooks.storage.database import autocommit
    from inbound_webhooks.storage.health import read_status
    from tests.infrastructure.asgi_endpoint import AsgiEndpoint
    from tests.infrastructure.dags_builder import store_dag
    from tests.infrastructure.webhooks_builder import rows, runs, store_webhook

    _store_log_template()
    store_dag("orders")
    hook = store_webhook(mapping={"number": "${Webhook::Body.number}"}, max_active_runs=3, max_backlog=9)
    reply = AsgiEndpoint().post(hook.path, b'{"number": 7}')
    backlog = autocommit(read_status).backlog
    Dispatcher(Settings()).dispatch_due()
    (delivery,) = rows("delivery")
    return {
        "status": reply.status,
        "backlog": backlog,
        "state": delivery.state,
        "error": delivery.error,
        "conf": [run.conf for run in runs()],
    }


def _store_log_template() -> None:
    """What each run refers to; `airflow db migrate` looks for the table in the search path alone."""
    from airflow import settings
    from airflow.models.tasklog import LogTemplate
    from sqlalchemy import select

    with settings.NonScopedSession() as session, session.begin():
        if session.scalar(select(LogTemplate)) is None:
            session.add(LogTemplate(filename="a.log", elasticsearch_id="a"))


def version() -> str | None:
    """The recorded revision."""
    from airflow import settings

    with settings.NonScopedSession() as session:
        revision: str | None = _manager_class()(session).get_current_revision()
        return revision


def schema() -> Any:
    """Our tables as the database describes them."""
    from tests.integration.storage.test_schema import reflected_schema

    return reflected_schema()


def sql() -> None:
    """Print the migrations instead of running them."""
    from airflow import settings

    with settings.NonScopedSession() as session:
        _manager_class()(session).upgradedb(to_revision="head", show_sql_only=True)


def _manage(what: str, **options: Any) -> None:
    from airflow import settings

    with settings.NonScopedSession() as session:
        getattr(_manager_class()(session), what)(**options)


def _manager_class() -> Any:
    from inbound_webhooks.storage.database_manager import WebhookDBManager

    return WebhookDBManager


def _lose_version_table() -> None:
    from airflow import settings
    from sqlalchemy import MetaData, Table

    manager = _manager_class()
    Table(manager.version_table_name, MetaData(schema=manager.metadata.schema)).drop(settings.engine)


STEPS = {
    step.__name__: step
    for step in (
        *(make_airflows_tables, install, install_by_migrations, upgrade_the_first_release, drop, deliver),
        *(version, schema, sql),
    )
}

if __name__ == "__main__":
    connect_airflow(os.environ[URL_VARIABLE])
    results = [STEPS[name]() for name in sys.argv[1:]]
    disconnect_airflow()
    print(json.dumps(results))
