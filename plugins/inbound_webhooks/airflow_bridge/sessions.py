"""A session for a batch of runs and events: what Airflow reads again for each of them is read once."""

from __future__ import annotations

from typing import Any

from airflow.models.asset import (
    AssetActive,
    AssetAliasModel,
    AssetModel,
    DagScheduleAssetNameReference,
    DagScheduleAssetReference,
    DagScheduleAssetUriReference,
    alias_association_table,
)
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.tasklog import LogTemplate
from sqlalchemy import Select
from sqlalchemy.orm import Session
from sqlalchemy.sql.util import find_tables

_OF_RUNS = (DagModel, DagVersion, LogTemplate)
_OF_EVENTS = (
    *(AssetModel, AssetActive, AssetAliasModel),
    *(DagScheduleAssetReference, DagScheduleAssetNameReference, DagScheduleAssetUriReference),
)
_READ_ONLY = {alias_association_table.name, *(model.__tablename__ for model in (*_OF_RUNS, *_OF_EVENTS))}
"""Tables that a session of this kind only reads."""

_found_out: dict[Any, bool] = {}
"""Text of a statement, without its values -> whether it reads these tables alone."""

MAX_FOUND_OUT = 500
"""Far more than Airflow has statements for a run or an event."""


class BatchSession(Session):
    """Caches what it reads from tables that it does not write, until it ends.

    ``create_dagrun`` reads a DAG's bundle version, its latest version and the newest log template for each
    run: half of its statements and a quarter of its time. ``register_asset_change`` reads an asset with all
    that is scheduled on it for each event, which is most of its time. The runs and events of a batch all see
    what the first one read, as if they had been created at the same moment.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._cached: dict[Any, Any] = {}
        self._results: dict[Any, Any] = {}

    def scalar(self, statement: Any, *args: Any, **options: Any) -> Any:
        """Like Session.scalar, answered from the cache where possible."""
        # Only without further arguments, which may change the result.
        key = None if args or options else _cache_key(statement)
        if key in self._cached:
            return self._cached[key]
        value = super().scalar(statement, *args, **options)
        if key is not None and _reads_only(key[0], statement):
            self._cached[key] = value
        return value

    def scalars(self, statement: Any, *args: Any, **options: Any) -> Any:
        """Like Session.scalars, answered from the cache where possible."""
        key = None if args or options else _cache_key(statement)
        if key is None or not _reads_only(key[0], statement):
            return super().scalars(statement, *args, **options)
        if key not in self._results:
            self._results[key] = super().execute(statement).freeze()
        return self._results[key]().scalars()


def _reads_only(text: Any, statement: Any) -> bool:
    # Found out once for each text, because it compiles the statement; two threads find out the same.
    if text not in _found_out:
        if len(_found_out) >= MAX_FOUND_OUT:
            _found_out.clear()
        # The final ones have the joins of loader options, the statement itself has subqueries.
        parts = (statement, *statement.get_final_froms())
        _found_out[text] = _READ_ONLY.issuperset(table.name for part in parts for table in find_tables(part))
    return _found_out[text]


def _cache_key(statement: Any) -> Any:
    """Equal for queries with the same text and values; None if the statement is not such a query."""
    # A private method, but the one that SQLAlchemy's own caching recipe uses (its "dogpile caching" example).
    key = statement._generate_cache_key() if isinstance(statement, Select) else None
    return key and (key.key, *(_hashable(bound.effective_value) for bound in key.bindparams))


def _hashable(value: Any) -> Any:
    # IN has a list of values.
    return tuple(value) if isinstance(value, (list, set, frozenset)) else value
