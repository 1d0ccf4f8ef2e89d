"""A session for many runs at once: what Airflow asks anew for each run of a DAG is asked once."""

from __future__ import annotations

from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.tasklog import LogTemplate
from sqlalchemy import Select
from sqlalchemy.orm import Session

_READ_ONLY = {model.__table__ for model in (DagModel, DagVersion, LogTemplate)}
"""Tables that nobody writes in a session of this kind."""


class BatchSession(Session):
    """Remembers, until its end, single values out of tables that it does not write.

    ``create_dagrun`` reads a DAG's bundle version, its latest version and the newest log template before each
    run: half of its statements, a quarter of its time. All runs of a batch see them as the first one did, as
    if they had been made at that moment.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._remembered: dict[Any, Any] = {}

    def scalar(self, statement: Any, *args: Any, **options: Any) -> Any:
        """As a session's own."""
        key = None if args or options else _key(statement)
        if key in self._remembered:
            return self._remembered[key]
        value = super().scalar(statement, *args, **options)
        if key is not None and _READ_ONLY.issuperset(statement.get_final_froms()):
            self._remembered[key] = value
        return value


def _key(statement: Any) -> Any:
    """What two queries have in common that ask the same; None for what is no query or cannot be told."""
    # SQLAlchemy's own recipe for caching takes it ("dogpile caching" among its examples).
    key = statement._generate_cache_key() if isinstance(statement, Select) else None
    return key and (key.key, *(bound.effective_value for bound in key.bindparams))
