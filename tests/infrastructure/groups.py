"""Which tests one worker runs in a row, and which groups begin first, where a run has several workers.

A module stays together, since its tests share fixtures. The stories in a whole Airflow stay together by its
database, since each worker would otherwise start the same Airflow. Every test of kills is a group of its own.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

DATABASES = ("sqlite", "postgresql")
OF_KILLS = ("tests/acceptance/chaos/test_kills", "tests/acceptance/chaos/test_waiting_workers")
BEGINS_FIRST = ("airflow-", "tests/acceptance/", "tests/integration/", "tests/promises/")
"""Beginnings of groups: what waits most comes first, so that no worker waits alone at the end."""


def group_of(nodeid: str) -> str:
    """The name of a test's group."""
    file, _, test = nodeid.partition("::")
    name, _, parameters = test.partition("[")
    if file.startswith(OF_KILLS):
        return f"{file}::{name}"
    if file.startswith("tests/acceptance/"):
        databases = [part for part in re.split(r"[-\]]", parameters) if part in DATABASES]
        return f"airflow-{databases[0]}" if databases else file
    return file


def in_order_of_groups(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests in the order in which their groups are given to workers."""
    return sorted(items, key=lambda item: _place(group_of(item.nodeid)))


def _place(group: str) -> int:
    places = (place for place, start in enumerate(BEGINS_FIRST) if group.startswith(start))
    return next(places, len(BEGINS_FIRST))


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives workers one group after the other, in the order of the tests.

    The marks of xdist's own groups have no effect with pytest 9.2, where a node's id cannot be changed.
    """

    def __init__(self, config: pytest.Config, log: Any) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
