"""A task that made a run fail."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FailedTask:
    """A task of a failed run; ``map_index`` is -1 where it is not mapped."""

    task_id: str
    map_index: int = -1
    try_number: int = 0
