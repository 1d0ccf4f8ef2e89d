"""Every door, opened once for all the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.hostile.doors import CONTENT_SITES, SITES


@pytest.fixture(scope="module", params=SITES, ids="-".join)
def site(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An open door in front of a database; a `Site`."""
    yield from _site(request)


@pytest.fixture(scope="module", params=CONTENT_SITES, ids="-".join)
def content_site(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The same, for tests of what requests hold rather than of how they are written."""
    yield from _site(request)


def _site(request: pytest.FixtureRequest) -> Iterator[Any]:
    from tests.infrastructure.databases import connect_airflow, disconnect_airflow
    from tests.integration.hostile.site import opened

    door_name, backend = request.param
    templates = {"sqlite": "sqlite_template", "postgresql": "postgres_template"}
    connect_airflow(request.getfixturevalue(templates[backend]).fresh().url)
    try:
        with opened(door_name) as made:
            yield made
    finally:
        disconnect_airflow()
