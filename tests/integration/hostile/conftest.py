"""Every endpoint, opened once for all the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.hostile.endpoints import SITES


@pytest.fixture(scope="module", params=SITES, ids="-".join)
def site(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An open endpoint in front of a database; a `Site`."""
    from tests.infrastructure.databases import connect_airflow, disconnect_airflow
    from tests.integration.hostile.site import opened

    endpoint_name, backend = request.param
    templates = {"sqlite": "sqlite_template", "postgresql": "postgres_template"}
    connect_airflow(request.getfixturevalue(templates[backend]).fresh().url)
    try:
        with opened(endpoint_name) as made:
            yield made
    finally:
        disconnect_airflow()
