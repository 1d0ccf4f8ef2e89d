"""What Airflow knows of the task instances of a run, for the pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

from airflow.models.taskinstance import TaskInstance
from sqlalchemy import Connection, func, select


@dataclass(frozen=True)
class TaskFacts:
    """The number of a run's task instances by state, and when the first of them started."""

    counts: Mapping[str, int] = field(default_factory=dict)
    first_started_at: datetime | None = None

    @property
    def total(self) -> int:
        """The number of task instances."""
        return sum(self.counts.values())


def task_facts(connection: Connection, dag_id: str, run_id: str) -> TaskFacts:
    """Count the task instances of a run, in the database: a run may have thousands of mapped ones."""
    state = func.coalesce(TaskInstance.state, "none")
    rows = connection.execute(
        select(state, func.count(), func.min(TaskInstance.start_date))
        .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
        .group_by(state)
        .order_by(func.count().desc(), state)
    ).all()
    starts = [row[2] for row in rows if row[2] is not None]
    first = min(starts).astimezone(timezone.utc) if starts else None
    return TaskFacts({str(row[0]): row[1] for row in rows}, first)
