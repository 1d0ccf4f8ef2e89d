"""The revision that existing tables have, whatever the version table says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Inspector, create_engine, inspect

from inbound_webhooks import __version__
from inbound_webhooks.errors import TablesUnknown

Shape = frozenset[tuple[str, ...]]
"""Names in the database: ``(table,)``, ``(table, "column", name)`` and ``(table, "index", name)``."""

_AGAIN = "and run `airflow db migrate` again."


def actual_revision(
    inspector: Inspector, scripts: ScriptDirectory, *, recorded: str | None, schema: str | None
) -> str | None:
    """The revision of the tables in a database, None where there are no tables.

    :param recorded: the revision in the version table; it counts where the tables match none
    :raises TablesUnknown: the tables match no revision, or are newer than this version of the plugin
    """
    of_revisions = shapes(scripts)
    if recorded is not None and recorded not in of_revisions:
        raise TablesUnknown(
            f"The tables of inbound webhooks are at revision {recorded}, which version {__version__} of the "
            f"plugin does not know: install the version that made them, {_AGAIN}"
        )
    found = _shape(inspector, schema, known=frozenset().union(*of_revisions.values()))
    if not found:
        return None
    for revision, shape in of_revisions.items():
        if shape == found:
            return revision
    if recorded is None:
        raise TablesUnknown(
            "The tables of inbound webhooks match no revision of the plugin: restore inbound_webhook* and "
            f"alembic_version_inbound_webhooks from one backup, or drop all of them to start anew, {_AGAIN}"
        )
    return recorded


def shapes(scripts: ScriptDirectory) -> Mapping[str, Shape]:
    """Each revision with the shape of its tables, oldest first; found out once for a folder."""
    if scripts.dir not in _shapes:
        _shapes[scripts.dir] = dict(_made_in_sqlite(scripts))
    return _shapes[scripts.dir]


# `airflow db migrate` asks twice, and an Airflow that waits for its migration again and again.
_shapes: dict[str, Mapping[str, Shape]] = {}


def _made_in_sqlite(scripts: ScriptDirectory) -> Iterator[tuple[str, Shape]]:
    """Each revision's migration runs in an empty database, after those before it."""
    with (
        create_engine("sqlite://").begin() as connection,
        Operations.context(MigrationContext.configure(connection)),
    ):
        for script in reversed(list(scripts.walk_revisions())):
            script.module.upgrade()
            yield script.revision, _shape(inspect(connection), None)


def _shape(inspector: Inspector, schema: str | None, known: Shape | None = None) -> Shape:
    """The shape of our tables; of other tables and indexes only those that are in ``known`` count.

    An operator may have added an index, or copied a table; a column that no revision has is a difference.
    """
    found: set[tuple[str, ...]] = set()
    for table in inspector.get_table_names(schema=schema):
        if known is not None and (table,) not in known:
            continue
        columns = {(table, "column", column["name"]) for column in inspector.get_columns(table, schema)}
        indexes = {(table, "index", index["name"] or "") for index in inspector.get_indexes(table, schema)}
        found |= {(table,)} | columns | (indexes if known is None else indexes & known)
    return frozenset(found)
