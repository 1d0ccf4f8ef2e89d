"""Which tests one worker runs in a row, and which groups begin first, where a run has several workers.

A module stays together, since its tests share fixtures. The stories in a whole Airflow stay together by its
database, since each worker would otherwise start the same Airflow.
"""

from __future__ import annotations

import pytest

BEGINS_FIRST = ("airflow-", "tests/acceptance/", "tests/integration/", "tests/promises/")
"""Beginnings of groups: what waits most comes first, so that no worker waits alone at the end."""


def group_of(item: pytest.Item) -> str:
    """The name of a test's group."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if "airflow" in parameters:
        return f"airflow-{parameters['airflow']}"
    return item.path.relative_to(item.config.rootpath).as_posix()


def grouped(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests, each marked with its group, in the order in which the groups are given to workers."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))
    return sorted(items, key=lambda item: _place(group_of(item)))


def _place(group: str) -> int:
    places = (place for place, start in enumerate(BEGINS_FIRST) if group.startswith(start))
    return next(places, len(BEGINS_FIRST))
