"""A failed task of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FailedTask:
    """A failed task instance; ``map_index`` is -1 for unmapped tasks."""

    task_id: str
    map_index: int = -1
    try_number: int = 0
