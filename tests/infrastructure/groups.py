"""Which tests one worker runs in a row, and which groups begin first, where a run has several workers.

A module stays together, since its tests share fixtures. The stories in a whole Airflow stay together by its
database, since each worker would otherwise start the same Airflow.
"""

from __future__ import annotations

import pytest

BEGINS_FIRST = ("airflow-", "kills-", "tests/acceptance/", "tests/integration/", "tests/promises/")
"""Beginnings of groups: what waits most comes first, so that no worker waits alone at the end."""


def group_of(item: pytest.Item) -> str:
    """The name of a test's group: the one that it is marked with, else as above."""
    if marker := item.get_closest_marker("xdist_group"):
        return str(marker.args[0])
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if "airflow" in parameters:
        return f"airflow-{parameters['airflow']}"
    return item.path.relative_to(item.config.rootpath).as_posix()


def mark_groups(items: list[pytest.Item]) -> None:
    """Tell pytest-xdist the group of each test."""
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(group_of(item)))


def in_order_of_groups(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests in the order in which their groups are given to workers."""
    return sorted(items, key=lambda item: _place(group_of(item)))


def _place(group: str) -> int:
    places = (place for place, start in enumerate(BEGINS_FIRST) if group.startswith(start))
    return next(places, len(BEGINS_FIRST))
