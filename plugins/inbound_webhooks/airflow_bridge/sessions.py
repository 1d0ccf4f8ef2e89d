"""A session for a batch of runs: what Airflow reads again for each run of a DAG is read once."""

from __future__ import annotations

from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.tasklog import LogTemplate
from sqlalchemy import Select
from sqlalchemy.orm import Session

_READ_ONLY = {model.__table__ for model in (DagModel, DagVersion, LogTemplate)}
"""Tables that a session of this kind only reads."""


class BatchSession(Session):
    """Caches scalar results from tables that it does not write, until it ends.

    ``create_dagrun`` reads a DAG's bundle version, its latest version and the newest log template for each
    run: half of its statements and a quarter of its time. The runs of a batch all see what the first one
    read, as if they had been created at the same moment.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._cached: dict[Any, Any] = {}

    def scalar(self, statement: Any, *args: Any, **options: Any) -> Any:
        """Like Session.scalar, answered from the cache where possible."""
        # Only without further arguments, which may change the result.
        key = None if args or options else _cache_key(statement)
        if key in self._cached:
            return self._cached[key]
        value = super().scalar(statement, *args, **options)
        if key is not None and _READ_ONLY.issuperset(statement.get_final_froms()):
            self._cached[key] = value
        return value


def _cache_key(statement: Any) -> Any:
    """Equal for queries with the same text and values; None if the statement is not such a query."""
    # A private method, but the one that SQLAlchemy's own caching recipe uses (its "dogpile caching" example).
    key = statement._generate_cache_key() if isinstance(statement, Select) else None
    return key and (key.key, *(bound.effective_value for bound in key.bindparams))
